from __future__ import annotations

import pytest

from align.gates.language import Gate, Term, parse


def test_a_gate_is_read_with_all_its_parts() -> None:
    text = "dpo.probes.gold.far - baseline.dpo.probes.gold.far >= -1e-2 (confidence 0.9) or inconclusive"
    assert parse(text) == Gate(
        text, Term("dpo.probes.gold.far"), Term("dpo.probes.gold.far", stored=True), ">=", -0.01, 0.9, True
    )


@pytest.mark.parametrize("text", ["dpo.eval_loss<2", " dpo.eval_loss  <  2.0 ", "dpo.eval_loss < 2"])
def test_spaces_around_the_comparison_do_not_matter(text: str) -> None:
    gate = parse(text)
    assert (gate.figure.path, gate.operator, gate.threshold) == ("dpo.eval_loss", "<", 2.0)
    assert gate.minus is None and gate.confidence is None and not gate.tolerant


def test_a_dot_may_stand_for_a_slash_and_a_name_may_hold_a_minus() -> None:
    assert parse("dpo-2.eval_rewards/accuracies - sft-2.loss > 0").terms() == (
        Term("dpo-2.eval_rewards.accuracies"),
        Term("sft-2.loss"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dpo.probes.gold", "compares nothing. A gate is written like"),
        ("dpo.probes.gold = 1", '"=" in "dpo.probes.gold = 1" is no comparison. Did you mean ==?'),
        ("dpo.probes.gold => 1", "Did you mean >=?"),
        ("dpo.probes.gold >> 1", "Known: >, >=, <, <=, ==, !=."),
        ("dpo.probes.gold > 55%", "Write 55 % as a share of 1."),
        ("dpo.probes.gold > high", '"high" is no number'),
        ("dpo.probes.gold > nan", '"nan" is no number'),
        ("dpo.probes.gold >", '"" is no number'),
        ("gold > 1", '"gold" is no figure. It is written MODEL.SUITE.METRIC or STEP.METRIC'),
        ("a.b- c.d > 1", '"a.b- c.d" is no figure (a minus has spaces around it)'),
        ("a.b - c.d - e.f > 1", "subtracts more than once"),
        ("a.b > 1 (confidence 95)", "C between 0.5 and 1"),
        ("a.b > 1 (confidence x)", "C between 0.5 and 1"),
        ("a.b > 1 (0.95)", '"(0.95)" is not understood; expected (confidence C)'),
        ("a.b > 1 (confidence 0.9", "expected (confidence C)"),
        ("a.b > 1 or inconclusiv", "Did you mean or inconclusive?"),
        ("a.b > 1 confidence 0.9", "is not understood"),
        ("a.b > 1 and c.d > 2", "is not understood"),
    ],
)
def test_what_is_not_understood_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(text)
    assert said in str(error.value)
