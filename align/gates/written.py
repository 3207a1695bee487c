"""Judged gates as other software reads them: JUnit XML for continuous integration, Markdown for a summary page."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from align.gates.judge import Judgement, Verdict

MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def figure(verdict: Verdict) -> str:
    """`0.71 (0.66 to 0.76)`, with the decimals that the interval deserves; open ends are told as such."""
    places = _places(verdict)
    value = _number(verdict.value, places)
    if verdict.low is None or verdict.high is None:
        return value
    if not math.isfinite(verdict.high - verdict.low):
        return f"{value} (no interval)"
    return f"{value} ({_number(verdict.low, places)} to {_number(verdict.high, places)})"


def _places(verdict: Verdict) -> int | None:
    if verdict.low is None or verdict.high is None or not 0 < verdict.high - verdict.low < math.inf:
        return None
    return min(6, max(0, math.ceil(1 - math.log10(verdict.high - verdict.low))))


def _number(value: float, places: int | None) -> str:
    if places is not None:
        return f"{value:,.{places}f}"
    return f"{int(value):,}" if math.isfinite(value) and value == int(value) else f"{value:.4g}"


def remark(verdict: Verdict) -> str:
    """What stands behind a figure: how many rows, whether paired, and what would decide an undecided gate."""
    told = [verdict.note] if verdict.note else []
    if verdict.seeds:
        told.append(f"{len(verdict.seeds)} seeds: {', '.join(_number(v, _places(verdict)) for v in verdict.seeds)}")
    if verdict.n:
        rows = f"n = {verdict.n:,}"
        if verdict.clusters and verdict.clusters != verdict.n and not verdict.note:
            rows += f" ({verdict.clusters:,} prompts)"
        told.append(rows)
    if verdict.paired:
        told.append("paired")
    if verdict.verdict == "inconclusive":
        told.append(
            _more_seeds(verdict.seeds_to_decide)
            if verdict.seeds
            else f"about {_rounded(verdict.n_to_decide):,} rows would decide"
            if verdict.n_to_decide
            else "it stands on the threshold"
            if verdict.value == verdict.threshold
            else "too few prompts for an interval"
        )
        if not verdict.blocks:
            told.append("let through")
    return ", ".join(told)


def _more_seeds(count: int | None) -> str:
    return f"about {count:,} seeds would decide" if count else "seeds alone would not decide: ask more prompts"


def _rounded(n: int) -> int:
    """Two digits are all that such a guess deserves; upwards."""
    unit = 10 ** max(0, len(str(n)) - 2)
    return -(-n // unit) * unit


def counted(judgement: Judgement) -> str:
    """`3 passed, 1 failed, 1 inconclusive`."""
    outcomes = [v.verdict for v in judgement.verdicts]
    counts = {
        "passed": outcomes.count("pass"),
        "failed": outcomes.count("fail"),
        "inconclusive": outcomes.count("inconclusive"),
        "waiting": len(judgement.waiting),
        "not judged": len(judgement.problems),
    }
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def junit(recipe: str, judgement: Judgement) -> str:
    """One test case a gate: what blocks is a failure, what is let through undecided is skipped, the unjudged an error."""
    cases: list[tuple[str, str | None, str]] = [
        (v.gate, "failure" if v.blocks else "skipped" if v.verdict == "inconclusive" else None, _sentence(v))
        for v in judgement.verdicts
    ]
    cases += [(w.gate, "error", f"waits for {', '.join(w.steps)}") for w in judgement.waiting]
    cases += [(p.key, "error", p.message) for p in judgement.problems]
    kinds = [kind for _, kind, _ in cases]
    counts = {"tests": len(cases)} | {f"{kind}s": kinds.count(kind) for kind in ("failure", "error")}
    suite = ElementTree.Element("testsuite", name=f"{recipe} gates", skipped=str(kinds.count("skipped")))
    suite.attrib |= {name: str(count) for name, count in counts.items()}
    for gate, kind, told in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=f"{recipe}.gates", name=_legal(gate))
        if kind:
            ElementTree.SubElement(case, kind, message=_legal(told))
        else:
            ElementTree.SubElement(case, "system-out").text = _legal(told)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def markdown(recipe: str, judgement: Judgement) -> str:
    """A heading that says how it went, and a table."""
    lines = [f"### {_cell(recipe)} gates: {counted(judgement) or 'none'}", "", "| | gate | figure | |", "|-|-|-|-|"]
    lines += [f"| {MARKS[v.verdict]} | `{v.gate}` | {figure(v)} | {_cell(remark(v))} |" for v in judgement.verdicts]
    lines += [f"| · | `{w.gate}` | | waits for {_cell(', '.join(w.steps))} |" for w in judgement.waiting]
    lines += [f"| ! | `{p.key}` | | {_cell(p.message)} |" for p in judgement.problems]
    if told := levels(judgement):
        lines += ["", f"Each end of an interval holds with confidence {told}."]
    return "\n".join(lines) + "\n"


def levels(judgement: Judgement) -> str:
    """The confidence of the intervals; empty where there are none."""
    found = sorted({v.confidence for v in judgement.verdicts if v.confidence})
    return " or ".join(f"{level:g}" for level in found) + (", as its gate says" if len(found) > 1 else "")


def _sentence(verdict: Verdict) -> str:
    behind = remark(verdict)
    return f"{verdict.verdict}: found {figure(verdict)}{f', {behind}' if behind else ''}; wanted {verdict.gate}"


def _cell(text: str) -> str:
    text = _legal(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "\\`")
    return " ".join(text.split())


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
