from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align.data.store_rows import read_rows
from align.specs import MeasureSpec
from align.stages import measure
from tests.rewarding import write_reward_model
from tests.tiny import Recorder, inputs

SUITES = {
    "preference": {"kind": "preference", "data": "p"},
    "loss": {"kind": "loss", "data": "h"},
    "answers": {"kind": "generation", "data": "h", "scorers": ["stops", "length"], "max_new_tokens": 12, "limit": 9},
}


def run(world: dict[str, Any], out: Path, model: str, against: str | None = None, **suites: Any) -> dict[str, Any]:
    chosen = {name: dict(SUITES[name]) for name in (suites or SUITES)}
    if against:
        chosen["preference"]["against"] = against
    spec = MeasureSpec(model="m", suites=chosen, max_length=64, batch_size=16, seed=0)  # type: ignore[arg-type]
    named = {"model": world[model], "suites.preference.data": world["held pairs"], "suites.loss.data": world["held"]}
    named["suites.answers.data"] = world["held"]
    if against:
        named["suites.preference.against"] = world[against]
    out.mkdir()
    told = measure.run(spec, inputs(out, **named), out, Recorder())
    return {"told": told, "report": json.loads((out / "report.json").read_text()), "out": out}


def test_a_tuned_model_has_a_lower_loss_and_stops_where_its_base_does_not(
    tuned: dict[str, Any], tmp_path: Path
) -> None:
    base, sft = run(tuned, tmp_path / "base", "base")["told"], run(tuned, tmp_path / "sft", "sft")["told"]
    assert sft["loss/loss"] < base["loss/loss"] - 1
    assert base["answers/stops"] < 0.3 < 0.9 < sft["answers/stops"]


def test_the_report_keeps_every_row_so_that_models_compare_on_the_same_ones(
    tuned: dict[str, Any], tmp_path: Path
) -> None:
    suites = run(tuned, tmp_path / "sft", "sft")["report"]["suites"]
    assert len(suites["preference"]["rows"]["values"]["accuracy"]) == 40
    assert len(suites["answers"]["rows"]["clusters"]) == 9  # the limit
    estimate = suites["answers"]["metrics"]["stops"]["all"]
    values = suites["answers"]["rows"]["values"]["stops"]
    assert estimate["value"] == pytest.approx(sum(values) / 9)
    assert estimate["low"] <= estimate["value"] <= estimate["high"] and estimate["n"] == 9


def test_what_the_model_said_is_kept_as_rows(tuned: dict[str, Any], tmp_path: Path) -> None:
    done = run(tuned, tmp_path / "sft", "sft")
    rows = list(read_rows([done["out"] / "rows-answers.parquet"], "scored_generation"))
    assert len(rows) == 9
    assert all(r["prompt"][-1]["role"] == "user" and r["completion"][0]["role"] == "assistant" for r in rows)


def test_a_reference_is_scored_once_and_then_read_from_the_cache(tuned: dict[str, Any], tmp_path: Path) -> None:
    first = run(tuned, tmp_path / "one", "sft", against="base", preference=1)
    kept = list(tmp_path.rglob("logprobs/*.json"))
    assert [len(json.loads(path.read_text())) for path in kept] == [80, 80]  # the model's own and the reference's
    margins = first["report"]["suites"]["preference"]["rows"]["values"]["logratio_margin"]
    assert any(abs(m) > 0.01 for m in margins)
    itself = run(tuned, tmp_path / "two", "base", against="base", preference=1)
    assert itself["told"]["preference/reward_accuracy"] == 0.5  # every margin is exactly 0


def test_the_same_seed_gives_the_same_report(tuned: dict[str, Any], tmp_path: Path) -> None:
    first, second = (run(tuned, tmp_path / name, "sft")["out"] / "report.json" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def held(world: dict[str, Any], out: Path, model: str, suite: dict[str, Any], **named: Any) -> dict[str, Any]:
    """The metrics of one suite called `it`; `named`: its inputs."""
    spec = MeasureSpec(model="m", suites={"it": {"max_new_tokens": 6, **suite}}, max_length=64, batch_size=16, seed=0)  # type: ignore[arg-type]
    out.mkdir()
    measure.run(
        spec, inputs(out, model=world[model], **{f"suites.it.{k}": v for k, v in named.items()}), out, Recorder()
    )
    return json.loads((out / "report.json").read_text())["suites"]["it"]["metrics"]


def test_a_model_has_moved_from_its_base_and_nowhere_from_itself(tuned: dict[str, Any], tmp_path: Path) -> None:
    suite = {"kind": "kl", "data": "p", "against": "b"}
    moved = held(tuned, tmp_path / "a", "sft", suite, data=tuned["held"], against=tuned["base"])
    still = held(tuned, tmp_path / "b", "sft", suite, data=tuned["held"], against=tuned["sft"])
    assert moved["kl"]["all"]["low"] > 1 and still["kl"]["all"]["value"] == 0


def test_a_reward_artifact_decides_between_two_models_and_is_the_proxy_of_health(
    tuned: dict[str, Any], tmp_path: Path
) -> None:
    judge = write_reward_model(tmp_path / "rm", tuned["sft"])
    suite = {"kind": "preference", "data": "p", "against": "b", "by": "rm"}
    won = held(tuned, tmp_path / "a", "sft", suite, data=tuned["held pairs"], against=tuned["base"], by=judge)
    lost = held(tuned, tmp_path / "b", "base", suite, data=tuned["held pairs"], against=tuned["sft"], by=judge)
    assert won["win_rate"]["all"]["value"] == pytest.approx(1 - lost["win_rate"]["all"]["value"])
    told = held(
        tuned, tmp_path / "c", "sft", {"kind": "health", "data": "p", "against": "b", "proxy": "rm", "temperature": 0.0},
        data=tuned["held pairs"], against=tuned["base"], proxy=judge,
    )  # fmt: skip
    gain = told["proxy_gain"]["all"]["value"]
    before = held(
        tuned, tmp_path / "d", "base", {"kind": "health", "data": "p", "against": "b", "proxy": "rm", "temperature": 0.0},
        data=tuned["held pairs"], against=tuned["base"], proxy=judge,
    )  # fmt: skip
    assert (
        gain == pytest.approx(told["proxy"]["all"]["value"] - before["proxy"]["all"]["value"], abs=1e-5) and gain != 0
    )
