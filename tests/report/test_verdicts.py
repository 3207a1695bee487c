from __future__ import annotations

from typing import Any

from align import gates, plan, words
from align.artifact.store import Store
from align.plan import Plan
from align.recipe import load
from align.report import page, verdicts
from align.report.collect import collect

WRITTEN = [
    "dpo.probes.tokens > -99", "dpo.probes.tokens > 99", "dpo.probes.tokens > 2.5", "chat.rows.dropped == 3", "dpo.loss < 9",
]  # fmt: skip


def judged(finished: tuple[Plan, Store], *overrides: str) -> tuple[Plan, gates.Judgement]:
    made, store = finished
    recipe = load(made.recipe.path, [f"gates={WRITTEN}".replace("'", '"'), *overrides])
    again = plan.make(recipe, store)
    return again, gates.judge(recipe, again.steps)


def test_every_gate_is_told_with_its_verdict_and_figure(finished: tuple[Plan, Store]) -> None:
    made, judgement = judged(finished)
    found = verdicts.gates(judgement)
    assert [(g.text, g.verdict) for g in found] == list(
        zip(WRITTEN, ["pass", "fail", "inconclusive", "pass", "pass"], strict=True)
    )
    assert found[3].figure == "3"
    text = page.write(made, collect(made, finished[1]), finished[1], words.Commands("small.yaml"), "", judgement)
    assert "gates: 3 passed, 1 failed, 1 inconclusive" in text
    assert (
        'class="verdict fail"' in text
        and "<code>dpo.probes.tokens &gt; 99</code>" in text
        and "rows would decide" in text
    )


def test_a_gate_on_a_step_that_has_not_run_waits_for_it(finished: tuple[Plan, Store]) -> None:
    _, judgement = judged(finished, "stages.dpo.beta=0.3")
    waiting = [g for g in verdicts.gates(judgement) if g.verdict == "waiting"]
    assert len(waiting) == 4 and "waits for evaluate.dpo" in waiting[0].remark


def test_the_ledger_tells_what_each_step_forgot_and_all_together(finished: tuple[Plan, Store]) -> None:
    def estimate(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 9, "clusters": 9}

    made, store = finished
    seen = collect(made, store)
    report = seen["evaluate"].report
    assert report and verdicts.ledger(seen) == []
    entry = {"suite": "general", "metric": "bits_per_byte", "model": "dpo", "parent": "sft", "root": "base"}
    report["ledger"] = [{**entry, "step": estimate(0.04), "total": estimate(0.9)}]
    (told,) = verdicts.ledger(seen)
    assert (told.model, told.parent, told.root) == ("dpo", "sft", "base")
    assert (told.step, told.total) == ("+0.04 (+0.03 to +0.05)", "+0.9 (+0.89 to +0.91)")
    assert "+0.04 (+0.03 to +0.05)" in page.write(made, seen, store, words.Commands("small.yaml"))
