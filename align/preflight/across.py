"""What data entries are to one another: shared prompts, verbs that training lacks, conflicting facts, a target's distance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from align.data import conflicts, coverage, disagreement
from align.data.leakage.questions import question
from align.data.leakage.questions import turns as turns_of
from align.data.leakage.references import Questions
from align.data.leakage.words import words
from align.data.readers import is_of_split
from align.data.split import HOLDOUT, TRAIN
from align.findings import Finding
from align.inspection.measures import percentiles
from align.job import spec_of
from align.preflight.context import Context, Entry, Row
from align.specs import STEPS, PrepareSpec

SHARED = 0.01  # of the evaluated prompts, to the letter: with more of them in training, an evaluation measures memory
MEMORY = "train"  # the slice of probes that ask what was trained on purpose
NEAR_ROWS = 4000  # trained requests that a target is held against
VERBS_TOLD = 8
TEST_SPLITS = ("test", "eval", "holdout")
Part = tuple[str, str]  # an entry's name, and which of its parts
FAR = 0.8  # of the distance of a target's median row from the nearest trained one


def examine(context: Context, target: list[str] | None = None) -> None:
    """Findings across entries; `target`: requests of a sample that stands for what the model is wanted for."""
    trained, evaluated = roles(context)
    context.say("comparing the data")
    for asked in sorted(evaluated):
        context.add(*(told for read in sorted(trained) if (told := _shared(context.entries, asked, read))))
    requests = [row for name, part in sorted(trained) for row in context.entries[name].rows[part]]
    names = sorted({name for name, _ in trained})
    _coverage(context, requests, evaluated)
    for name, entry in context.entries.items():
        probes = [row for rows in entry.rows.values() for row in rows if conflicts.is_probe(row)]
        if probes and name not in names:
            context.add(conflicts.finding(conflicts.check(probes, requests), f"data.{name}"))
    context.add(*(found for name in names if (found := _test_split(context, name))))
    context.add(*_disagreements(context.entries, names))
    if target:
        context.add(_distance(target, requests))


def roles(context: Context) -> tuple[set[Part], set[Part]]:
    """What some stage trains on, and what is only asked: eval_data or a suite's."""
    trained: set[Part] = set()
    asked: set[Part] = set()
    for step, job in context.jobs.items():
        if STEPS[job.kind].writes == "rows":
            continue  # entries made of entries, or held against them: what reads the result says what they are for
        for field, edge in job.edges.items():
            (asked if context.asks(step, field) else trained).update(
                context.sources_of(edge.get("name", ""), edge.get("part") or TRAIN)
            )
    return trained, asked


def _test_split(context: Context, name: str) -> Finding | None:
    """A warning where what is trained on calls itself a test split: what its publishers evaluate on."""
    spec = spec_of(context.jobs[name])
    told = spec.split or Path(spec.source).name if isinstance(spec, PrepareSpec) else ""
    if not any(is_of_split(Path(told), each) for each in TEST_SPLITS):
        return None
    said = f"it is trained on, and by its name ({told}) it is what others evaluate on"
    return Finding("warning", f"data.{name}", said, "Train on the training split; scores on this one will not compare.")


def _shared(entries: Mapping[str, Entry], one: Part, other: Part) -> Finding | None:
    """Prompts that stand in both, to the letter or nearly; a holdout of the same entry shares none: its split is by prompt."""
    (asked, part), (trained, read) = one, other
    ours, theirs = entries[asked], entries[trained]
    if asked == trained:
        return None
    prompts = _prompts(ours, part, MEMORY)
    both = len(prompts & _prompts(theirs, read))
    near = 0 if ours.row_type in ("text", "tokens") else _nearly(_only_asked(ours, part), theirs.rows[read])
    if not both and not near:
        return None
    share = both / max(1, len(prompts))
    what = ("held-out " if part == HOLDOUT else "") + {"text": "texts", "tokens": "rows"}.get(ours.row_type, "prompts")
    said = _said(both, near, f"of its {len(prompts):,} {what}", share, f"in data.{trained}")
    subject = f"data.{asked}"
    if asked in theirs.quarantines:
        return Finding("ok", subject, f"{said}: its `against` sets those rows aside")
    if ours.row_type == "text":
        remedy = "Right for a measure of what is forgotten, wrong for one of what is learnt."
        return Finding("note", subject, said, remedy)
    remedy = f"What is evaluated is trained on: take them out of data.{trained}, or give them the slice {MEMORY}."
    exact = share > SHARED and ours.row_type != "preference"
    return Finding("problem" if exact else "warning", subject, said, remedy)


def _prompts(entry: Entry, part: str, aside: str | None = None) -> set[int]:
    """Hashes of a part's prompts, those of the slice `aside` left out."""
    by_place = entry.repetitions.by_place.items()
    return {key for (of, place), keys in by_place if of == part and place != aside for key in keys}


def _said(both: int, near: int, of_all: str, share: float, there: str) -> str:
    """How many prompts are there to the letter, and how many when those in nearly the same words are counted too."""
    sample = "in a sample, system turns aside"
    if not both:
        return f"{near:,} {of_all} {'is' if near == 1 else 'are'} {there} in nearly the same words ({sample})"
    said = f"{both:,} {of_all} ({share:.1%}) {'is' if both == 1 else 'are'} {there} too"
    return said + (f"; {near:,} with those in nearly the same words ({sample})" if near > both else "")


def _disagreements(entries: Mapping[str, Entry], trained: list[str]) -> list[Finding]:
    """Questions that two sets are trained to answer, and not alike."""
    answers = {name: disagreement.answers_of(entries[name].rows[TRAIN]) for name in trained}
    found = []
    for one, other in combinations(trained, 2):
        told = disagreement.between(answers[one], answers[other])
        both = f"of {len(told.shared):,} questions that data.{other} answers too"
        if told.opposed:
            said = (
                f"{len(told.opposed):,} {both}: what one wants there the other rejects, as of {_shown(told.opposed[0])}"
            )
            remedy = "One stage unlearns what the other teaches: take one of the two answers out."
            found.append(Finding("warning", f"data.{one}", said, remedy))
        if told.other:
            said = f"{len(told.other):,} {both}: other answers there, as of {_shown(told.other[0])}"
            found.append(Finding("note", f"data.{one}", said))
    return found


def _shown(question: str) -> str:
    return repr(question.split("\0")[-1][:80])


def _only_asked(entry: Entry, part: str) -> list[Row]:
    """The rows of a part that are evaluated, probes of memory aside."""
    return [row for row in entry.rows[part] if row.get("slice") != MEMORY]


def _nearly(asked: list[Row], trained: list[Row]) -> int:
    """How many questions of one turn some trained row repeats, in other words or inside a longer text."""
    questions = Questions()
    for number, row in enumerate(asked, 1):
        turns = row["prompt"] if "prompt" in row else row["messages"][:-1]
        if all(turn["role"] != "assistant" for turn in turns):
            questions.add("asked", number, question(row))
    if not questions.sources or not trained:
        return 0
    said = [turns_of(row) for row in trained]
    found = questions.sealed().match(
        said, [question(row) for row in trained], words(t for texts in said for t in texts)
    )
    return len({match.question for match in found})


def _coverage(context: Context, requests: Iterable[Row], evaluated: set[Part]) -> None:
    told = coverage.table(requests)
    if not told:
        return
    lacking: Counter[str] = Counter()
    for name, part in evaluated:
        lacking.update(coverage.lacking(coverage.table(_only_asked(context.entries[name], part)), told))
    most = ", ".join(f"{verb} {count.total():,}" for verb, count in list(told.items())[:VERBS_TOLD])
    said = f"{len(told):,} verb{'s are' if len(told) > 1 else ' is'} trained: {most}{' ...' if len(told) > VERBS_TOLD else ''}"
    context.tell({"event": "coverage", "table": {verb: dict(places) for verb, places in told.items()}})
    if lacking:
        names = ", ".join(f"{verb} ({rows:,} rows)" for verb, rows in lacking.most_common(VERBS_TOLD))
        remedy = "Add rows that ask so, or read those scores as transfer."
        context.add(
            Finding("warning", "coverage", f"evaluation asks what training never does: {names}. {said}", remedy)
        )
    else:
        context.add(Finding("ok", "coverage", said))


def _distance(target: list[str], requests: list[Row]) -> Finding:
    trained = [text for row in requests[:NEAR_ROWS] if (text := coverage.request_of(row))]
    found = sorted(coverage.nearest(target, trained), key=lambda near: -near.distance)
    told = percentiles([near.distance for near in found])
    farthest = " ".join(target[found[0].wanted].split())[:80]
    said = f"distance of {len(target):,} wanted requests from the nearest of {len(trained):,} trained ones: "
    said += (
        f"median {told['p50']:.2f}, p95 {told['p95']:.2f} (0 the same words, 1 none shared); the farthest: {farthest!r}"
    )
    far = told["p50"] > FAR
    return Finding("warning" if far else "ok", "target", said, "Train on requests like these." if far else "")
