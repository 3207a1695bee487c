"""What was found, for people: quarantine.jsonl with both sides of every match, counts for gates, a few sentences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from align.data.leakage.references import KINDS, Match, Source
from align.data.leakage.words import tokens

FILE = "quarantine.jsonl"
SHOWN = 90  # characters of each side in a sentence
LIKE_A_TEMPLATE = 20  # rows near one question: more than are ever reworded by chance
_WORDS = {"exact": "repeats", "ngram": "contains", "near": "says nearly the same as"}


class Evidence:
    """Collects matches. One line of the file is one row and one question that it repeats, the row itself with it."""

    def __init__(self, folder: Path, references: list[str], kept: bool) -> None:
        self._path, self._references, self._kept = folder / FILE, references, kept
        self._file: TextIO | None = None
        self._rows: dict[str, Counter[str]] = {name: Counter() for name in ["", *references]}
        self._near: Counter[tuple[str, int]] = Counter()
        self.example = ""

    def __enter__(self) -> Evidence:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file:
            self._file.close()

    @property
    def rows(self) -> int:
        return sum(self._rows[""].values())

    def add(self, row: Mapping[str, Any], where: str, number: int, matches: list[tuple[Match, Source]]) -> None:
        """One row and all that it repeats."""
        ordered = sorted(matches, key=lambda found: (KINDS.index(found[0].kind), -found[0].similarity))
        self._rows[""][ordered[0][0].kind] += 1
        for name in dict.fromkeys(source.reference for _, source in ordered):
            kind = next(match.kind for match, source in ordered if source.reference == name)
            self._rows[name][kind] += 1
        self._near.update((source.reference, source.row) for match, source in ordered if match.kind == "near")
        for match, source in ordered:
            self._write(row, where, number, match, source)
        if not self.example:
            self.example = _sentence(row, number, *ordered[0])

    def _write(self, row: Mapping[str, Any], where: str, number: int, match: Match, source: Source) -> None:
        self._file = self._file or self._path.open("w", encoding="utf-8")
        line = {
            "row": number, "file": where, "kind": match.kind, "similarity": match.similarity, "kept": self._kept,
            "reference": source.reference, "reference_row": source.row, "question": source.text, "values": dict(row),
        }  # fmt: skip
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def metrics(self) -> dict[str, float]:
        """`leakage/rows` and by kind (a row counts once, as its strongest), then the same for each reference."""
        found: dict[str, float] = {}
        for name, kinds in self._rows.items():
            prefix = "/".join(["leakage", *filter(None, name.split("."))])
            found[f"{prefix}/rows"] = sum(kinds.values())
            found |= {f"{prefix}/{kind}": kinds[kind] for kind in KINDS}
        return found

    def notes(self, read: int) -> list[str]:
        if not self.rows:
            return [f"no row repeats a question of {' or '.join(self._references)}"]
        kinds = ", ".join(f"{self._rows[''][kind]:,} {kind}" for kind in KINDS if self._rows[""][kind])
        names = ", ".join(f"{name} {sum(self._rows[name].values()):,}" for name in self._references)
        done = "kept" if self._kept else "quarantined"
        told = [f"{done} {self.rows:,} of {read:,} rows that repeat questions ({kinds}) of {names}; see {FILE}"]
        told.append(f"such as {self.example}")
        for (name, number), count in self._near.most_common(1):
            if count > LIKE_A_TEMPLATE:
                told.append(f"row {number:,} of {name} is near {count:,} rows: one template with other words, perhaps")
        return told


def _sentence(row: Mapping[str, Any], number: int, match: Match, source: Source) -> str:
    return (
        f"row {number:,}, which {_WORDS[match.kind]} row {source.row:,} of {source.reference} ({match.kind} "
        f'{match.similarity:.2f}): "{_excerpt(_told(row), source.text)}" beside "{_excerpt(source.text, source.text)}"'
    )


def _told(row: Mapping[str, Any]) -> str:
    parts = (part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in _texts(row))
    return " ".join(" ".join(parts).split())


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for name, part in value.items() if name not in ("role", "id") for text in _texts(part)]
    return [text for part in value for text in _texts(part)] if isinstance(value, list) else []


def _excerpt(text: str, question: str) -> str:
    """The part of a text that has most of a question's words at their first place."""
    flat = " ".join(text.split())
    if len(flat) <= SHOWN:
        return flat
    wanted, lowered = set(tokens(question)), flat.casefold()
    places = sorted(place for word in wanted if len(word) > 3 and (place := lowered.find(word)) >= 0) or [0]
    start = max(places, key=lambda begin: (sum(begin <= place < begin + SHOWN for place in places), -begin))
    before, after = "... " if start else "", " ..." if start + SHOWN < len(flat) else ""
    return f"{before}{flat[start : start + SHOWN]}{after}"
