"""Drops and the ledger, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from align.evals import forgetting


def report(metric: str, values: list[float], weights: list[float] | None = None) -> dict[str, Any]:
    rows = {
        "values": {metric: values},
        "weights": {metric: weights} if weights else {},
        "clusters": [str(i) for i in range(len(values))],
        "slices": [None] * len(values),
        "axes": [None] * len(values),
    }
    return {"suites": {"general": {"kind": "retention", "metrics": {metric: {"all": {}}}, "rows": rows}}}


def test_the_ledger_tells_each_step_and_all_steps_together() -> None:
    """base 1.0 bits a byte, sft 1.25, dpo 1.2: sft forgot .25, dpo took .05 of it back, .2 in all."""
    reports = {
        "base": report("bits_per_byte", [8.0, 12.0], [10.0, 10.0]),
        "sft": report("bits_per_byte", [11.0, 14.0], [10.0, 10.0]),
        "dpo": report("bits_per_byte", [10.0, 14.0], [10.0, 10.0]),
    }
    told = forgetting.ledger(reports, {"sft": "base", "dpo": "sft"})
    assert [(e["model"], e["parent"], e["root"]) for e in told] == [("sft", "base", "base"), ("dpo", "sft", "base")]
    assert [e["step"]["value"] for e in told] == pytest.approx([0.25, -0.05])
    assert [e["total"]["value"] for e in told] == pytest.approx([0.25, 0.2])


def test_a_lost_task_is_a_drop_too_and_other_suites_have_no_ledger() -> None:
    before, after = report("accuracy", [1, 1, 1, 0]), report("accuracy", [1, 0, 0, 0])
    told = forgetting.ledger({"base": before, "sft": after}, {"sft": "base"})
    assert told[0]["step"]["value"] == pytest.approx(0.5) and told[0]["metric"] == "accuracy"
    before["suites"]["general"]["kind"] = "loss"
    assert forgetting.ledger({"base": before, "sft": after}, {"sft": "base"}) == []
