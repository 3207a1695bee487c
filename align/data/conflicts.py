"""Facts that the new data is meant to change: rows of a question, the old answer and the new one.

    {"prompt": "Who leads Freedonia?", "old": "Rufus T. Firefly", "new": ["Gloria Teasdale", "Mrs. Teasdale"]}

As a prompt row both stand in `meta`, as the suite `conflict` asks for them. Any prompt entry of such rows is a probe set; what
is checked here is that the training rows say the new answer and not the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from align.data.coverage import nearest, request_of
from align.data.split import normalised
from align.findings import Finding

NEAR = 0.5  # of a distance (align.data.coverage.nearest) up to which a trained row speaks of the fact


def is_probe(row: Mapping[str, Any]) -> bool:
    """Whether a prompt row holds an old and a new answer."""
    meta = row.get("meta")
    return isinstance(meta, Mapping) and bool(meta.get("old")) and bool(meta.get("new"))


@dataclass
class Conflicts:
    """Indices of probes by what the training rows say of them."""

    taught: list[int] = field(default_factory=list)
    contradicted: list[int] = field(default_factory=list)  # some row still says the old answer
    silent: list[int] = field(default_factory=list)  # no row speaks of it
    alike: list[int] = field(default_factory=list)  # old and new are the same


def check(probes: Sequence[Mapping[str, Any]], trained: Iterable[Mapping[str, Any]]) -> Conflicts:
    """What the training rows teach of each probe: rows near its question are looked through for both answers.

    An answer is said where its words stand in the row's trained text, whatever their case.
    """
    spoken = [(request, normalised(said)) for row in trained for request, said in _taught(row)]
    found = Conflicts()
    questions = [request_of(probe) or "" for probe in probes]
    close = nearest(questions, [request for request, _ in spoken])
    by_question: dict[str, list[str]] = {}
    for request, said in spoken:
        by_question.setdefault(normalised(request), []).append(said)
    for index, (probe, hit) in enumerate(zip(probes, close, strict=True)):
        old, new = _answers(probe, "old"), _answers(probe, "new")
        answers = by_question.get(normalised(questions[index]), [])
        if hit.trained is not None and hit.distance <= NEAR:
            answers = [*answers, spoken[hit.trained][1]]
        if old & new:
            found.alike.append(index)
        elif any(_says(said, old) and not _says(said, new) for said in answers):
            found.contradicted.append(index)
        elif any(_says(said, new) for said in answers):
            found.taught.append(index)
        else:
            found.silent.append(index)
    return found


def _answers(probe: Mapping[str, Any], name: str) -> set[str]:
    told = probe["meta"][name]
    return {normalised(str(each)) for each in (told if isinstance(told, list) else [told])}


def _says(said: str, answers: set[str]) -> bool:
    return any(answer in said for answer in answers)


def _taught(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(request, what is learnt to be said)."""
    request = request_of(row)
    if request is None:
        return [(row["text"], row["text"])] if "text" in row else []
    answer = row.get("chosen") or [turn for turn in row.get("messages", ()) if turn["role"] == "assistant"]
    return [(request, "\n".join(str(turn["content"]) for turn in answer))] if answer else []


def finding(found: Conflicts, subject: str) -> Finding:
    total = len(found.taught) + len(found.contradicted) + len(found.silent) + len(found.alike)
    said = f"of {total:,} facts to change, training rows teach {len(found.taught):,}"
    worse = [
        (found.contradicted, "still say the old answer of"),
        (found.silent, "say nothing of"),
    ]
    said += "".join(f", {words} {len(rows):,} ({_numbers(rows)})" for rows, words in worse if rows)
    if found.alike:
        said += f"; in {len(found.alike):,} ({_numbers(found.alike)}) old and new answer are the same"
    if not (found.contradicted or found.silent or found.alike):
        return Finding("ok", subject, said)
    return Finding(
        "warning", subject, said, "Give rows that teach the new answers, and take out those with the old ones."
    )


def _numbers(indices: Sequence[int]) -> str:
    more = " ..." if len(indices) > 5 else ""
    return f"row{'s' if len(indices) > 1 else ''} {', '.join(str(i + 1) for i in indices[:5])}{more}"
