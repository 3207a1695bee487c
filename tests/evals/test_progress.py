"""Every pass of a suite over its rows is told, in order, up to the end: nobody waits without knowing how long."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from align.artifact.inputs import ModelInput
from align.evals.asking import Subject
from align.evals.contract import Ask, Others
from align.evals.suites import MEASURE
from align.models.reward import RewardModel, load_reward_model
from align.scoring.reward_model import RewardScorer
from align.specs.contests import FrontierSuite, HealthSuite, KlSuite, PreferenceSuite
from align.specs.suites import FormatSuite, MemorisationSuite, RetentionSuite, Suite, TransferSuite
from tests.rewarding import write_reward_model
from tests.subjects import TEXTS, assistant, user

ASKED = [f"what is a {word} ?" for word in ("fox", "cat", "dog", "mat", "lazy fox", "quick dog")]
SLICES = ["in_domain", "near", "far"] * 2
PROMPTS = [{"prompt": user(text), "slice": part} for text, part in zip(ASKED, SLICES, strict=True)]
PAIRS = [{**p, "chosen": assistant("a cat sat"), "rejected": assistant("the fox")} for p in PROMPTS]
TEXT = [{"text": text} for text in TEXTS]


@pytest.fixture(scope="module")
def reward(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    folder = tmp_path_factory.mktemp("reward")
    subject.tokenizer.save_pretrained(folder / "like")
    made = write_reward_model(folder / "reward", ModelInput("like", folder / "like", "like"))
    return load_reward_model(made, torch.float32, torch.device("cpu"))


def told(suite: Suite, subject: Subject, rows: list[dict[str, Any]], row_type: str, reward: RewardModel) -> list[float]:
    """The shares told; rewards come from a model, other rows are the texts."""
    shares: list[float] = []
    torch.manual_seed(0)
    others = Others(
        lambda field: subject, lambda field: TEXT, lambda field, subject: RewardScorer(reward, subject.tokenizer)
    )
    ask = Ask(suite, subject, rows, row_type, lambda done, total: shares.append(done / total), others, "suites.it")
    MEASURE[suite.kind](ask)
    return shares


@pytest.mark.parametrize(
    ("suite", "rows", "row_type", "passes"),
    [
        (FormatSuite(data="p", max_new_tokens=4), PROMPTS, "prompt", 1),
        (TransferSuite(data="p", scorer="length", train="t", max_new_tokens=4), PROMPTS, "prompt", 2),
        (RetentionSuite(data="p", against="m"), TEXT, "text", 3),
        (MemorisationSuite(data="p", heldout="h", tokens=4), TEXT, "text", 2),
        (KlSuite(data="p", against="m", max_new_tokens=4), PROMPTS, "prompt", 3),
        (FrontierSuite(data="p", against="m", proxy="reward", max_new_tokens=4), PROMPTS, "prompt", 4),
        (PreferenceSuite(data="p", against="m", by="reward", max_new_tokens=4), PAIRS, "preference", 6),
        (PreferenceSuite(data="p", against="m", by="scorer:length", max_new_tokens=4), PAIRS, "preference", 4),
        (HealthSuite(data="p", against="m", proxy="reward", gold="length", max_new_tokens=4), PAIRS, "preference", 9),
    ],
)
def test_every_pass_of_a_suite_is_told_in_order(
    suite: Suite, rows: list[dict[str, Any]], row_type: str, passes: int, subject: Subject, reward: RewardModel
) -> None:
    shares = told(suite, subject, rows, row_type, reward)
    assert shares == sorted(shares) and shares[-1] <= 1
    reached = {min(passes, math.floor(share * passes + 1e-9) + 1) for share in shares}
    silent = set(range(1, passes + 1)) - reached
    assert len(silent) <= 1, f"nothing was told of passes {silent}"  # of two that end and begin at once, one speaks
    if suite.kind != "transfer":
        assert shares[-1] == 1
