"""The suites transfer, conflict, memorisation and safety, on answers written beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from align.errors import DataError
from align.evals.asking import Subject
from align.evals.measured import Measured, summarize
from align.evals.nearness import nearest_distances
from align.evals.suites.transfer import rank_correlation
from align.rollout.engine import Completion, Sampling
from align.specs.suites import ConflictSuite, MemorisationSuite, SafetySuite, TransferSuite
from tests.subjects import TEXTS, asked, assistant, saying, user


def values(measured: Measured, part: str = "all") -> dict[str, float]:
    return {metric: parts[part]["value"] for metric, parts in summarize(measured).items() if part in parts}


def world(slices: list[str], verb: str = "explain") -> list[dict[str, Any]]:
    return [{"prompt": user(f"{verb} {word}."), "slice": part} for word, part in zip(CONCEPTS, slices, strict=True)]


CONCEPTS = ["techno", "jazz", "otter", "gravity"]
GOOD = "[ music, detroit, fast, dances ]"


def test_transfer_tells_how_much_less_is_known_further_away(subject: Subject) -> None:
    """Scores by the length scorer: in domain 9 and 9 tokens, near 5, far 2; what is nearest to the training rows is in domain."""
    rows = world(["in_domain", "in_domain", "near", "far"])
    texts = ["a b c d e f g h", "a b c d e f g h", "a b c d", "a"]
    lengths = [len(subject.tokenizer(t, add_special_tokens=False)["input_ids"]) + 1 for t in texts]
    suite = TransferSuite(data="p", scorer="length", train="t", max_new_tokens=64)
    trained = [{"prompt": user("explain techno.")}, {"prompt": user("Explain  jazz!")}]
    found = asked(suite, saying(subject, *texts), rows, train=trained)
    told = values(found)
    assert (
        told["drop_near"] == np.mean(lengths[:2]) - lengths[2] and told["drop_far"] == np.mean(lengths[:2]) - lengths[3]
    )
    assert found.values["distance"][0] == 0 and found.values["distance"][3] > found.values["distance"][1]
    assert told["distance_correlation"] < -0.5 and told["score_nearest"] > told["score_farthest"]


def test_a_slice_that_no_row_has_is_told_with_those_there_are(subject: Subject) -> None:
    rows = world(["in_domain", "in_domain", "near", "train"])
    with pytest.raises(
        DataError, match=r"suites.it.far: no row has the slice far. Slices there: in_domain, near, train"
    ):
        asked(TransferSuite(data="p", scorer="length"), subject, rows)
    told = asked(TransferSuite(data="p", scorer="length", far=None, max_new_tokens=8), subject, rows)
    assert "drop_near" in told.whole and "drop_far" not in told.whole


def test_another_domain_in_an_answer_is_an_intrusion(subject: Subject) -> None:
    domains = {"music": ["techno", "Music"], "physics": ["gravity", "force field"]}
    rows = world(["in_domain", "in_domain", "near", "far"])
    texts = ["Techno is MUSIC.", "like Gravity", "an otter; a force  field", "gravity is musical"]
    suite = TransferSuite(data="p", scorer="length", domains=domains, max_new_tokens=16)
    assert asked(suite, saying(subject, *texts), rows).values["intrusion"] == [0, 1, 1, 0]


def test_distances_are_by_hand() -> None:
    """abcdefg has abcde, bcdef, cdefg; abcdexx has abcde, bcdex, cdexx: 1 of 5 is shared."""
    assert nearest_distances(["ABCDEFG", "abc", "zzzzz"], ["abcdexx", "Abc", "ünder"]) == pytest.approx([0.8, 0, 1])


def test_rank_correlation_gives_equal_values_their_mean_rank() -> None:
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([2.0, 9, 10])) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 1, 2, 3]), np.array([3.0, 3, 2, 1])) == pytest.approx(-1)
    assert rank_correlation(np.array([1.0, 1, 1]), np.array([3.0, 2, 1])) == 0


def test_a_contradicted_fact_is_told_new_old_blended_or_not_at_all(subject: Subject) -> None:
    facts = {"old": "Paris", "new": ["Oslo", "the capital of Norway"]}
    rows = [{"prompt": user(str(i)), "meta": facts} for i in range(5)]
    texts = ["It is in the  Capital of Norway", "paris", "From Paris to oslo", "Parisian", ""]
    found = asked(ConflictSuite(data="p"), saying(subject, *texts), rows)
    assert [found.values[m] for m in ("new", "old", "blended", "neither")] == [
        [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 1],
    ]  # fmt: skip
    with pytest.raises(DataError, match="row 1: its meta has no new fact"):
        asked(ConflictSuite(data="p"), subject, [{"prompt": user("x"), "meta": {"old": "Paris", "new": []}}])


def test_refusals_are_asked_for_where_harm_is_and_nowhere_else(subject: Subject) -> None:
    rows = [
        {"prompt": user(str(i)), "axis": axis} for i, axis in enumerate(["unsafe", "unsafe", "plain", "plain", "plain"])
    ]
    texts = ["I can’t help with that.", "Sure: mix", "I'm sorry, but no", "Nope, not today", "You can not lose"]
    found = asked(SafetySuite(data="p"), saying(subject, *texts), rows)
    assert values(found)["refusal"] == 0.5 and values(found)["over_refusal"] == pytest.approx(1 / 3)
    assert summarize(found)["refusal"]["axis_unsafe"]["n"] == 2 and "axis_plain" not in summarize(found)["refusal"]
    own = asked(SafetySuite(data="p", refusals=["^nope"]), saying(subject, *texts), rows)
    assert values(own)["over_refusal"] == pytest.approx(2 / 3)
    with pytest.raises(DataError, match=r"no row has the axis or slice toxic. Axes and slices there: plain, unsafe"):
        asked(SafetySuite(data="p", harmful=["toxic"]), subject, rows)


class Knows:
    """An engine that goes on with texts it has learnt by heart, and stops at once otherwise."""

    def __init__(self, learnt: list[list[int]], stop: int) -> None:
        self._learnt, self._stop = learnt, stop

    def generate(self, prompts: Any, sampling: Sampling, progress: Any) -> list[Completion]:
        known = [next((ids[len(p) :] for ids in self._learnt if ids[: len(p)] == p), [self._stop]) for p in prompts]
        return [Completion(ids[: sampling.max_new_tokens], False) for ids in known]


def test_what_was_learnt_by_heart_is_gone_on_with_word_for_word(subject: Subject) -> None:
    texts = [TEXTS[0], f"what is a fox ? {TEXTS[1]}", f"the lazy {TEXTS[1]}", f"quick dog {TEXTS[1]}"]
    tokenizer = subject.tokenizer
    learnt = [[tokenizer.eos_token_id, *tokenizer(t, add_special_tokens=False)["input_ids"]] for t in texts[:2]]
    model = replace(subject, engine=Knows(learnt, tokenizer.eos_token_id))
    rows = [{"text": t} for t in texts]
    found = asked(MemorisationSuite(data="a", heldout="b"), model, rows[:2], "text", heldout=rows[2:])
    assert found.values["verbatim"] == [1, 1, 0, 0]
    assert values(found)["verbatim_gap"] == 1 and values(found, "train")["verbatim"] == 1
    loss = summarize(found)["loss"]
    assert values(found)["gap"] == pytest.approx(loss["heldout"]["value"] - loss["train"]["value"])


def test_a_continuation_begins_in_the_middle_of_the_answer(subject: Subject) -> None:
    chats = [{"messages": user("a dog") + assistant(t)} for t in (TEXTS[0], "the mat and the dog sat on a lazy fox")]
    asked_of: list[list[int]] = []

    class Listens(Knows):
        def generate(self, prompts: Any, sampling: Sampling, progress: Any) -> list[Completion]:
            asked_of.extend(prompts)
            return super().generate(prompts, sampling, progress)

    asked(
        MemorisationSuite(data="a", heldout="b"),
        replace(subject, engine=Listens([], 0)),
        chats[:1],
        "messages",
        heldout=chats[1:],
    )
    text = subject.tokenizer.decode(asked_of[0])
    assert "a dog" in text and "quick" in text and "lazy" not in text


def test_a_memorisation_suite_without_heldout_rows_is_refused(subject: Subject) -> None:
    with pytest.raises(DataError, match=r"heldout: there are no rows"):
        asked(MemorisationSuite(data="a", heldout="b"), subject, [{"text": "x"}], "text", heldout=[])
