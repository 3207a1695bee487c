"""The process behind `align inspect SOURCE --model M`: the rows as that model would see them. Its weights are not loaded.

The request of align.inspection.plain, and {"model": {...}, "chat_template", "max_length"}; `model` is {"key", "kind",
"store", "name"} of a sealed artifact, {"folder"}, {"hub"}, or {"architecture": {...}} of a model that a recipe starts from
random weights: its tokenizer is then made from the sample, as a stand-in.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from align.answer import open_model
from align.artifact.inputs import ModelInput
from align.data import template
from align.errors import UserError
from align.findings import Finding
from align.inspection import plain, view
from align.inspection.measures import texts_of
from align.inspection.survey import Survey
from align.models.new import train_tokenizer
from align.models.tokenizer import Tokenizer, load_tokenizer, separate_pad_token, set_chat_template
from align.serving import Tell
from align.specs.pretrain import Architecture

ROWS_RENDERED = 1000
UNVERIFIED = "that the token ids are of this tokenizer cannot be verified: see whether the rows read as language"


def answer(request: dict[str, Any], tell: Tell) -> None:
    found, told = plain.inspect(request, tell)
    tell({"event": "progress", "what": "rendering", "done": 0, "total": 0})
    told["model"] = look(found, request)
    tell({"event": "inspected", "report": told})


def look(found: Survey, request: dict[str, Any]) -> dict[str, Any]:
    """The sample in tokens: template, stop token, lengths, truncation, and a few rows in pieces."""
    row_type = found.format.row_type
    tokenizer, findings, stops, context = opened(request["model"], found, request.get("chat_template"))
    told: dict[str, Any] = {"name": request["model"]["name"], "vocabulary": len(tokenizer), "context": context}
    told["findings"] = [f.to_json() for f in findings]
    if tokenizer.eos_token_id is None or (row_type not in ("text", "tokens") and not tokenizer.chat_template):
        return told
    if row_type == "tokens":
        told["findings"].append(Finding("note", "rendering", UNVERIFIED).to_json())
    rows = found.sample.items[:ROWS_RENDERED]
    try:
        seen = view.view(rows, row_type, tokenizer)
    except UserError as error:
        told["findings"].append(Finding("problem", "rendering", str(error)).to_json())
        return told
    told["findings"] += [f.to_json() for f in rendering_findings(seen, rows, tokenizer)]
    told["rendered"] = seen.rows()
    told["lengths"] = seen.lengths()
    told["stop"] = {
        "token": tokenizer.eos_token, "id": tokenizer.eos_token_id, "generation": stops,
        **seen.stop_proof(tokenizer.eos_token_id),
    }  # fmt: skip
    if limit := request.get("max_length") or context:
        told["truncation"] = {**view.truncation(seen, tokenizer, limit), "from_model": not request.get("max_length")}
    told["samples"] = list(view.samples(seen, tokenizer, request["samples"]))
    return told


def rendering_findings(
    seen: view.View, rows: list[Any], tokenizer: Tokenizer, subject: str = "rendering"
) -> list[Finding]:
    """Rows that are refused, and rows whose text holds special tokens."""
    told = [
        Finding("problem", subject, f"{len(numbers):,} of {seen.rows():,} rows ({_numbers(numbers)}): {why}")
        for why, numbers in seen.refused.items()
    ]
    for token, numbers in sorted(template.special_texts(rows, tokenizer).items()):
        told.append(
            Finding(
                "warning", subject,
                f"the text of {len(numbers):,} of {len(rows):,} rows holds the special token {token} ({_numbers(numbers)})",
                "Rows that were rendered before would be rendered twice; clean them, or read them as text.",
            )
        )  # fmt: skip
    doubled = [row[0].row for row in seen.seen if _starts_twice(row[0].ids, tokenizer)]
    if doubled:
        told.append(
            Finding(
                "problem", subject, f"{len(doubled):,} rows begin with the start token twice ({_numbers(doubled)})",
                "Take it out of the rows, or out of the chat template.",
            )
        )  # fmt: skip
    return told


def _starts_twice(ids: list[int], tokenizer: Tokenizer) -> bool:
    return tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2


def _numbers(numbers: list[int]) -> str:
    more = " ..." if len(numbers) > 5 else ""
    return f"row{'s' if len(numbers) > 1 else ''} {', '.join(f'{n:,}' for n in numbers[:5])}{more}"


def opened(
    named: dict[str, Any], found: Survey, chat_template: str | None
) -> tuple[Tokenizer, list[Finding], list[int], int | None]:
    """(the tokenizer as a stage would use it, what was found of it as it was shipped, generation's stops, its context)."""
    notes: list[str] = []
    if "architecture" in named:
        shape = Architecture.model_validate(named["architecture"])
        texts = ("\n".join(texts_of(row).values()) for _, row in found.sample.items)
        tokenizer = train_tokenizer(texts, shape)
        notes.append("the model is not trained yet: its tokenizer was made from this sample, as a stand-in")
        stops, context = [tokenizer.eos_token_id], shape.context
    else:
        source = open_model(named)
        tokenizer = load_tokenizer(source)
        stops, context = generation_stops(source), context_of(source)
    told: list[Finding] = []
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        told.append(template.pad_finding(tokenizer, "tokenizer"))
    if chat_template:
        set_chat_template(tokenizer, chat_template, notes.append)
    if tokenizer.eos_token_id is not None:
        separate_pad_token(tokenizer, notes.append)
    told += template.examine(tokenizer, "tokenizer", stops)
    return tokenizer, [*told, *(Finding("note", "tokenizer", note) for note in notes)], stops, context


def generation_stops(source: ModelInput) -> list[int]:
    """The token ids that a model folder's generation settings stop on, its configuration's where it has none."""
    for file in ("generation_config.json", "config.json"):
        stops = _setting(source.path / file, "eos_token_id")
        if stops is not None:
            return stops if isinstance(stops, list) else [stops]
    return generation_stops(source.base) if source.base else []


def context_of(source: ModelInput) -> int | None:
    """The longest sequence that a model reads, in tokens."""
    found = _setting(source.path / "config.json", "max_position_embeddings")
    return found if found or not source.base else context_of(source.base)


def _setting(path: Path, name: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError):
        return None
