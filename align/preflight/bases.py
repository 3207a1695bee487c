"""The models that a recipe begins with: do tokenizer, context and knowledge fit the rows, and does a chat model stop?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from align.artifact.inputs import ModelInput
from align.data import fitness
from align.data.coverage import place_of
from align.data.render import render_prompts
from align.errors import UserError
from align.evals.likelihood import sequence_logprobs
from align.findings import Finding
from align.inspection.measures import texts_of
from align.inspection.with_model import context_of
from align.models.load import load_model
from align.models.tokenizer import Tokenizer, fit_model, ready_tokenizer, shipped_tokenizer
from align.preflight import across
from align.preflight.context import Context, Row
from align.preflight.trial import why
from align.rollout.engine import Sampling
from align.rollout.opening import open_engine

SLICES = 5  # the largest of an entry
TEXTS = 300  # of a slice
# Of a slice whose likelihood is asked: texts, and tokens of each.
LIKELIHOOD = {"cpu": (3, 256), "cuda": (32, 1024)}
ANSWERS, ANSWER_TOKENS = 4, {"cpu": 96, "cuda": 256}


@dataclass(frozen=True)
class Base:
    """A model from outside the recipe's own steps, opened, and the steps that begin with it."""

    name: str
    source: ModelInput
    steps: list[str]
    talks: bool  # as it came its tokenizer has a chat template


def examine(context: Context) -> None:
    """Findings of each model from outside: fitness by slice of every entry, and one generation."""
    for base in bases(context):
        context.say(f"opening {base.name}")
        try:
            _examine(context, base)
        except UserError as error:
            context.add(Finding("problem", base.name, why(error).removeprefix(f"{base.name}: ")))


def bases(context: Context) -> list[Base]:
    """Every outside model once, with the steps that train from it."""
    found: dict[str, Base] = {}
    for step, job in context.jobs.items():
        for edge in job.edges.values():
            if job.kind != "prepare" and "source" in edge:
                location = edge["source"]["location"]
                if location not in found:
                    try:
                        source = context.input(step, next(n for n, e in job.edges.items() if e == edge))
                        assert isinstance(source, ModelInput)
                        found[location] = Base("base", source, [], bool(shipped_tokenizer(source).chat_template))
                    except UserError as error:
                        context.add(Finding("problem", "base", why(error)))
                        return []
                found[location].steps.append(step)
    return list(found.values())


def _examine(context: Context, base: Base) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(base.source, torch.bfloat16 if device == "cuda" else torch.float32, device)
    tokenizer = ready_tokenizer(base.source, lambda _: None, conversations=False)
    fit_model(model, tokenizer)
    context.say("reading with its tokenizer")
    shipped, trained = shipped_tokenizer(base.source), {name for name, _ in across.roles(context)[0]}
    for name in sorted(trained):
        if context.entries[name].row_type == "tokens":
            context.add(
                Finding("note", f"data.{name}", "token ids: whether language and base fit each other is not judged")
            )
            continue
        rows = [row for part in context.entries[name].rows.values() for row in part]
        context.add(*_verdicts(slices(rows, shipped, model, context_of(base.source)), f"data.{name}", base.name))
    context.add(_answers(context, base, model, tokenizer))


def _verdicts(found: Sequence[fitness.Slice], subject: str, base: str) -> list[Finding]:
    """One finding for all slices that fare alike, told by the first of them."""
    alike: dict[tuple[str, ...], list[fitness.Slice]] = defaultdict(list)
    for each in found:
        alike[tuple(verdict.name for verdict in fitness.verdicts(each))].append(each)
    told = []
    for names, group in alike.items():
        said = "; ".join(f"{verdict.name}: {verdict.why}" for verdict in fitness.verdicts(group[0]))
        which = ", ".join(f"{each.name} ({each.language})" if each.name != "all" else each.language for each in group)
        told.append(Finding(_STATES[names[0]], subject, f"{which} on {base}: {said}", _REMEDIES[names[0]]))
    return told


_STATES: dict[str, Any] = {
    "fits": "ok", "too little to judge": "note", "wrong base": "problem", "extend the vocabulary": "warning",
    "extend the context": "warning", "domain-adapt first": "warning",
}  # fmt: skip
_REMEDIES = {
    "fits": "",
    "too little to judge": "",
    "wrong base": "Take a base whose tokenizer and pretraining know this language.",
    "extend the vocabulary": "Continue pretraining with the new tokens before sft, or take a base that knows this language.",
    "extend the context": "Shorten the rows, or take a base that reads longer ones.",
    "domain-adapt first": "Put a pretrain stage (model: base) on raw text of this domain before sft.",
}


def slices(rows: Sequence[Row], tokenizer: Tokenizer, model: Any, window: int | None) -> list[fitness.Slice]:
    """The measured slices of an entry, the largest first."""
    by_place: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_place[place_of(row)].append("\n".join(texts_of(row).values()))
    largest = sorted(by_place.items(), key=lambda item: -len(item[1]))[:SLICES]
    return [measured(name, texts[:TEXTS], tokenizer, model, window) for name, texts in largest]


def measured(name: str, texts: Sequence[str], tokenizer: Tokenizer, model: Any, window: int | None) -> fitness.Slice:
    """One slice under the base; the reference tokenizer is made from every other text and measured on the rest."""
    encode = encoder(tokenizer)
    rows = encode(texts)
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id != tokenizer.eos_token_id else None
    sizes = fitness.measure(texts, lambda _: rows, unknown, _is_piece(tokenizer))
    reference, extra = None, 0
    if len(texts) > 1 and sizes.bytes >= fitness.LITTLE:
        made, tokens = fitness.reference_encoder(texts[::2])
        held = fitness.measure(texts[1::2], made)
        scale = sizes.tokens / max(1, sum(map(len, rows[1::2])))
        reference = fitness.Sizes(sizes.words, sizes.bytes, round(held.tokens * scale))
        extra = sum(len(ids) > 1 for ids in encode(tokens))
    long = sum(len(ids) > window for ids in rows) / len(texts) if window else 0.0
    width = int(model.config.get_text_config().hidden_size)
    return fitness.Slice(
        name, fitness.language_of(texts), len(texts), sizes, reference, extra, width, long,
        bits_per_byte(rows, tokenizer, model, window),
        min(fitness.letters_entropy(texts), math.log2(len(tokenizer)) / max(1e-9, sizes.bytes_per_token)),
        fitness.compressed(texts),
    )  # fmt: skip


def encoder(tokenizer: Tokenizer) -> fitness.Encode:
    return lambda batch: tokenizer(list(batch), add_special_tokens=False)["input_ids"] if batch else []


def _is_piece(tokenizer: Tokenizer) -> Callable[[int], bool]:
    """A token that is only a part of a character: it does not decode to one, or is written as a byte (<0xE4>)."""

    def piece(token: int) -> bool:
        text = str(tokenizer.convert_ids_to_tokens(token))
        return (text.startswith("<0x") and len(text) == 6) or "\ufffd" in str(tokenizer.decode([token]))

    return piece


def bits_per_byte(texts: Sequence[list[int]], tokenizer: Tokenizer, model: Any, window: int | None) -> float:
    """-log2 p(text) / bytes over the longest texts, each up to a limit; the first token of a text is given."""
    count, tokens = LIKELIHOOD[model.device.type]
    limit = min(tokens, window or tokens)
    rows = [ids[:limit] for ids in sorted(texts, key=len, reverse=True)[:count] if len(ids) > 1]
    told = [(ids, [0] + [1] * (len(ids) - 1)) for ids in rows]
    bits = -sum(sequence_logprobs(model, told, 8, lambda done, total: None)) / math.log(2)
    size = sum(len(str(tokenizer.decode(ids[1:])).encode()) for ids in rows)
    return bits / max(1, size)


def _answers(context: Context, base: Base, model: Any, tokenizer: Tokenizer) -> Finding:
    """Whether a model that came with a template ends its answers by itself."""
    if not base.talks:
        return Finding(
            "note",
            base.name,
            "it came without a chat template, as base models do: it is not expected to stop by itself",
        )
    rows = [
        row for entry in context.entries.values() for row in entry.rows["train"] if "prompt" in row or "messages" in row
    ]
    asked = [_prompt(row) for row in rows[:ANSWERS]] or [[{"role": "user", "content": "Say hello."}]]
    window = context_of(base.source) or 10**9
    limit = ANSWER_TOKENS[model.device.type]
    prompts = [
        ids for ids in render_prompts(({"prompt": turns} for turns in asked), tokenizer) if len(ids) + limit <= window
    ]
    sampling = Sampling(max_new_tokens=limit, temperature=0.0)
    engine = open_engine(model, tokenizer, ANSWERS, "auto")
    said = engine.generate(prompts, sampling, lambda done, total: None) if prompts else []
    stopped = sum(answer.stopped for answer in said)
    if stopped or not said:
        return Finding("ok", base.name, f"{stopped} of {len(said)} answers stop by themselves within {limit} tokens")
    taught = any(context.jobs[step].kind == "sft" for step in base.steps)
    found = f"none of {len(said)} answers stops by itself within {limit} tokens"
    if taught:
        return Finding("note", base.name, found, "sft teaches it to stop.")
    return Finding("warning", base.name, found, "Put an sft stage before, or take the instruct model.")


def _prompt(row: Row) -> list[dict[str, Any]]:
    if "prompt" in row:
        return row["prompt"]
    return row["messages"][: max(1, next((i for i, t in enumerate(row["messages"]) if t["role"] == "assistant"), 1))]
