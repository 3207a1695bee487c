"""Verdicts by hand."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from align import gates
from align import plan as plans
from align.artifact.store import Store
from align.errors import ArtifactError, UserError
from align.estimates import Estimate, mean
from align.gates.judge import decide, judge, rows_to_decide
from align.gates.language import parse
from align.recipe import load
from tests.measuring import seal_reports, suite, write_recipe

FIVE = Estimate(5.0, 5 - 2.2281, 5 + 2.2281, 11, 11, 1.0)  # eleven prompts with a standard error of 1


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        ("a.b > 3.18", "pass"), ("a.b > 3.19", "inconclusive"), ("a.b > 6.81", "inconclusive"), ("a.b > 6.82", "fail"),
        ("a.b >= 3.18", "pass"), ("a.b < 6.82", "pass"), ("a.b < 6.81", "inconclusive"), ("a.b < 3.18", "fail"),
        ("a.b <= 3.19", "inconclusive"),
        ("a.b > 3.7 (confidence 0.9)", "inconclusive"), ("a.b > 3.62 (confidence 0.9)", "pass"),
        ("a.b > 2.3 (confidence 0.99)", "inconclusive"), ("a.b > 2.2 (confidence 0.99)", "pass"),
    ],
)  # fmt: skip
def test_a_verdict_needs_the_whole_one_sided_bound(gate: str, verdict: str) -> None:
    """t(10), one-sided: 1.3722 at .9, 1.8125 at .95, 2.7638 at .99."""
    found = decide(parse(gate), 1, FIVE)
    assert (found.verdict, found.blocks) == (verdict, verdict != "pass")


def test_a_tolerant_gate_blocks_only_when_it_surely_fails() -> None:
    assert not decide(parse("a.b > 4 or inconclusive"), 1, FIVE).blocks
    assert decide(parse("a.b > 8 or inconclusive"), 1, FIVE).blocks


def test_an_undecided_gate_says_how_many_rows_would_decide_it() -> None:
    """1 away with se sqrt(11 / n): 31 rows leave 1.6973 * .5957 = 1.011, 32 leave 1.6955 * .5863 = .994."""
    assert decide(parse("a.b > 4"), 1, FIVE).n_to_decide == 32
    assert decide(parse("a.b > 5"), 1, FIVE).n_to_decide is None
    found = decide(parse("a.b > 0"), 1, mean([1.0, 2.0], ["a", "a"], "real"))
    assert (found.verdict, found.n_to_decide) == ("inconclusive", None)


def test_so_many_rows_do_decide_it() -> None:
    gate, share = parse("a.b > 0.5"), mean([1.0] * 6 + [0.0] * 4, range(10), "share")
    n = rows_to_decide(gate, share)
    assert n
    ones = math.ceil(0.6 * n)
    assert decide(gate, 1, mean([1.0] * ones + [0.0] * (n - ones), range(n), "share")).verdict == "pass"
    assert decide(gate, 1, share.times(0.8 * n / 10)).verdict == "inconclusive"


def test_models_at_the_threshold_pass_one_time_in_twenty() -> None:
    rng, passed, gate = random.Random(0), 0, parse("a.b > 0.5")
    for _ in range(2000):
        passed += decide(gate, 1, mean([rng.gauss(0.5, 1) for _ in range(20)], range(20), "real")).verdict == "pass"
    assert passed / 2000 == pytest.approx(0.05, abs=0.015)


BEFORE = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
AFTER = [x + (0.11 if i % 2 else 0.09) for i, x in enumerate(BEFORE)]
SLICES = ["near"] * 6 + ["far"] * 5


def probes(values: list[float], **told: Any) -> dict[str, Any]:
    return {"probes": suite({"gold": values}, SLICES, **told), "preference": suite({"accuracy": [1.0, 0.0, 1.0, 1.0]})}


MODELS = {"base": probes(BEFORE), "sft": probes(BEFORE), "dpo": probes(AFTER)}


def judged(folder: Path, *sentences: str, extra: str = "", models: Any = MODELS, **told: Any) -> gates.Judgement:
    path = write_recipe(folder, sentences, extra)
    plan = seal_reports(path, models, **told)
    return judge(load(path), plan.steps)


def verdicts(folder: Path, *sentences: str, **told: Any) -> list[gates.Verdict]:
    judgement = judged(folder, *sentences, **told)
    assert not judgement.waiting and not judgement.problems, judgement
    return judgement.verdicts


def baseline(folder: Path, models: Any) -> None:
    plan = seal_reports(write_recipe(folder, []), models, store="old")
    gates.save_baseline(plan.steps, folder / "baseline.json")


def test_a_difference_on_the_same_rows_is_paired(here: Path) -> None:
    """Differences of .09 (six) and .11 (five): mean 1.09/11, se = .00315; unpaired the rows' own se is .14."""
    (found,) = verdicts(here, "dpo.probes.gold - sft.probes.gold > 0.09")
    assert found.value == pytest.approx(1.09 / 11)
    assert (found.verdict, found.paired, found.n) == ("pass", True, 11)
    assert found.low is not None and found.value - found.low == pytest.approx(1.8125 * 0.00315, rel=0.01)


def test_a_slice_and_a_drop_between_slices_are_judged(here: Path) -> None:
    """near: 0 to .5, mean .25; far: .6 to 1, mean .8; other rows, so the difference is Welch's."""
    far, drop = verdicts(here, "sft.probes.gold.far > 0.6", "sft.probes.gold.near - sft.probes.gold.far < -0.3")
    assert (far.value, far.n, far.verdict) == (pytest.approx(0.8), 5, "pass")
    assert (drop.value, drop.paired, drop.verdict) == (pytest.approx(-0.55), False, "pass")


def test_no_bound_of_an_accuracy_with_ties_over_two_prompts_is_impossible(here: Path) -> None:
    """t(1) is 6.3 at a one-sided .95: about .75 ± 1.58, and about a difference of -.25 ± 1.58."""
    rows, won = suite({"accuracy": [0.5, 1.0]}), suite({"accuracy": [1.0, 1.0]})
    for body in (rows, won):
        body["rows"]["scales"] = {"accuracy": "share"}
        body["metrics"]["accuracy"]["all"] = mean(body["rows"]["values"]["accuracy"], "ab", "share").to_json()
    models = {"base": {}, "sft": {"preference": won}, "dpo": {"preference": rows}}
    rate, less = verdicts(
        here, "dpo.preference.accuracy <= 1", "dpo.preference.accuracy - sft.preference.accuracy >= -1", models=models
    )
    assert rate.low is not None and rate.high is not None and less.low is not None and less.high is not None
    assert 0 <= rate.low < 0.75 < rate.high <= 1 and rate.verdict == "pass"
    assert -1 <= less.low < -0.25 < less.high <= 1 and less.verdict == "pass" and less.paired


def test_figures_that_are_0_for_every_row_are_judged_as_their_scale_has_it(here: Path) -> None:
    """The same zeros: a score that may be anything is 0, a share of wrong answers may be some of many more rows."""
    zeros = suite({"gold": [0.0] * 8, "stops": [0.0] * 8})
    zeros["rows"]["scales"] = {"gold": "real", "stops": "share"}
    models = {"base": {"probes": zeros}, "sft": {"probes": zeros}, "dpo": {}}
    kl, wrong = (f"sft.probes.{name} - base.probes.{name} < 0.01" for name in ("gold", "stops"))
    assert [v.verdict for v in verdicts(here, kl, wrong, models=models)] == ["pass", "inconclusive"]


def test_reports_that_tell_no_scales_are_read_as_they_were_meant(here: Path) -> None:
    """There yes/no answers are a share: no change among six prompts leaves ± 1.64 * sqrt(2) / 8 = .29 one-sided."""
    old = suite({"stops": [1.0, 0.0, 1.0, 1.0, 1.0, 1.0], "gold": [2.0, 2.5, 3.0, 2.0, 2.5, 3.0]})
    del old["rows"]["scales"]
    models = {"base": {"probes": old}, "sft": {"probes": old}, "dpo": {}}
    gates = [f"sft.probes.{name} - base.probes.{name} < 0.28" for name in ("stops", "gold")]
    assert [v.verdict for v in verdicts(here, *gates, models=models)] == ["inconclusive", "pass"]


def test_losses_a_token_are_compared_as_ratios_of_the_same_rows(here: Path) -> None:
    def told(nll: list[float]) -> dict[str, Any]:
        return {"preference": suite({"accuracy": nll}, weights={"accuracy": [10.0, 20.0, 30.0]})}

    models = {"base": told([20, 40, 66]), "sft": {}, "dpo": told([15, 31, 50])}
    (found,) = verdicts(here, "dpo.preference.accuracy - base.preference.accuracy < 0", models=models)
    assert found.value == pytest.approx(96 / 60 - 126 / 60)
    assert found.verdict == "pass" and found.paired


def test_figures_that_only_the_joint_table_has_are_found_there(here: Path) -> None:
    drop = mean([0.01, 0.02, 0.03, 0.02], range(4), "real").to_json()
    joint = [{"suite": "probes", "metric": "stops", "slice": "all", "values": {"dpo": drop, "sft": None}}]
    (found,) = verdicts(here, "dpo.probes.stops < 0.04", joint=joint)
    assert (found.value, found.verdict) == (pytest.approx(0.02), "pass")


def test_plain_metrics_of_steps_and_sums_over_data_are_judged_as_they_are(here: Path) -> None:
    found = verdicts(
        here, "sft.loss < 2", "dpo.eval_rewards.accuracies > 0.7", "data.rows.dropped == 6", "chat.rows.dropped == 0",
        "dpo.loss - sft.loss <= 0",
    )  # fmt: skip
    assert [v.verdict for v in found] == ["pass", "fail", "pass", "fail", "pass"]
    assert found[2].note == "summed over all data entries" and found[2].value == 6
    assert all(v.low is None and v.n is None for v in found)


def test_a_sum_says_which_entries_tell_the_metric(here: Path) -> None:
    (found,) = verdicts(here, "data.dropped.empty == 0", metrics={"pairs": {"dropped/empty": 3.0}})
    assert (found.verdict, found.value, found.note) == ("fail", 3, "summed over pairs")


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("sft.perplexity < 2", 'sft never told "perplexity". Known: loss.'),
        ("data.dropped.too_long == 0", 'no data entry tells "dropped.too_long". Did you mean rows.dropped?'),
        ("data.copies.rows == 0", 'no data entry tells "copies.rows". Known: rows.dropped, rows.train.'),
        ("sft.probes.gold.fra > 0", 'probes has no slice "fra". Did you mean far?'),
        ("sft.preference.accuracy.far > 0", "Its rows have no slices."),
        ("sft.probes.stops > 0", 'probes did not measure "stops" of sft. Known: gold.'),
    ],
)
def test_what_was_never_produced_is_told_with_what_was(gate: str, said: str, here: Path) -> None:
    judgement = judged(here, "sft.loss < 2", gate)
    assert len(judgement.verdicts) == 1  # the others are judged all the same
    (problem,) = judgement.problems
    assert said in problem.message and problem.key == gate
    assert (here / "judged.yaml").read_text().splitlines()[problem.line - 1].strip() == f"- {gate}"


def test_a_gate_waits_for_the_steps_it_speaks_of_and_for_no_others(here: Path) -> None:
    path = write_recipe(here, ["sft.loss < 2", "dpo.probes.gold > 0"])
    seal_reports(path, MODELS)
    changed = load(path, ["stages.dpo.beta=0.3"])
    judgement = judge(changed, plans.make(changed, Store(Path(".align"))).steps)
    assert [v.gate for v in judgement.verdicts] == ["sft.loss < 2"]
    assert [(w.gate, w.steps) for w in judgement.waiting] == [("dpo.probes.gold > 0", ("evaluate.dpo", "evaluate"))]


def test_a_report_edited_after_sealing_is_refused(here: Path) -> None:
    path = write_recipe(here, ["dpo.probes.gold > 0"])
    plan = seal_reports(path, MODELS)
    report = (plan.steps["evaluate.dpo"].artifact or here) / "report.json"
    report.write_text(report.read_text().replace("0.1", "0.9"))
    with pytest.raises(ArtifactError, match="does not match the hash"):
        judge(load(path), plan.steps)


AGAINST = "dpo.probes.gold - baseline.dpo.probes.gold > -0.01"


def test_a_figure_is_held_against_a_stored_baseline_row_by_row(here: Path) -> None:
    baseline(here, {"base": {}, "sft": {}, "dpo": probes(BEFORE)})
    ours, loss = verdicts(here, AGAINST, "sft.loss - baseline.sft.loss <= 0", extra="baseline: baseline.json\n")
    assert (ours.verdict, ours.paired, ours.value) == ("pass", True, pytest.approx(1.09 / 11))
    assert (loss.verdict, loss.value) == ("pass", 0)


@pytest.mark.parametrize("old", [{"data": "yesterday"}, {"clusters": [str(i) for i in range(1, 12)]}])
def test_a_baseline_from_other_data_is_refused(old: dict[str, Any], here: Path) -> None:
    baseline(here, {"base": {}, "sft": {}, "dpo": probes(BEFORE, **old)})
    judgement = judged(here, AGAINST, extra="baseline: baseline.json\n")
    assert not judgement.verdicts
    assert "was measured on other rows" in judgement.problems[0].message


def test_a_figure_that_the_baseline_lacks_is_told_as_such(here: Path) -> None:
    baseline(here, {"base": {}, "sft": {}, "dpo": {}})
    (problem,) = judged(here, AGAINST, extra="baseline: baseline.json\n").problems
    assert problem.message.startswith("baseline.json holds no dpo.probes.gold: probes did not measure")


@pytest.mark.parametrize("content", [None, "[]", "{", json.dumps({"schema": "other"})])
def test_a_file_that_is_no_baseline_is_told(content: str | None, here: Path) -> None:
    if content is not None:
        (here / "baseline.json").write_text(content)
    with pytest.raises(UserError, match="there is no such baseline" if content is None else "this is no baseline file"):
        judged(here, AGAINST, extra="baseline: baseline.json\n")
