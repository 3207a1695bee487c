from __future__ import annotations

from pathlib import Path

import pytest

from align.errors import RecipeError
from align.gates.language import Term
from align.gates.names import StepMetric, SuiteMetric, figure_of
from align.recipe import load
from tests.measuring import RECIPE, write_recipe


def problems(path: Path) -> list[str]:
    with pytest.raises(RecipeError) as error:
        load(path)
    return [p.message for p in error.value.problems]


def test_names_stand_for_models_steps_stages_and_all_data(here: Path) -> None:
    recipe = load(write_recipe(here, []))
    wanted = {
        "dpo.probes.gold.far": SuiteMetric("evaluate", "dpo", "probes", "gold.far"),
        "base.preference.accuracy": SuiteMetric("evaluate", "base", "preference", "accuracy"),
        "evaluate.sft.probes.stops": SuiteMetric("evaluate", "sft", "probes", "stops"),
        "sft.loss": StepMetric(("sft",), "loss"),
        "chat.rows.dropped": StepMetric(("chat",), "rows.dropped"),
        "data.rows.dropped": StepMetric(("chat", "pairs", "probes"), "rows.dropped", summed=True),
        "dpo.eval_rewards.accuracies": StepMetric(("dpo",), "eval_rewards.accuracies"),
    }
    assert {path: figure_of(Term(path), recipe) for path in wanted} == wanted


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("dop.probes.gold > 1", '"dop" is no step and no model that is measured. Did you mean dpo?'),
        ("dpo.porbes.gold > 1", '"porbes" is no suite. Did you mean probes?'),
        ("base.eval_loss > 1", '"eval_loss" is no suite. Known: preference, probes.'),
        ("dpo.probes.glod > 1", 'probes does not measure "glod". Did you mean gold?'),
        ("dpo.probes.glod.far > 1", 'probes does not measure "glod.far". Did you mean gold?'),
        ("dpo.preference.winners > 1", 'preference does not measure "winners". Known: accuracy.'),
        (
            "dpo.preference.reward_accuracy > 1",
            'does not measure "reward_accuracy" as it is set; one of these lets it: against',
        ),
        ("dpo.gold > 1", 'dpo tells no "gold"; suites measure it. Did you mean dpo.probes.gold?'),
        ("probes.gold > 1", 'probes tells no "gold"; suites measure it. Did you mean dpo.probes.gold?'),
        ("sft.los < 2", 'sft tells no "los". Did you mean loss?'),
        ("dpo.eval_losss < 2", 'dpo tells no "eval_losss". Did you mean eval_loss?'),
        ("dpo.eval_rewards.acuracies > .5", "Did you mean eval_rewards.accuracies?"),
        ("chat.rows.droped == 0", "Did you mean rows.dropped?"),
        ("data.rows.droped == 0", "Did you mean data.rows.dropped?"),
        ("evaluate.dop.probes.gold > 1", '"dop" is no model that evaluate measures. Did you mean dpo?'),
        ("evaluate.dpo.prob.gold > 1", '"prob" is no suite of evaluate. Did you mean probes?'),
        ("sft.eval_loss < 2", "sft measures nothing held out while it trains; give stages.sft.eval_data"),
        ("dpo.probes.gold == 1", "has an interval, which never equals a number"),
        ("sft.loss < 2 (confidence 0.9)", "plain number without an interval"),
        ("dpo.probes.gold - dpo.loss > 0", "only one of them is measured over rows"),
        ("dpo.probes.gold - baseline.dpo.probes.gold > 0", "Save one: align gate RECIPE --save-baseline FILE"),
        ("data.leakage.rows == 0", "nothing looks for leaks. Name what must not leak in, e.g. data.chat.against:"),
        ("pairs.leakage.rows == 0", "nothing looks for leaks"),
        ("evaluate.dpo.probes > 1", "dpo.probes needs a metric. Known: gold, format, facts, intrusion, stops."),
    ],
)
def test_a_name_that_stands_for_nothing_is_told_before_a_run(gate: str, said: str, here: Path) -> None:
    assert any(said in message for message in problems(write_recipe(here, [gate])))


def test_every_mistake_is_told_at_once_with_its_line(here: Path) -> None:
    path = write_recipe(here, ["dpo.probes.gold > 0.5", "dop.probes.gold > 1", "dpo.loss < 1", "sft.probes.glod < 1"])
    path.write_text(path.read_text().replace("data: chat", "data: chta"))
    with pytest.raises(RecipeError) as error:
        load(path)
    lines = path.read_text().splitlines()
    told = {p.key: lines[p.line - 1] for p in error.value.problems}
    assert told.keys() == {"stages.sft.data", "gates.1", "gates.3"}
    assert "dop" in told["gates.1"] and "glod" in told["gates.3"]


def test_a_gate_that_cannot_be_read_is_told_with_the_rest(here: Path) -> None:
    path = write_recipe(here, ["dpo.probes.gold = 1", "dpo.probes.gold > 5%"])
    assert len(problems(path)) == 2
    assert "is no comparison" in problems(path)[0]


def test_two_stages_that_measure_the_same_must_be_told_apart(here: Path) -> None:
    path = write_recipe(here, ["dpo.probes.gold > 0", "again.dpo.probes.gold > 0"])
    again = RECIPE[RECIPE.index("  evaluate:") :].replace("evaluate:\n", "again:\n")
    path.write_text(path.read_text().replace("gates:", again + "gates:"))
    assert problems(path) == ["dpo.probes is measured by evaluate and again. Write evaluate.dpo.probes..."]


def test_a_data_entry_called_data_makes_the_sum_ambiguous(here: Path) -> None:
    path = write_recipe(here, ["data.rows.dropped == 0"])
    path.write_text(path.read_text().replace("  chat:", "  data:").replace("data: chat", "data: data"))
    assert any("rename it" in message for message in problems(path))
