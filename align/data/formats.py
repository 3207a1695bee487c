"""Which format a source's rows have, and how each becomes canonical rows.

    format = detect(first_rows, "preference", columns={"prompt": "question"})
    format.told                     -> "preference pairs: conversations with the prompt inside"
    rows = format.rows(raw)         -> canonical, their order of turns not yet checked; CannotConvert if it has another form

The forms of align/data/known_formats.py are tried in order; the first that more than half of the first rows fit (else the first
that any fits: its columns are there, and hold what it wants) is taken, and said. Most give one row for a row; scored lists and
trees give several.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from align.data.conversations import CannotConvert
from align.data.files import RawRow
from align.data.forms import Form, Made, Raw, Row
from align.data.known_formats import FORMS
from align.data.pair_health import SCORES, score_gap
from align.errors import DataError

_TEXTS = frozenset({"id", "source", "slice", "axis"})
_NUMBERS = frozenset({"weight", "margin"})
_OF_PAIRS = ("preference",)
_SCORES = frozenset(name for both in SCORES for name in both)
_NOT_TEXT = frozenset({"image", "images", "video", "videos", "audio", "audios", "tools", "functions"})
_ONE_TEXT = ("text", "prompt")  # types that nearly any row fits
_EMPTY = (None, "", "[]", "null", "{}")
_IFEVAL_ID = "key"
_IFEVAL = ("instruction_id_list", "kwargs")  # what IFEval's files tell of a prompt (Zhou et al. 2023, 2311.07911)


@dataclass
class Format:
    """A detected form with the person's column names.

    `unused` counts the rows that have a column we do not read, `ties` the pairs left out because nothing sets them apart.
    """

    form: Form
    row_type: str
    columns: Mapping[str, str]
    unused: Counter[str] = field(default_factory=Counter)
    ties: int = 0

    def __post_init__(self) -> None:
        self._read = frozenset((*self.form.needs, *self.form.uses))
        self._numbers = _NUMBERS if self.row_type in _OF_PAIRS else _NUMBERS - {"margin"}
        self._texts = _TEXTS | {"ranking"} if self.row_type in _OF_PAIRS else _TEXTS
        self._is_prompt = self.row_type == "prompt"

    @property
    def told(self) -> str:
        return self.form.told

    def units(self, raw_rows: Iterator[RawRow]) -> Iterator[RawRow]:
        """The rows to convert: as they come, or gathered where one conversation is spread over several."""
        return self.form.gather(raw_rows) if self.form.gather else raw_rows

    def rows(self, raw: Raw) -> list[Row]:
        """The canonical rows that a row gives. Raises CannotConvert where it has another form than the first ones."""
        if self.columns:
            raw = _renamed(raw, self.columns)
        for name in self.form.needs:
            if raw.get(name) is None:
                raise self._missing(raw, name)
        if not _NOT_TEXT.isdisjoint(raw):
            _refuse_what_is_not_text(raw, self._read)
        made = self.form.convert(raw)
        kept = self._optional_fields(raw)
        if type(made) is not Made:
            made.update(kept)  # type: ignore[attr-defined]
            return [made]  # type: ignore[list-item]
        self.ties += made.ties
        return [_numbered({**kept, **row}, number, made) for number, row in enumerate(made.rows, 1)]

    def _optional_fields(self, raw: Raw) -> Row:
        """The optional fields that have the right type; columns that are neither read nor compared are counted."""
        found: Row = _told_of_prompt(raw) if self._is_prompt else {}
        for name, value in raw.items():
            if value is None or name in self._read:
                continue
            if name in self._texts and type(value) is str and value:
                found[name] = value
            elif name in found or name in found.get("meta", ()) or (name == _IFEVAL_ID and "id" in found):
                continue
            elif name == "id" and type(value) is int:
                found["id"] = str(value)
            elif name in self._numbers and (number := _number(value)) is not None:
                found[name] = number
            elif name in _SCORES and self._compares_scores(raw):
                continue
            else:
                self.unused[name] += 1
        return found

    def _compares_scores(self, raw: Raw) -> bool:
        """Whether the scores of both answers are held against the label: a margin comes before them."""
        return self.row_type in _OF_PAIRS and _number(raw.get("margin")) is None and score_gap(raw) is not None

    def fits(self, raw: Raw) -> bool:
        """Whether a row has the columns, and in them what the form wants."""
        return _fits(self.form, _renamed(raw, self.columns) if self.columns else raw)

    def _missing(self, raw: Raw, name: str) -> CannotConvert:
        """A column is missing; where the row has another known form, also of another row type, the file mixes formats."""
        ours = [form for form in FORMS[self.row_type] if form.told != self.form.told]
        theirs = [
            form for row_type, forms in FORMS.items() if row_type not in (self.row_type, *_ONE_TEXT) for form in forms
        ]
        fitting = [form for form in ours if _fits(form, raw)] or [form for form in theirs if _fits(form, raw)]
        other = max(fitting, key=lambda form: len(form.needs), default=None)
        if other:
            found = f"is missing: the row has another format ({other.told}) than the first ones ({self.told})"
            return CannotConvert(name, found, f"other_format_{other.name}")
        return CannotConvert(name, "is missing", f"{name}_missing")


def detect(
    rows: Sequence[Raw], row_type: str, columns: Mapping[str, str] | None = None, where: str = "", name: str | None = None
) -> Format:  # fmt: skip
    """The format of a source from its first rows. `columns` maps our column names to theirs; `name` chooses a format.

    Raises DataError where no form of the wanted type fits, naming the columns that are there.
    """
    columns = dict(columns or {})
    there = list(dict.fromkeys(name for row in rows for name in row))
    for ours, theirs in columns.items():
        if theirs not in there:
            close = difflib.get_close_matches(theirs, there, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Say columns: {{{ours}: ...}}"
            raise DataError(where, f"there is no column {theirs} (for {ours})", f"Columns: {', '.join(there)}", hint)
    renamed = [_renamed(row, columns) for row in rows]
    forms = [form for form in FORMS[row_type] if name in (None, form.name)]
    counts = [sum(_fits(form, row) for row in renamed) for form in forms]
    if any(counts):
        first = next(at for at, count in enumerate(counts) if count)
        return Format(forms[first_of_most(counts, len(renamed), first)], row_type, columns)
    raise _unknown(renamed, there, row_type, forms, where, name)


def first_of_most(counts: Sequence[int], rows: int, otherwise: int) -> int:
    """Which is the first that more than half of the rows fit, `counts` being how many fit each."""
    return next((at for at, count in enumerate(counts) if 2 * count > rows), otherwise)


def _unknown(
    rows: list[Raw], there: list[str], row_type: str, forms: list[Form], where: str, name: str | None
) -> DataError:
    if "input_ids" in there:
        return DataError(
            where, "its rows are token ids (input_ids), which belong to one tokenizer and hide template and stop token",
            f"Text for {row_type} rows",
            "Give the text that they were made from; or, for sft and pretrain alone, say as: tokens.",
        )  # fmt: skip
    wanted = "; or ".join(dict.fromkeys(" + ".join(form.needs) for form in forms))
    columns, hint = ", ".join(there) or "none", _other_type(rows, row_type)
    return DataError(
        where, f"its columns ({columns}) are not those of {row_type} rows" + (f" in the format {name}" if name else ""),
        f"Columns for {row_type}: {wanted}", hint or "Name yours: columns: {ours: theirs}; or correct `as`.",
    )  # fmt: skip


def _other_type(rows: list[Raw], row_type: str) -> str:
    """What the rows would be good for, if not for what was asked: another format of the type, or another type."""
    ours = next((form for form in FORMS[row_type] if any(_fits(form, row) for row in rows)), None)
    if ours:
        return f"They look like {ours.told}. Say format: {ours.name}, or leave format out."
    for other, forms in FORMS.items():
        form = next((form for form in forms if any(_fits(form, row) for row in rows)), None)
        if form and other != row_type and other != "prompt":
            return f"They look like {form.told}. Say as: {other}, or name columns: {{ours: theirs}}."
    return ""


def _fits(form: Form, row: Raw) -> bool:
    return all(row.get(name) is not None for name in form.needs) and form.fits(row)


def _refuse_what_is_not_text(raw: Raw, read: frozenset[str]) -> None:
    """A column of images or tools would be lost, and with it what the answer speaks of."""
    for name in sorted(_NOT_TEXT.intersection(raw) - read):
        if raw[name] not in _EMPTY and raw[name]:
            what = "tools" if name in ("tools", "functions") else name.removesuffix("s") + "s"
            raise CannotConvert(name, f"holds {what}; only text is supported", f"{name}_unsupported")


def _numbered(row: Row, number: int, made: Made) -> Row:
    """Rows that came of one row have ids of their own."""
    if len(made.rows) > 1 and "id" in row:
        row["id"] = f"{row['id']}/{number}"
    return row


def _told_of_prompt(raw: Raw) -> Row:
    """`reference` and `meta` of a prompt; IFEval's own columns go into meta."""
    told: Row = {}
    if isinstance(raw.get("reference"), str) and raw["reference"]:
        told["reference"] = raw["reference"]
    meta = dict(_object(raw.get("meta")))
    meta |= {name: raw[name] for name in _IFEVAL if raw.get(name) is not None}
    if "instruction_id_list" in meta and type(raw.get(_IFEVAL_ID)) is int and raw.get("id") is None:
        told["id"] = str(raw[_IFEVAL_ID])
    return told | {"meta": meta} if meta else told


def _object(value: Any) -> Mapping[str, Any]:
    """An object, also as the JSON text that an artifact's parquet holds; empty where it is none."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _renamed(raw: Raw, columns: Mapping[str, str]) -> Raw:
    theirs = set(columns.values())
    kept = {name: value for name, value in raw.items() if name not in theirs}
    return {**kept, **{ours: raw.get(name) for ours, name in columns.items()}}


def _number(value: Any) -> float | None:
    """A finite number, also one that a csv file holds as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
