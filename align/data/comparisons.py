"""Converters of judged answers: pairs, answers judged alone (KTO), and lists with ranks or scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from align.data.chats import asked_in
from align.data.conversations import (
    CannotConvert,
    Message,
    answer_of,
    conversation,
    prompt_of,
    shared_prompt,
    transcript,
    with_system,
    without_prompt,
)
from align.data.forms import Made, Raw, Row

_LABELS = {"true": True, "1": True, "false": False, "0": False}
_TEXT_KEYS = ("response", "text", "content", "completion", "answer", "value")
_SCORE_KEYS = ("score", "rating")
RANKING_DIGITS = 16


# --- pairs ------------------------------------------------------------------------------------------------------------


def preference_row(raw: Raw) -> Row:
    """{"prompt": text or turns, "chosen": ..., "rejected": ...}; answers are text, a turn, or turns.

    Answers that are whole conversations repeat the prompt (UltraFeedback binarized): it is taken off, and a `prompt`
    column of text beside them stands for the last question of an earlier conversation as well.
    """
    chosen, rejected = answer_of(raw["chosen"], "chosen"), answer_of(raw["rejected"], "rejected")
    prompt = prompt_of(raw["prompt"], "prompt", raw.get("system"))
    if isinstance(raw["prompt"], str) and len(chosen) > 1 and len(rejected) > 1:
        inside = shared_prompt(chosen, rejected)
        if raw["prompt"].strip() in [str(turn["content"]).strip() for turn in inside if turn["role"] == "user"]:
            prompt = with_system(inside, raw.get("system"))
    return {
        "prompt": prompt,
        "chosen": without_prompt(chosen, prompt, "chosen"),
        "rejected": without_prompt(rejected, prompt, "rejected"),
    }


def implicit_prompt_row(raw: Raw) -> Row:
    """{"chosen": [turns], "rejected": [turns]}: the prompt is what both begin with."""
    return _split_pair(conversation(raw["chosen"], "chosen"), conversation(raw["rejected"], "rejected"), raw)


def hh_row(raw: Raw) -> Row:
    """{"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ...", "rejected": ...} (Bai et al. 2022, 2204.05862)."""
    return _split_pair(transcript(raw["chosen"], "chosen"), transcript(raw["rejected"], "rejected"), raw)


def hh_prompt_row(raw: Raw) -> Row:
    """{"prompt": "\\n\\nHuman: ...\\n\\nAssistant:", "chosen": " ...", "rejected": " ..."}."""
    answers = {
        side: [{"role": "assistant", "content": raw[side].strip()}] if isinstance(raw[side], str) else raw[side]
        for side in ("chosen", "rejected")
    }
    return {"prompt": with_system(asked_in(transcript(raw["prompt"], "prompt")), raw.get("system")), **answers}


def ranking_pair_row(raw: Raw) -> Row:
    """{"conversations": [turns], "chosen": turn, "rejected": turn} (LLaMA-Factory)."""
    return preference_row({**raw, "prompt": raw["conversations"]})


def swift_row(raw: Raw) -> Row:
    """{"messages": [..., answer], "rejected_response": text} (ms-swift)."""
    messages = conversation(raw["messages"], "messages")
    if not messages or messages[-1]["role"] != "assistant":
        raise CannotConvert(
            "messages", "does not end with the assistant's answer, the chosen one", "messages_last_role"
        )
    rejected = answer_of(raw["rejected_response"], "rejected_response")
    return {"prompt": with_system(messages[:-1], raw.get("system")), "chosen": messages[-1:], "rejected": rejected}


def pair_prompt(convert: Callable[[Raw], Row]) -> Callable[[Raw], Row]:
    """The prompt of a pair alone."""
    return lambda raw: {"prompt": convert(raw)["prompt"]}


def unpaired(convert: Callable[[Raw], Row]) -> Callable[[Raw], Made]:
    """Both sides of a pair as answers judged alone."""

    def rows(raw: Raw) -> Made:
        pair = convert(raw)
        sides = (("chosen", True), ("rejected", False))
        return Made([{"prompt": pair["prompt"], "completion": pair[side], "label": good} for side, good in sides])

    return rows


def _split_pair(chosen: list[Message], rejected: list[Message], raw: Raw) -> Row:
    prompt = shared_prompt(chosen, rejected)
    if not prompt:
        raise CannotConvert("chosen", "and rejected do not begin with a prompt that both share", "prompt_not_shared")
    answers = {"chosen": chosen[len(prompt) :], "rejected": rejected[len(prompt) :]}
    return {"prompt": with_system(prompt, raw.get("system")), **answers}


# --- answers judged alone ---------------------------------------------------------------------------------------------


def judged_row(raw: Raw) -> Row:
    """{"prompt": ..., "completion": ..., "label": true}; a csv file's "true" and 1 are understood (KTO)."""
    prompt = prompt_of(raw["prompt"], "prompt", raw.get("system"))
    answer = without_prompt(answer_of(raw["completion"], "completion"), prompt, "completion")
    return {"prompt": prompt, "completion": answer, "label": _label(raw, "label")}


def judged_chat(convert: Callable[[Raw], Any], column: str) -> Callable[[Raw], Row]:
    """A conversation whose last answer was judged: {"messages": [...], "kto_tag": true} (LLaMA-Factory), or `label`."""

    def row(raw: Raw) -> Row:
        messages = convert(raw)["messages"]
        if not messages or messages[-1]["role"] != "assistant":
            raise CannotConvert(
                "completion", "is missing: the conversation ends without an answer", "completion_missing"
            )
        return {"prompt": messages[:-1], "completion": messages[-1:], "label": _label(raw, column)}

    return row


def _label(raw: Raw, column: str) -> bool:
    label = _LABELS.get(str(raw[column]).strip().lower())
    if label is None:
        raise CannotConvert(column, f"is {raw[column]!r}, not true or false", f"{column}_type")
    return label


# --- lists with ranks or scores ---------------------------------------------------------------------------------------


class Judged(NamedTuple):
    """Answers to one prompt; the better one has the higher score."""

    prompt: list[Message]
    answers: list[list[Message]]
    scores: list[float]


def ranked_list(raw: Raw) -> Judged:
    """{"prompt": ..., "completions": [...], "ranks": [1, 2, 2]}: rank 1 is the best, equal ranks are ties."""
    ranks = _numbers(raw, "ranks", len(raw["completions"]))
    return Judged(_asked(raw, "prompt"), _answers(raw["completions"]), [-rank for rank in ranks])


def scored_list(raw: Raw) -> Judged:
    """{"prompt": ..., "completions": [...], "scores": [0.1, 0.7]}: more is better."""
    scores = _numbers(raw, "scores", len(raw["completions"]))
    return Judged(_asked(raw, "prompt"), _answers(raw["completions"]), scores)


def rated_list(column: str) -> Callable[[Raw], Judged]:
    """{"instruction": ..., "completions": [{"response": ..., "annotations" | "score" | "overall_score": ...}]} (UltraFeedback).

    A completion's score is its `score` or `rating`, else the mean of its annotations' ratings, else its overall score (which
    is known to be wrong for some rows of UltraFeedback, and so comes last). Completions without a rating are left out.
    """

    def judged(raw: Raw) -> Judged:
        rated = [(each, score) for each in raw["completions"] if (score := _rating(each)) is not None]
        if len(rated) < 2:
            raise CannotConvert("completions", f"has {len(rated)} rated answers, not two", "completions_ratings")
        answers = _answers([each for each, _ in rated])
        return Judged(_asked(raw, column), answers, [score for _, score in rated])

    return judged


def pairs(convert: Callable[[Raw], Judged]) -> Callable[[Raw], Made]:
    """Every two answers that were not judged alike, the better one chosen; the pairs of a prompt stand together."""
    return lambda raw: pairs_of(convert(raw))


def pairs_of(judged: Judged) -> Made:
    """All pairs of a ranking; where there are several each says by `ranking` which one it is of."""
    rows, ties = [], 0
    for one, other in combinations(range(len(judged.answers)), 2):
        if judged.scores[one] == judged.scores[other]:
            ties += 1
            continue
        best, worst = (one, other) if judged.scores[one] > judged.scores[other] else (other, one)
        rows.append({"prompt": judged.prompt, "chosen": judged.answers[best], "rejected": judged.answers[worst]})
    if len(rows) > 1:
        told = json.dumps(judged, sort_keys=True, default=str)  # the rows are not checked yet
        ranking = hashlib.sha256(told.encode()).hexdigest()[:RANKING_DIGITS]
        rows = [{**row, "ranking": ranking} for row in rows]
    return Made(rows, ties)


def ranking(convert: Callable[[Raw], Judged]) -> Callable[[Raw], Row]:
    """One row with all answers and their ranks."""
    return lambda raw: ranking_of(convert(raw))


def ranking_of(judged: Judged) -> Row:
    order = sorted(set(judged.scores), reverse=True)
    ranks = [order.index(score) + 1 for score in judged.scores]
    return {"prompt": judged.prompt, "completions": judged.answers, "ranks": ranks}


def generations(convert: Callable[[Raw], Judged], source: str) -> Callable[[Raw], Made]:
    """One row for each answer; `source` where the row does not name one."""

    def rows(raw: Raw) -> Made:
        judged, given = convert(raw), raw.get("source")
        name = given if isinstance(given, str) and given else source
        scored = zip(judged.answers, judged.scores, strict=True)
        return Made([{"prompt": judged.prompt, "completion": a, "score": s, "source": name} for a, s in scored])

    return rows


def generation_row(raw: Raw) -> Row:
    """{"prompt": ..., "completion": ..., "score": 0.5, "source": "judge"}."""
    prompt = _asked(raw, "prompt")
    answer = without_prompt(answer_of(raw["completion"], "completion"), prompt, "completion")
    score, source = _finite(raw["score"]), raw.get("source")
    if score is None:
        raise CannotConvert("score", f"is {raw['score']!r}, not a number", "score_type")
    return {"prompt": prompt, "completion": answer, "score": score, "source": source or "unknown"}


def has_ratings(raw: Raw) -> bool:
    each = raw["completions"]
    return isinstance(each, list) and any(isinstance(one, Mapping) and _rating(one) is not None for one in each)


def _asked(raw: Raw, column: str) -> list[Message]:
    return prompt_of(raw[column], column, raw.get("system"))


def _answers(values: Any) -> list[list[Message]]:
    """Answers as text, as one turn, as turns, or as an object with the text under a usual key."""
    return [_answer(value, f"completions[{index}]") for index, value in enumerate(values)]


def _answer(value: Any, where: str) -> list[Message]:
    if isinstance(value, Mapping) and "role" not in value and "from" not in value:
        value = next((value[key] for key in _TEXT_KEYS if isinstance(value.get(key), str)), None)
    if value is None or isinstance(value, int | float):
        raise CannotConvert(where, "is not an answer as text or as a turn", "completions_type")
    return answer_of(value, where)


def _numbers(raw: Raw, column: str, count: int) -> list[float]:
    values = raw[column]
    numbers = [_finite(value) for value in values] if isinstance(values, Sequence) else []
    if len(numbers) != count:
        raise CannotConvert(column, f"has {len(numbers)} entries for {count} completions", f"{column}_count")
    if None in numbers:
        raise CannotConvert(column, f"holds {values[numbers.index(None)]!r}, not a number", f"{column}_type")
    return [number for number in numbers if number is not None]


def _rating(each: Any) -> float | None:
    if not isinstance(each, Mapping):
        return None
    for key in _SCORE_KEYS:
        if (score := _finite(each.get(key))) is not None:
            return score
    annotations = each.get("annotations")
    aspects = annotations.values() if isinstance(annotations, Mapping) else ()
    given = [_finite(aspect.get("Rating", aspect.get("rating"))) for aspect in aspects if isinstance(aspect, Mapping)]
    ratings = [rating for rating in given if rating is not None]
    return sum(ratings) / len(ratings) if ratings else _finite(each.get("overall_score"))


def _finite(value: Any) -> float | None:
    """A number, also as text; None for N/A and the like."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number - number == 0 and not isinstance(value, bool) else None
