from __future__ import annotations

import pytest

from align.specs import STEPS
from align.specs.told import TOLD, is_told, meant


def test_telling_metrics_are_known_ones_of_their_kind() -> None:
    for kind, known in TOLD.items():
        telling = [name.replace("/", ".") for name in STEPS[kind].telling]
        assert [name for name in telling if not is_told(kind, name)] == [], kind
        assert len(set(known)) == len(known)


@pytest.mark.parametrize(
    "metric", ["loss", "eval_loss", "rows.dropped", "something.of.a.new.trainer", "dropped.too_log"]
)
def test_a_metric_that_may_be_told_is_not_taken_for_a_misspelt_one(metric: str) -> None:
    assert meant("dpo", metric) is None


def test_a_misspelt_metric_is_told_with_the_one_that_was_meant() -> None:
    assert meant("dpo", "rewards.margin") == "rewards.margins" and meant("ppo", "policy_los") == "policy_loss"
