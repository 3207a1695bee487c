"""Every pass of a suite over its rows is told, in order, up to the end: nobody waits without knowing how long."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tqdm import tqdm

from align.artifact.inputs import ModelInput
from align.evals.asking import Subject, completions
from align.evals.contract import Ask, Others
from align.evals.measured import Progress
from align.evals.suites import MEASURE
from align.evals.suites.benchmark import told_by
from align.evals.work import work_of
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


def told(suite: Suite, subject: Subject, rows: list[dict[str, Any]], row_type: str, reward: RewardModel) -> list[Any]:
    """What was told of the work: the share done, and the passes that heard anything. Rewards come from a model."""
    shares: list[float] = []
    work = work_of([(suite, row_type, len(rows), False)], lambda work: shares.append(work.share()))
    torch.manual_seed(0)
    others = Others(
        lambda field: subject, lambda field: TEXT, lambda field, subject: RewardScorer(reward, subject.tokenizer)
    )
    heard: list[list[float]] = []

    def begin() -> Progress:
        progress, mine = work.begin(), []
        heard.append(mine)

        def told(done: int, total: int, fresh: bool = True) -> None:
            mine.append(done / total)
            progress(done, total, fresh)

        return told

    work.ask(0)
    MEASURE[suite.kind](Ask(suite, subject, rows, row_type, begin, others, "suites.it"))
    assert len(heard) == len(work.passes), "the passes foreseen are not those that came"
    return [shares, heard, [each.kind for each in work.passes]]


@pytest.mark.parametrize(
    ("suite", "rows", "row_type", "passes"),
    [
        (FormatSuite(data="p", max_new_tokens=4), PROMPTS, "prompt", 1),
        (TransferSuite(data="p", scorer="length", train="t", max_new_tokens=4), PROMPTS, "prompt", 3),
        (RetentionSuite(data="p", against="m"), TEXT, "text", 3),
        (MemorisationSuite(data="p", heldout="h", tokens=4), TEXT, "text", 2),
        (KlSuite(data="p", against="m", max_new_tokens=4), PROMPTS, "prompt", 3),
        (FrontierSuite(data="p", against="m", proxy="reward", max_new_tokens=4), PROMPTS, "prompt", 4),
        (PreferenceSuite(data="p", against="m", by="reward", max_new_tokens=4), PAIRS, "preference", 6),
        (PreferenceSuite(data="p", against="m", by="scorer:length", max_new_tokens=4), PAIRS, "preference", 4),
        (HealthSuite(data="p", against="m", proxy="reward", gold="length", max_new_tokens=4), PAIRS, "preference", 9),
    ],
)
def test_every_pass_of_a_suite_is_foreseen_and_told_in_order(
    suite: Suite, rows: list[dict[str, Any]], row_type: str, passes: int, subject: Subject, reward: RewardModel
) -> None:
    shares, heard, kinds = told(suite, subject, rows, row_type, reward)
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1, abs=0.11)
    assert len(heard) == passes
    assert all(each == sorted(each) for each in heard)
    silent = [kind for kind, each in zip(kinds, heard, strict=True) if not each or each[-1] < 1]
    assert set(silent) <= {"quick"}, "nothing was told of a pass"  # where few rows are compared, or do not vary


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_is_that_of_the_whole_step_and_steady() -> None:
    """Answers take 10 s a pass and readings 2 s: four suites, of which the second one's answers are remembered."""
    clock, told = Clock(), []
    kl, form = KlSuite(data="p", against="m", max_new_tokens=20), FormatSuite(data="p", max_new_tokens=20)
    work = work_of([(kl, "prompt", 100, False), *[(form, "prompt", 100, False)] * 3], lambda work: None, clock)
    passes = [(0, 10.0), (0, 2.0), (0, 2.0), (1, 0.0), (2, 10.0), (3, 10.0)]
    for suite, seconds in passes:
        if suite != work.suite or not told:
            clock.now += 5  # a model is opened
            work.ask(suite)
        progress = work.begin()
        for done in range(10, 101, 10):
            clock.now += seconds / 10
            progress(done, 100, fresh=seconds > 0)
            told.append(work.left())
    reading = told[10:30]
    assert told[0] == pytest.approx(9 + 2 * 10 * 8 / 20 + 30, abs=1)  # readings are unknown, 8 units to 20 of answers
    assert reading[-1] == pytest.approx(30, abs=2)  # two passes of answers, and those that will be remembered
    assert max(abs(a - b) for a, b in pairwise(reading)) < 1.5
    assert told[39] == pytest.approx(20, abs=2) and told[-1] == 0
    assert told[40:] == sorted(told[40:], reverse=True)


def test_what_is_remembered_says_nothing_of_the_pace(subject: Subject, tmp_path: Path) -> None:
    kept = replace(subject, digest="d", cache=tmp_path)
    heard: list[bool] = []

    def progress(done: int, total: int, fresh: bool = True) -> None:
        heard.append(fresh)

    for _ in range(2):
        completions(kept, [[5, 6], [7, 8]], 3, 0.0, progress)
    assert heard[0] and heard[-1] is False


def test_the_bar_of_lm_eval_tells_requests_and_neither_batches_nor_anything_else() -> None:
    heard: list[tuple[int, int]] = []
    bar = told_by(tqdm, lambda done, total, fresh=True: heard.append((done, total)), 4)
    with Path(os.devnull).open("w") as nowhere:
        for total, what in ((6, "Running loglikelihood requests"), (3, "Running loglikelihood requests"), (9, "Texts")):
            shown = bar(total=total, desc=what, file=nowhere)
            for _ in range(total):
                shown.update(1)
            shown.close()
            shown.close()
        shown = bar(total=5, desc="Running generate_until requests", file=nowhere)
        shown.update(2)
    assert heard == [(n, 6) for n in range(1, 7)] + [(8, 11)]
