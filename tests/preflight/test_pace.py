"""How long steps will take, against numbers worked by hand."""

from pathlib import Path
from typing import Any, cast

import pytest

from align.artifact.inputs import Inputs
from align.job import spec_of
from align.models.tokenizer import load_tokenizer
from align.preflight import pace
from align.preflight.trial import small
from align.specs import PpoSpec
from tests.preflight.conftest import context_of, write
from tests.tiny import pairs

SIDES = ("chosen", "rejected")

EVALUATED = """\
name: tiny
base: {base}
data:
  pairs: {{source: pairs.jsonl, as: preference}}
stages:
  evaluate:
    kind: evaluate
    models: [base]
    suites:
      kl: {{data: pairs, against: base, max_new_tokens: 24}}
      preference: {{data: pairs, limit: 20}}
"""


def test_an_evaluation_takes_as_much_longer_as_each_of_its_passes_has_more_to_do(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both suites are tried on 4 rows, answers of 16 tokens. kl: all 80 with 24 tokens, read by both models (8 units a row);
    preference: 20 of them, two answers read each."""
    monkeypatch.chdir(tmp_path)
    write(Path("pairs.jsonl"), pairs(80, 1))
    context = context_of(EVALUATED.format(base=base), tmp_path)
    jobs = context.jobs
    step = next(name for name, job in jobs.items() if job.kind == "measure")
    tried = small(spec_of(jobs[step]), 10**9, 10**5)  # as large as makes a CPU try the fewest rows
    inputs = Inputs({name: context.input(step, name) for name in jobs[step].edges}, tmp_path)

    def foreseen(**taken: float) -> float:
        return pace.of_an_evaluation(context, step, tried, inputs, taken, 5.0)

    assert foreseen() == 5.0
    each_step = pace.STEP_ROWS["cpu"]  # rows that the fixed part of a step of sampling is worth
    assert foreseen(answer=2.0) == pytest.approx(5 + 2 * ((80 + each_step) * 24 / ((4 + each_step) * 16) - 1))
    characters = sorted((len(str_of(row)) for row in pairs(80, 1)), reverse=True)
    usual = (sum(characters) / 80) / (sum(characters[:4]) / 4)  # the longest rows are tried
    assert foreseen(read=1.0) == pytest.approx(5 + (80 * 16 + 20 * 16) * usual / (4 * 16 + 4 * 16) - 1)
    assert foreseen(read=1.0, suite=3.0, seconds_left=9.0) == foreseen(read=1.0)


def str_of(row: dict[str, Any]) -> str:
    return "".join(turn["content"] for side in ("prompt", *SIDES) for turn in row[side])


def test_an_episode_is_scaled_to_its_tokens_and_epochs() -> None:
    """4 episodes of 10 new tokens behind 20: sampling and scoring 1 s, times 4; learning 3 s, times 60 / 30 and 2 epochs."""

    class Spec:
        def __init__(self, max_new_tokens: int, epochs: int) -> None:
            self.max_new_tokens, self.epochs, self.batch_size = max_new_tokens, epochs, 4

    whole, tried = cast(PpoSpec, Spec(40, 2)), cast(PpoSpec, Spec(10, 1))
    metrics = {"seconds/rollout": 0.75, "seconds/scoring": 0.25, "seconds/update": 3.0}
    assert pace.of_an_episode(metrics, whole, tried, 20.0) == pytest.approx((4 + 12) / 4)
    assert pace.of_an_update(metrics) == 4.0


def test_a_step_on_usual_rows_is_shorter_than_on_the_longest() -> None:
    assert pace.shorter(30.0, 120.0) == 0.25
    assert pace.shorter(120.0, 100.0) == pace.shorter(0.0, 100.0) == pace.shorter(10.0, 0.0) == 1.0
    assert pace.of_a_step({0: 0.0, 1: 5.0, 2: 6.0, 3: 6.5}, 8.0) == 0.5
    assert pace.of_a_step({}, 9.0) == 3.0


def test_what_pairs_usually_have_is_told_of_a_stage_that_trains_on_them(check: Any, base: Path) -> None:
    """Tokens of both sides, of all rows: the few long ones that are tried first are not all there is."""
    recipe = f"""
name: tiny
base: {base}
data:
  pairs: {{source: pairs.jsonl, as: preference}}
stages:
  dpo: {{kind: dpo, policy: base, data: pairs, learning_rate: 1e-3, max_length: 128, batch_size: 8}}
"""
    long = {"prompt": "red dog", "chosen": " ".join(["warm"] * 20), "rejected": " ".join(["cold"] * 20)}
    rows = [*[long] * 24, *pairs(200, 1)]
    write(Path("pairs.jsonl"), rows)
    _, told = check(recipe)
    tokenizer = load_tokenizer(base)

    def tokens(row: dict[str, Any]) -> int:
        prompt = row["prompt"] if isinstance(row["prompt"], list) else [{"role": "user", "content": row["prompt"]}]
        sides = [row[s] if isinstance(row[s], list) else [{"role": "assistant", "content": row[s]}] for s in SIDES]
        return sum(len(tokenizer.apply_chat_template(prompt + side)["input_ids"]) for side in sides)

    each = [tokens(row) for row in rows]
    assert told["cost"]["steps"]["dpo"]["row_tokens"] == pytest.approx(sum(each) / len(each))
    assert max(each) > 2 * sum(each) / len(each)
