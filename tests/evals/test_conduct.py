"""The suites kl, format and retention, against numbers computed another way; and what the cache keeps."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from align.errors import DataError, ModelError
from align.evals import asking
from align.evals.asking import Subject
from align.evals.measured import summarize
from align.models.new import new_model, train_tokenizer
from align.rollout.portable import PortableEngine
from align.specs.pretrain import Architecture
from align.specs.suites import FormatSuite, GenerationSuite, KlSuite, RetentionSuite
from tests.subjects import TEXTS, Says, asked, assistant, saying, user

PROMPTS = [{"prompt": user(text)} for text in ("what is a fox ?", "a dog", "the mat sat on a cat", "fox", "cat ?")]
PAIRS = [{**p, "chosen": assistant("a cat sat"), "rejected": assistant("the fox")} for p in PROMPTS]


@pytest.fixture(scope="module")
def other(subject: Subject) -> Subject:
    """A model of the same tokens with other weights."""
    model = new_model(
        Architecture(layers=2, width=32, heads=4, kv_heads=2, vocab_size=320, context=128), subject.tokenizer, 1
    )
    return replace(
        subject, model=model.eval(), engine=PortableEngine(model, subject.tokenizer, 3), name="other", seed=0
    )


def test_kl_is_zero_from_itself_and_the_mean_log_ratio_of_its_own_samples(subject: Subject, other: Subject) -> None:
    suite = KlSuite(data="p", against="m", max_new_tokens=6)
    itself = asked(suite, subject, PROMPTS, against=subject)
    assert itself.values["kl"] == [0.0] * 5
    assert {summarize(itself)["kl"]["all"][end] for end in ("low", "high")} == {0}  # a share of 0 might be one of .43
    found = asked(suite, subject, PROMPTS, against=other)
    for episode, kl in zip(found.answers, found.values["kl"], strict=True):
        ids, start = episode.prompt_ids + episode.completion.token_ids, len(episode.prompt_ids)
        with torch.no_grad():
            ours, theirs = (
                m.model(torch.tensor([ids])).logits[0, start - 1 : -1].log_softmax(-1) for m in (subject, other)
            )
        said = torch.tensor(episode.completion.token_ids)[:, None]
        assert kl == pytest.approx(float((ours.gather(1, said) - theirs.gather(1, said)).sum()), abs=1e-4)


def test_sampled_kl_agrees_with_the_exact_divergence(subject: Subject, other: Subject) -> None:
    """One token an answer: the estimate must meet sum_v p(v) log p(v) / q(v) within four standard errors."""
    rows = PROMPTS[:1] * 400
    found = asked(
        KlSuite(data="p", against="m", max_new_tokens=1), replace(subject, batch_size=400), rows, against=other
    )
    ids = found.answers[0].prompt_ids
    with torch.no_grad():
        p, q = (m.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1) for m in (subject, other))
    exact = float((p.exp() * (p - q)).sum())
    values = torch.tensor(found.values["kl"])
    assert float(values.mean()) == pytest.approx(exact, abs=4 * float(values.std()) / math.sqrt(len(rows)))
    assert len({tuple(e.completion.token_ids) for e in found.answers}) > 10  # drawn, not greedy


def test_a_reference_of_other_tokens_is_refused(subject: Subject) -> None:
    shape = Architecture(layers=1, width=32, heads=4, kv_heads=2, vocab_size=300)
    tokenizer = train_tokenizer(["an entirely other text about tax forms"], shape)
    foreign = replace(subject, model=new_model(shape, tokenizer, 0), tokenizer=tokenizer, name="foreign")
    with pytest.raises(ModelError, match=r"foreign has other tokens than model.*same family"):
        asked(KlSuite(data="p", against="m"), subject, PROMPTS, against=foreign)


def test_format_says_what_is_wrong_with_each_answer(subject: Subject) -> None:
    rows = [
        {"prompt": user("fox"), "meta": {"structure": "json"}},
        *PROMPTS[:3],
        {"prompt": user("ü"), "meta": {"pattern": "a.c"}},
    ]
    model = saying(subject, '{"a": 1}', "fine", "User: no", "", "abd")
    found = asked(FormatSuite(data="p", max_new_tokens=16), model, rows)
    assert found.values["stops"] == [1, 1, 1, 1, 1]
    assert found.values["turn_taking"] == [1, 1, 0, 1, 1]
    assert found.values["nonempty"] == [1, 1, 1, 0, 1]
    assert found.values["structure"] == [1, 0, 0, 0, 0] and found.weights["structure"] == [1, 0, 0, 0, 1]
    assert found.values["format"] == [1, 1, 0, 0, 0]
    told = summarize(found)["structure"]["all"]
    assert (told["value"], told["n"]) == (0.5, 2)  # of the two rows that declare one
    assert (
        asked(FormatSuite(data="p", max_new_tokens=16), saying(subject, *["fine"] * 5, stopped=False), rows).values[
            "format"
        ]
        == [0] * 5
    )


def test_a_special_token_inside_an_answer_is_a_leak(subject: Subject) -> None:
    role = str(subject.tokenizer.pad_token)
    found = asked(FormatSuite(data="p", max_new_tokens=16), saying(subject, f"a {role} b", "a b"), PROMPTS[:2])
    assert found.values["clean"] == [0, 1]
    assert role not in found.answers[0].answer.text  # the text alone would hide it


def test_a_row_that_declares_no_known_structure_is_refused(subject: Subject) -> None:
    with pytest.raises(DataError, match=r"row 1: meta.structure is 'yaml'. Expected one of json, list, tags"):
        asked(
            FormatSuite(data="p", max_new_tokens=16), subject, [{"prompt": user("fox"), "meta": {"structure": "yaml"}}]
        )


def test_retention_of_text_is_the_difference_in_bits_per_byte(subject: Subject, other: Subject) -> None:
    rows = [{"text": t} for t in (TEXTS[0], "a cät sat", "fox on the mat")]
    suite = RetentionSuite(data="g", against="m")
    ours, theirs = (
        summarize(asked(RetentionSuite(data="g"), m, rows, "text"))["bits_per_byte"]["all"]["value"]
        for m in (subject, other)
    )
    found = summarize(asked(suite, subject, rows, "text", against=other))
    assert found["drop"]["all"]["value"] == pytest.approx(ours - theirs)
    assert found["bits_per_byte"]["all"]["value"] == ours
    itself = summarize(asked(suite, subject, rows, "text", against=subject))
    for metric in ("drop", "kl_per_token"):  # 0 of every row, which is no share of rows
        assert {itself[metric]["all"][end] for end in ("value", "low", "high")} == {0}


def test_retention_tells_the_exact_divergence_of_every_next_token(subject: Subject, other: Subject) -> None:
    rows = [{"text": "fox on the mat"}]
    found = asked(RetentionSuite(data="g", against="m"), subject, rows, "text", against=other)
    ids = [subject.tokenizer.eos_token_id, *subject.tokenizer("fox on the mat", add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        p, q = (m.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1) for m in (subject, other))
    assert found.values["kl_per_token"] == [pytest.approx(float((p.exp() * (p - q)).sum()), rel=1e-4)]
    assert found.weights["kl_per_token"] == [len(ids) - 1]


def test_retention_of_tasks_counts_answers_that_flipped(subject: Subject) -> None:
    rows = [{"prompt": user(str(i)), "reference": "Detroit"} for i in range(4)]
    now, before = (
        saying(subject, "It is DETROIT.", "paris", "rome", "detroit"),
        saying(subject, "detroit", "detroit", "no", "x"),
    )
    found = asked(RetentionSuite(data="g", against="m"), now, rows, against=before)
    assert found.values["accuracy"] == [1, 0, 0, 1]
    assert (found.values["lost"], found.values["gained"]) == ([0, 1, 0, 0], [0, 0, 0, 1])
    assert summarize(found)["drop"]["all"]["value"] == 0
    exact = asked(RetentionSuite(data="g", correct="exact"), now, rows)
    assert exact.values["accuracy"] == [0, 0, 0, 1]
    numbers = [{"prompt": user("2 + 3"), "reference": "so #### 1,005"}, {"prompt": user("?"), "reference": "7"}]
    scored = asked(RetentionSuite(data="g", correct="number"), saying(subject, "that is 1005", "none"), numbers)
    assert scored.values["accuracy"] == [1, 0]


def test_a_task_without_a_reference_and_a_scorer_without_one_are_refused(subject: Subject) -> None:
    with pytest.raises(DataError, match="without a reference to compare with"):
        asked(RetentionSuite(data="g"), saying(subject, *["x"] * 5), PROMPTS)
    with pytest.raises(DataError, match="without a number after ####"):
        asked(GenerationSuite(data="g", scorers=["gsm8k"], max_new_tokens=16), saying(subject, *["x"] * 5), PROMPTS)
    solved = [{**PROMPTS[0], "reference": "#### 7"}]
    assert asked(
        GenerationSuite(data="g", scorers=["gsm8k"], max_new_tokens=16), saying(subject, "#### 7.0"), solved
    ).values["correct"] == [1]


def test_retention_of_pairs_is_whether_the_right_answer_is_likelier(subject: Subject, other: Subject) -> None:
    found = asked(RetentionSuite(data="g", against="m"), subject, PAIRS, "preference", against=other)
    before = asked(RetentionSuite(data="g"), other, PAIRS, "preference").values["accuracy"]
    assert found.values["drop"] == [b - a for a, b in zip(found.values["accuracy"], before, strict=True)]


def test_what_was_said_once_is_read_and_half_a_run_is_gone_on_with(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "WAVES", 1)
    kept = replace(subject, digest="d", cache=tmp_path, batch_size=2)
    first = asked(GenerationSuite(data="p", max_new_tokens=5), kept, PROMPTS)
    files = sorted(tmp_path.rglob("generations/*.json"))
    assert len(files) == 3
    files[1].unlink()
    again = asked(GenerationSuite(data="p", max_new_tokens=5), kept, PROMPTS)
    assert again.answers == first.answers and sorted(tmp_path.rglob("generations/*.json")) == files
    mute = replace(saying(kept), engine=Says(subject.tokenizer, []))  # an engine that would give no answers at all
    assert asked(GenerationSuite(data="p", max_new_tokens=5), mute, PROMPTS).answers == first.answers
    assert asked(GenerationSuite(data="p", max_new_tokens=4), kept, PROMPTS).answers != first.answers


def test_metrics_are_told_by_axis_where_rows_have_several(subject: Subject) -> None:
    rows = [{**PROMPTS[0], "axis": "safe", "slice": "near"}, {**PROMPTS[1], "axis": "plain"}, PROMPTS[2]]
    told = summarize(asked(FormatSuite(data="p", max_new_tokens=16), saying(subject, "x", "", "x"), rows))["nonempty"]
    assert {part: estimate["n"] for part, estimate in told.items()} == {
        "all": 3,
        "near": 1,
        "axis_safe": 1,
        "axis_plain": 1,
    }
