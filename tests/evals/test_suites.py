from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from align.errors import DataError
from align.evals.asking import Subject
from align.evals.contract import Ask, Others
from align.evals.measured import Measured, summarize
from align.evals.suites.preference import sides
from align.specs.suites import GenerationSuite, LossSuite, PreferenceSuite
from tests.subjects import asked, assistant, unheard, user

PREFERENCE, LOSS = PreferenceSuite(data="p"), LossSuite(data="l")


def logprob(subject: Subject, prompt: list[dict[str, Any]], answer: str) -> float:
    """log p(answer and stop token | prompt), one row at a time through plain transformers."""
    start = subject.tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    prompt_ids = subject.tokenizer(start, add_special_tokens=False)["input_ids"]
    answer_ids = [*subject.tokenizer(answer, add_special_tokens=False)["input_ids"], subject.tokenizer.eos_token_id]
    ids = torch.tensor([prompt_ids + answer_ids])
    with torch.no_grad():
        logprobs = torch.log_softmax(subject.model(ids).logits[0, :-1], -1)
    picked = logprobs.gather(1, ids[0, 1:, None])[:, 0]
    return float(picked[len(prompt_ids) - 1 :].sum())


PAIRS = [
    {"prompt": user("what is a fox ?"), "chosen": assistant("the quick brown fox"), "rejected": assistant("a cat")},
    {
        "prompt": user("a dog"),
        "chosen": assistant("mat"),
        "rejected": assistant("over the lazy dog jumps the fox on the mat"),
    },
    {"prompt": user("a dog"), "chosen": assistant("on the mat"), "rejected": assistant("sat")},
    {"prompt": user("cat ?"), "chosen": assistant("jumps over"), "rejected": assistant("jumps over"), "slice": "tie"},
]


def test_preference_logprobs_equal_plain_transformers_row_by_row(subject: Subject) -> None:
    ask = Ask(
        PREFERENCE,
        subject,
        PAIRS,
        "preference",
        lambda: unheard,
        Others({}.get, {}.get, {}.get),
    )  # type: ignore[arg-type]
    for pair, chosen, rejected in zip(PAIRS, *sides(ask, subject), strict=True):
        assert chosen == pytest.approx(logprob(subject, pair["prompt"], pair["chosen"][0]["content"]), abs=1e-4)
        assert rejected == pytest.approx(logprob(subject, pair["prompt"], pair["rejected"][0]["content"]), abs=1e-4)


def test_preference_accuracy_counts_wins_and_half_of_ties(subject: Subject) -> None:
    found = asked(PREFERENCE, subject, PAIRS, "preference").values["accuracy"]
    by_hand = [
        logprob(subject, p["prompt"], p["chosen"][0]["content"])
        > logprob(subject, p["prompt"], p["rejected"][0]["content"])
        for p in PAIRS[:3]
    ]
    assert found == [*map(float, by_hand), 0.5]


def test_a_model_against_itself_has_no_margin(subject: Subject) -> None:
    found = asked(PreferenceSuite(data="p", against="m"), subject, PAIRS, "preference", against=subject)
    assert found.values["logratio_margin"] == [0.0] * 4
    assert found.values["reward_accuracy"] == [0.5] * 4
    told = summarize(found)
    assert {told["logratio_margin"]["all"][end] for end in ("low", "high")} == {0}
    assert 0 < told["reward_accuracy"]["all"]["low"] < 0.5 < told["reward_accuracy"]["all"]["high"] < 1


def test_a_value_that_its_scale_does_not_allow_is_a_fault() -> None:
    measured = Measured(clusters=["a", "b"])
    measured.add("win_rate", "share", [0.5, 1.0])
    measured.add("first", "share", [2.0, 9.0], [2.0, 0.0])  # what does not count need not be on the scale
    for scale, values in (("share", [0.5, -0.5]), ("signed", [1.5, 0.0])):
        with pytest.raises(ValueError, match=f"is a {scale}, and a row of it is"):
            measured.add("gain", scale, values)  # type: ignore[arg-type]


def test_rows_of_one_prompt_are_one_cluster_and_slices_are_told_apart(subject: Subject) -> None:
    summary = summarize(asked(PREFERENCE, subject, PAIRS, "preference"))
    assert summary["accuracy"]["all"]["n"] == 4 and summary["accuracy"]["all"]["clusters"] == 3
    assert summary["accuracy"]["tie"]["n"] == 1


def test_loss_is_the_mean_over_assistant_tokens_only(subject: Subject) -> None:
    rows = [{"messages": user("a dog") + assistant("sat on the mat")}, {"messages": user("fox") + assistant("jumps")}]
    summary = summarize(asked(LOSS, subject, rows, "messages"))
    total = sum(-logprob(subject, r["messages"][:1], r["messages"][1]["content"]) for r in rows)
    tokens = sum(len(subject.tokenizer(r["messages"][1]["content"])["input_ids"]) + 1 for r in rows)
    assert summary["loss"]["all"]["value"] == pytest.approx(total / tokens, rel=1e-4)


def test_bits_per_byte_divides_by_bytes_and_not_tokens(subject: Subject) -> None:
    rows = [{"text": "the quick brown fox"}, {"text": "a cät sat"}]
    measured = asked(LOSS, subject, rows, "text")
    total = sum(measured.values["loss"])
    by_hand = total / math.log(2) / sum(len(r["text"].encode()) for r in rows)
    assert summarize(measured)["bits_per_byte"]["all"]["value"] == pytest.approx(by_hand)


def test_generation_is_greedy_and_scored_by_name(subject: Subject) -> None:
    rows = [{"prompt": user(t), "slice": t[0]} for t in ("what is a fox ?", "a dog", "the mat sat on a cat", "fox")]
    suite = GenerationSuite(data="x", scorers=["stops", "length"], max_new_tokens=5)
    measured = asked(suite, subject, rows)
    for row, answer, tokens in zip(rows, measured.answers, measured.values["tokens"], strict=True):
        ids = subject.tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
        stop = subject.tokenizer.eos_token_id
        alone: list[int] = []
        while len(alone) < 5 and stop not in alone:  # by hand: one row, no padding, no cache
            with torch.no_grad():
                alone.append(int(subject.model(torch.tensor([ids + alone])).logits[0, -1].argmax()))
        assert answer.answer.text == subject.tokenizer.decode([t for t in alone if t != stop], skip_special_tokens=True)
        assert tokens == len(alone)


def test_what_does_not_fit_the_window_is_refused(subject: Subject) -> None:
    suite = GenerationSuite(data="x", max_new_tokens=200)
    with pytest.raises(DataError, match=r"suites.it: prompt and max_new_tokens need up to .* window of model is 128"):
        asked(suite, subject, [{"prompt": user("fox")}])
