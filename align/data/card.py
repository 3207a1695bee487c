"""What a prepared set of rows is like: report.json for machines, README.md for people (and for `datasets.load_dataset`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from align.artifact.digests import write_json
from align.data.formats import Format
from align.data.ledger import Ledger

UNITS = ("characters", "tokens")  # in which lengths are told, by the row type
HUGE_CHARACTERS, HUGE_TOKENS = 1_000_000, 250_000  # in one row: a million letters are beyond most models' context
REPORT, CARD = "report.json", "README.md"


def report(
    ledger: Ledger, form: Format, counts: Mapping[str, int], statistics: dict[str, Any], health: dict[str, Any] | None
) -> dict[str, Any]:
    """All that is counted: without times, places and names of folders, so that equal rows give an equal report."""
    dropped = {
        reason: {
            "rows": count, "asked": reason in ledger.asked,
            "examples": [[p.row, Path(p.where).name, p.message] for p in ledger.examples[reason]],
        }
        for reason, count in ledger.reasons()
    }  # fmt: skip
    sources = {name: {**told, "dropped": ledger.by_source.get(name, 0)} for name, told in statistics["sources"].items()}
    sources |= {
        name: {"rows": 0, "share": 0.0, _unit(statistics): 0.0, "dropped": count}
        for name, count in ledger.by_source.items()
        if name not in sources
    }
    return {
        "detected": form.told, "format": form.form.name, "type": form.row_type, "columns": dict(form.columns),
        "rows": {
            "read": ledger.read, "joined": ledger.joined, "expanded": ledger.expanded, "ties": form.ties,
            "kept": ledger.kept, "dropped": ledger.dropped, **counts,
        },
        "dropped": dropped, "unused": dict(sorted(form.unused.items())), **statistics, "sources": sources,
        "health": health,
    }  # fmt: skip


def metrics(told: dict[str, Any]) -> dict[str, float]:
    """The report's numbers that curves and gates are made of."""
    found: dict[str, float] = {f"copies/{of}": float(each["copies"]) for of, each in told["copies"].items()}
    shares = [each["share"] for each in told["sources"].values()]
    found |= {"sources": float(len(shares)), "sources/largest": max(shares, default=0.0)}
    for unit in UNITS:
        for name, lengths in told.get(unit, {}).items():
            found |= {f"{unit}/{name}/mean": lengths["mean"], f"{unit}/{name}/p95": float(lengths["p95"])}
    return found | (_health_metrics(told["health"]) if told["health"] else {})


def _health_metrics(health: dict[str, Any]) -> dict[str, float]:
    longer, noise = health["length"]["chosen_longer"]["value"], health["label_noise"]["value"]
    found = {
        "health/contradictory": float(health["contradictory"]["pairs"]),
        "health/cycles": float(health["cycles"]["prompts"]),
        "health/against_margin": float(health["margin"]["against"]),
        "health/length_gap": health["length"]["mean_gap"],
    }
    found |= {"health/chosen_longer": longer} if longer is not None else {}
    return found | ({"health/label_noise": noise} if noise is not None else {})


def _unit(told: Mapping[str, Any]) -> str:
    return next(unit for unit in UNITS if unit in told)


def copied(copies: dict[str, Any]) -> list[str]:
    """Notes on copies of rows and ids; prompts may well come several times."""
    found = []
    for of, one, many in (
        ("rows", "row repeats an earlier one", "rows repeat an earlier one"),
        ("ids", "row has an id that came before", "rows have an id that came before"),
    ):
        told = copies[of]
        if told["copies"]:
            rows = ", ".join(f"row {row:,} that of row {first:,}" for row, first in told["examples"][:3])
            found.append(f"{told['copies']:,} {one if told['copies'] == 1 else many} ({rows})")
    return found


def huge(size: int, row: int, unit: str) -> list[str]:
    """A note on the longest row where no model would read it whole."""
    told = f"row {row:,} has {size:,} {unit}: at its max_length a stage cuts it or leaves it out"
    return [told] if size > (HUGE_CHARACTERS if unit == "characters" else HUGE_TOKENS) else []


def write(out: Path, told: dict[str, Any], notes: Sequence[str], parts: Sequence[str]) -> None:
    write_json(out / REPORT, told)
    (out / CARD).write_text("\n".join(card(told, notes, parts)) + "\n", encoding="utf-8")


def card(told: dict[str, Any], notes: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Lines of Markdown."""
    rows = told["rows"]
    lines = [*head(parts), f"# {rows['kept']:,} {told['type']} rows", "", f"Detected: {told['detected']}.", ""]
    lines += _accounting(told)
    unit = _unit(told)
    lines += _table(f"Lengths in {unit}", ["", "mean", "5 %", "median", "95 %", "longest"], [
        [name, each["mean"], each["p5"], each["p50"], each["p95"], each["longest"]]
        for name, each in told[unit].items() if each
    ])  # fmt: skip
    lines += _table("Sources", ["source", "rows", "share", f"mean {unit}", "dropped"], [
        [name, each["rows"], f"{each['share']:.1%}", each[unit], each["dropped"]]
        for name, each in told["sources"].items()
    ])  # fmt: skip
    if told["health"]:
        lines += _health(told["health"])
    return [*lines, "## Notes", "", *(f"- {note}" for note in notes or ["none"])]


def head(parts: Sequence[str]) -> list[str]:
    """The card's YAML, by which `datasets` knows which file is which split."""
    files = [line for part in parts for line in (f"  - split: {part}", f"    path: rows-{part}.parquet")]
    return ["---", "configs:", "- config_name: default", "  data_files:", *files, "---", ""]


def _accounting(told: dict[str, Any]) -> list[str]:
    rows, copies = told["rows"], told["copies"]
    steps = [f"read {rows['read']:,}"]
    steps += [f"joined into others {rows['joined']:,}"] if rows["joined"] else []
    steps += [f"made of one row {rows['expanded']:,} more"] if rows["expanded"] else []
    parts = ", ".join(f"{part} {rows[part]:,}" for part in ("train", "holdout") if part in rows)
    steps += [f"dropped {rows['dropped']:,}", f"kept {rows['kept']:,} ({parts})"]
    lines = ["Rows: " + ", ".join(steps) + ".", ""]
    lines += [f"Copies: {copies['rows']['copies']:,} rows and {copies['prompts']['copies']:,} prompts came before.", ""]
    table = [
        [reason, each["rows"], "yes" if each["asked"] else "no", ", ".join(f"{row:,}" for row, _, _ in each["examples"]),
         each["examples"][0][2]]
        for reason, each in told["dropped"].items()
    ]  # fmt: skip
    return lines + _table("Dropped", ["reason", "rows", "asked for", "first rows", "for example"], table)


def _health(health: dict[str, Any]) -> list[str]:
    longer, noise = health["length"]["chosen_longer"], health["label_noise"]
    told = [
        ["contradictory pairs", health["contradictory"]["pairs"]],
        ["prompts preferred in a circle", health["cycles"]["prompts"]],
    ]
    if longer["n"]:
        told.append(
            ["chosen is the longer answer", f"{longer['value']:.1%} ({longer['low']:.1%} to {longer['high']:.1%})"]
        )
    told.append(["mean length gap, characters", f"{health['length']['mean_gap']:+,.1f}"])
    noise_told = (
        f"{noise['value']:.1%} of {noise['judged_again']:,} repeated judgements"
        if noise["judged_again"]
        else "no pair was judged twice"
    )
    told += [
        ["flipped labels, estimated", noise_told],
        ["pairs against their own margin or scores", health["margin"]["against"]],
    ]
    return _table("Preferences", ["", f"of {health['pairs']:,} pairs"], told)


def _table(title: str, heads: list[str], rows: list[list[Any]]) -> list[str]:
    if not rows:
        return []
    cells = [[_cell(value) for value in row] for row in rows]
    return [f"## {title}", "", _line(heads), _line(["---"] * len(heads)), *map(_line, cells), ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int | float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
