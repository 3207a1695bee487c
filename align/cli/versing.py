"""`align compare`: two sides, in the order of cause and effect: settings, data, measurements, answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from align import versus, words
from align.cli import terminal
from align.cli.talking import printable
from align.estimates import Estimate
from align.plan import show as setting
from align.specs import STEPS
from align.versus import Answers, Differences, MeasuredPair, Row, Side

SHOWN = 280  # characters of an answer


def show(first: str, rest: list[str], folder: str | None, samples: int, as_json: bool) -> None:
    a, b = versus.open_sides(first, rest, folder)
    found, measured = versus.differences(a, b), versus.measured_pairs(a, b)
    if as_json:
        said = versus.answers(measured, samples)
        print(json.dumps(_json(a, b, found, measured, said)))
        return
    console = terminal.console()
    _heading(console, a, b)
    if not (found.steps or found.only_a or found.only_b):
        console.out("\n  They are the same: every step has the same key and holds the same.")
        return
    _settings(console, found)
    for pair in measured:
        _measured(console, pair)
    if not measured:
        lacking = next((s for s in (a, b) if s.missing), None)
        remedy = f"Run it: align run {lacking.label}" if lacking else "An evaluate stage with both models does that."
        console.out(f"\n  Nothing was measured of both. {remedy}")
    sys.stdout.flush()  # answers are read by a child, which takes a second
    _answers(console, versus.answers(measured, samples))


def _json(a: Side, b: Side, found: Differences, measured: list[MeasuredPair], said: list[Answers]) -> dict[str, Any]:
    return {
        "a": {"label": a.label, "steps": {n: s.manifest.key for n, s in a.steps.items()}, "missing": a.missing},
        "b": {"label": b.label, "steps": {n: s.manifest.key for n, s in b.steps.items()}, "missing": b.missing},
        "differences": found.to_json(),
        "measured": [row for pair in measured for row in pair.to_json()],
        "other_rows": sorted({name for pair in measured for name in pair.other_rows}),
        "samples": [s.to_json() for s in said],
    }


def _heading(console: Console, a: Side, b: Side) -> None:
    for letter, side in (("A", a), ("B", b)):
        key = f"  {side.steps[side.top].manifest.kind} {side.steps[side.top].manifest.key[:12]}" if side.top else ""
        missing = f"  not sealed: {words.listed(side.missing)}" if side.missing else ""
        console.print(Text.assemble((f"  {letter}  ", "bold"), side.label, (key + missing, "dim")))


def _settings(console: Console, found: Differences) -> None:
    causes = [s for s in found.steps if s.cause]
    if causes:
        table = terminal.table("what differs", "", "A", "B", wraps=("", "A", "B"))
        for step in causes:
            name = step.name
            for what, (old, new) in {**step.settings, **step.data}.items():
                table.add_row("", name, what, _value(old), _value(new))
                name = ""
        console.out()
        console.print(table)
    follow = [s.name for s in found.steps if not s.cause]
    console.out()
    for label, names in (("follows from that", follow), ("the same in both", found.same)):
        if names:
            console.print(Text(f"  {label}: {words.listed(names)}", "dim"))
    for letter, names in (("A", found.only_a), ("B", found.only_b)):
        if names:
            console.out(f"  only in {letter}: {words.listed(names)}")
    _plain_metrics(console, found)


def _value(value: Any) -> str:
    return "-" if value is None else setting(value)


def _plain_metrics(console: Console, found: Differences) -> None:
    """The telling metrics of steps that differ; all of them are in --json."""
    table = terminal.table("told by the steps", "", "A", "B", right=("A", "B"))
    for step in found.steps:
        name = step.name
        wanted = STEPS[step.kind].telling if step.kind in STEPS else ()
        for metric in (m for m in wanted if m in step.metrics):
            pair = [words.number(v) if v is not None else "-" for v in step.metrics[metric]]
            table.add_row("", name, words.LABELS.get(metric, metric), *pair)
            name = ""
    if table.row_count:
        console.out()
        console.print(table)


def _measured(console: Console, pair: MeasuredPair) -> None:
    """Whole suites, and of their slices those that differ beyond their interval; all of them are in --json."""
    if all(r.difference and r.difference.value == 0 for r in pair.rows):
        console.print(
            Text(f"\n  {pair.model}: measured alike in {words.listed(dict.fromkeys(r.suite for r in pair.rows))}")
        )
        return
    whole, narrow = _figures(pair, _estimate), _figures(pair, _value_alone)
    console.out()
    console.print(whole if terminal.fits(whole, console) else narrow)
    for line in _footnote(pair):
        console.print(Text(f"  {line}", "dim"))


def _figures(pair: MeasuredPair, side: Callable[[Estimate], str]) -> Table:
    table = terminal.table(
        pair.model, "A", "B", "B - A", "p", "n", right=("A", "B", "B - A", "p", "n"), wraps=(pair.model,)
    )
    suite = None
    for row in (r for r in pair.rows if r.part == "all" or r.beyond):
        if row.suite != suite:
            suite = row.suite
            note = "  (other rows: no difference is taken)" if suite in pair.other_rows else ""
            table.add_row("", Text.assemble((suite, "bold"), (note, "dim")))
        label = words.LABELS.get(row.metric, row.metric.replace("_", " "))
        label += "" if row.part == "all" else f", {row.part.replace('_', ' ')}"
        mark = "**" if row.sure else "* " if row.beyond else "  "
        told = f"{_estimate(row.difference, sign=True)}{mark}" if row.difference else "-"
        table.add_row("", f"  {label}", side(row.a), side(row.b), told, _p(row), f"{row.b.n:,}")
    return table


def _value_alone(found: Estimate) -> str:
    return f"{found.value:.3f}"


def _footnote(pair: MeasuredPair) -> list[str]:
    tested = [r for r in pair.rows if r.p is not None]
    lines = ["± half the 95 % interval" + ("   * beyond it" if any(r.beyond for r in pair.rows) else "")]
    if tested:
        survive = sum(r.sure for r in tested)
        told = f"{words.plural(len(tested), 'difference')}: {survive or 'none'}"
        lines.append(f"** also after Holm's correction for {told}")
        by_test = {name: sum(r.test == name for r in tested) for name in dict.fromkeys(r.test for r in tested)}
        lines.append(f"p of no difference, paired by prompt: {words.listed(f'{t} ({n})' for t, n in by_test.items())}")
    if left_out := sum(r.part != "all" and not r.beyond for r in pair.rows):
        lines.append(f"{words.plural(left_out, 'row')} of slices without such a difference: --json")
    return lines


def _p(row: Row) -> str:
    return "-" if row.p is None else "< .001" if row.p < 0.001 else f"{row.p:.3f}".removeprefix("0")


def _estimate(found: Estimate, sign: bool = False) -> str:
    half = (found.high - found.low) / 2
    value = f"{found.value:+.3f}" if sign else f"{found.value:.3f}"
    return f"{value} ± {half:.3f}" if half < float("inf") else value


def _answers(console: Console, said: list[Answers]) -> None:
    heading = None
    for answer in said:
        if (answer.model, answer.suite) != heading:
            heading = (answer.model, answer.suite)
            console.print(Text(f"\n  {answer.suite} of {answer.model}: answers that differ most", "bold"))
        console.print(Text(f"\n  {_cut(answer.prompt)}", "dim"))
        for letter, text, score in (("A", answer.a, answer.scores[0]), ("B", answer.b, answer.scores[1])):
            score_told = f"{answer.metric} {words.number(score)}"
            console.print(Text.assemble((f"  {letter}  ", "bold"), _cut(text), (f"   {score_told}", "dim")))


def _cut(text: str) -> str:
    """On one line, harmless to the terminal, and not too long."""
    text = " ".join(printable(text).split())
    return (text if len(text) <= SHOWN else text[: SHOWN - 1] + "…") or "(nothing)"
