"""Every stage of a recipe on the sample: how its rows are rendered, what is cut, what it would learn by heart, and a trial."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

from align.artifact.inputs import ModelInput
from align.data import template
from align.data.overfitting import Diet, risk
from align.data.render import render_prompts
from align.errors import UserError
from align.findings import Finding
from align.inspection import view
from align.inspection.measures import Repetitions
from align.inspection.with_model import context_of, generation_stops, rendering_findings
from align.job import spec_of
from align.models.tokenizer import Tokenizer, ready_tokenizer, shipped_tokenizer
from align.preflight import trial
from align.preflight.context import Context, Entry, longest, trained_input
from align.specs import PpoSpec, PretrainSpec, SelectSpec, TrainingSpec

ROWS_RENDERED = 500
PACKED_FULL = 0.97  # of a packed sequence's tokens that are rows'


def examine(context: Context, chosen: set[str] | None = None) -> None:
    """Findings of every step (or of the chosen ones) that reads a model or trains one, in the order of the plan."""
    asked: dict[tuple[str, str], str] = {}  # a stage and where its models grew from -> the one that was tried
    for step in _order(context):
        job = context.jobs[step]
        if job.kind in ("prepare", "mix", "compare") or (chosen is not None and step not in chosen):
            continue
        subject = f"stages.{step}"
        group = (step.rpartition(".")[0], _root(context, step, "model")) if job.kind == "measure" else ("", "")
        if group in asked:
            said = f"asked what {asked[group]} is asked, whose model has the same origin: not tried by itself"
            context.add(Finding("ok", subject, said))
            context.costs[step] = dict(context.costs[asked[group]])
            continue
        try:
            context.say(f"looking at {step}")
            steps = _rendering(context, step) if isinstance(spec_of(job), TrainingSpec) else 0
            if isinstance(spec_of(job), PpoSpec):
                _room(context, step)
            if context.static:
                _by_heart(context, step)
                continue
            context.say(f"trying {step}")
            done = trial.run(context, step)
        except UserError as error:
            said = trial.why(error).removeprefix(f"{step}: ")
            rests = said.startswith("not tried")
            context.add(Finding("warning" if rests else "problem", subject, said))
            context.failed[step] = "which did not pass"
            continue
        context.add(*_tried(context, step, done))
        _cost(context, step, done, steps)
        trial.forget(context, step)
        if job.kind == "measure":
            asked[group] = step


def _order(context: Context) -> list[str]:
    """The plan's, with evaluations behind all else, the model that most was done to first: it stands for those before."""
    measured = [step for step, job in context.jobs.items() if job.kind == "measure"]
    return [step for step in context.jobs if step not in measured] + measured[::-1]


def _root(context: Context, step: str, name: str) -> str:
    """Where a model's shape and tokens come from: a source, or the step that began from random weights."""
    edge = context.edge(step, name)
    if "source" in edge:
        return str(edge["source"]["location"])
    below = trained_input(context.jobs[edge["name"]])
    return _root(context, edge["name"], below) if below else str(edge["name"])


def _by_heart(context: Context, step: str) -> None:
    """The risk that a stage without an adapter learns its rows by heart, from the size of the model it will begin with."""
    spec, numbers, read = spec_of(context.jobs[step]), context.costs.get(step), context.entry_of(step, "data")
    if numbers and read and spec.lora is None and spec.kind != "pretrain" and not _from_random(context, step):
        source = context.input(step, spec.trains)
        assert isinstance(source, ModelInput)
        found = _risk(spec, *read, numbers, trial.tensors((source.base or source).path), f"stages.{step}")
        context.add(*[found] if found.state != "ok" else [])


def _rendering(context: Context, step: str) -> float:
    """Findings of a training stage's rows in tokens; returns how many optimizer steps it will take."""
    spec: TrainingSpec = spec_of(context.jobs[step])
    subject = f"stages.{step}"
    read = context.entry_of(step, "data")
    if read is None:
        return 0
    entry, part = read
    tokenizer = _tokenizer(context, step, spec, subject)
    if tokenizer is None:
        return float(spec.max_steps or 0)
    rows = list(enumerate(entry.rows[part][:ROWS_RENDERED], 1))
    row_type = "text" if spec.kind == "pretrain" and entry.row_type != "tokens" else entry.row_type
    try:
        seen = view.view(rows, row_type, tokenizer)
    except UserError as error:
        context.add(Finding("problem", subject, trial.why(error)))
        return 0
    context.add(*rendering_findings(seen, rows, tokenizer, subject))
    if spec.kind != "pretrain":
        context.add(_stop(seen, tokenizer, subject), _cut(seen, tokenizer, spec, subject))
    epochs, steps, trained = _diet(seen, spec, entry, part)
    read = sum(min(len(side.ids), spec.max_length) for row in seen.seen for side in row) / max(1, len(seen.seen))
    usual = {} if _packed(spec) else {"row_tokens": read}  # packed rows are all as long
    context.costs[step] = {"epochs": epochs, "trained_tokens": trained, **usual}
    return steps


def _room(context: Context, step: str) -> None:
    """Whether the longest prompts leave room for what is sampled; the trial of a CPU samples less and would not see it."""
    spec: PpoSpec = spec_of(context.jobs[step])
    read = context.entry_of(step, "prompts")
    if read is None or (context.static and _from_random(context, step)):
        return
    source = context.input(step, spec.trains)
    assert isinstance(source, ModelInput)
    window = context_of(source)
    entry, part = read
    asked = (
        {"prompt": row["prompt"] if "prompt" in row else row["messages"][:-1]} for row in longest(entry.rows[part])
    )
    tokenizer = ready_tokenizer(source, lambda _: None, _template(context, step))
    lengths = [len(ids) for ids in render_prompts(islice(asked, ROWS_RENDERED), tokenizer)]
    context.costs[step] = {"prompt_tokens": sum(lengths) / max(1, len(lengths))}
    over = sum(length + spec.max_new_tokens > window for length in lengths) if window else 0
    told = f"the longest has {max(lengths, default=0):,} tokens; the model reads {window or 0:,}"
    if over:
        remedy = "Lower max_new_tokens, or leave long prompts out: filters: {length: {of: prompt, max: CHARACTERS}}."
        said = f"no room for {spec.max_new_tokens:,} new tokens behind {over:,} of the {len(lengths):,} longest prompts: {told}"
        context.add(Finding("problem", f"stages.{step}", said, remedy))
    elif window:
        context.add(
            Finding("ok", f"stages.{step}", f"every prompt leaves room for {spec.max_new_tokens:,} new tokens: {told}")
        )


def _tokenizer(context: Context, step: str, spec: TrainingSpec, subject: str) -> Tokenizer | None:
    """The tokenizer as the stage will use it; what was found of it as it came is told."""
    if context.static and _from_random(context, step):
        return None  # its tokenizer is made from rows by a stage that is not tried
    if isinstance(spec, PretrainSpec) and spec.architecture:
        return None
    source = context.input(step, spec.trains)
    assert isinstance(source, ModelInput)
    shipped = shipped_tokenizer(source)
    outside = "source" in context.edge(step, spec.trains)
    talks = spec.kind != "pretrain"
    if outside and shipped.eos_token_id is not None and shipped.pad_token_id in (None, shipped.eos_token_id):
        context.add(template.pad_finding(shipped, subject))
    tokenizer = ready_tokenizer(source, lambda _: None, _template(context, step), talks)
    if talks and (outside or spec.chat_template):
        context.add(*template.examine(tokenizer, subject, generation_stops(source)))
    return tokenizer


def _from_random(context: Context, step: str) -> bool:
    """Whether the step's model goes back to random weights without anything sealed between."""
    job = context.jobs[step]
    name = trained_input(job)
    if not name:
        return True
    edge = job.edges[name]
    if "source" in edge or context.store.find(edge["kind"], edge["key"]):
        return False
    return _from_random(context, edge["name"])


def _template(context: Context, step: str) -> str | None:
    """The chat template that the step sets, or, where nothing is tried, that a stage before it will have set."""
    job = context.jobs[step]
    own = getattr(spec_of(job), "chat_template", None)
    name = trained_input(job)
    if own or not context.static or not name or "source" in job.edges[name]:
        return own
    return _template(context, job.edges[name]["name"])


def _stop(seen: view.View, tokenizer: Tokenizer, subject: str) -> Finding:
    proof = seen.stop_proof(int(tokenizer.eos_token_id))
    said = (
        f"the stop token {tokenizer.eos_token} ({tokenizer.eos_token_id}) is trained at the end of {proof['trained_stops']:,} of "
        f"{proof['answers']:,} answers"
    )
    whole = proof["trained_stops"] == proof["answers"] > 0
    return Finding("ok" if whole else "problem", subject, said, "" if whole else "Such a model would never stop.")


def _cut(seen: view.View, tokenizer: Tokenizer, spec: TrainingSpec, subject: str) -> Finding:
    """What max_length takes, against the budget."""
    found = view.truncation(seen, tokenizer, spec.max_length)
    if not found["over"]:
        return Finding("ok", subject, f"all of {found['rows']:,} rows fit max_length {spec.max_length:,}; the longest has "
                       f"{max(seen.longest(), default=0):,} tokens")  # fmt: skip
    if spec.kind == "reward":  # it leaves out what it cannot read to the end
        found |= {"cut": 0, "dropped": found["over"], "stops_lost": 0, "tokens_lost": found["tokens_over"]}
    share = (found["cut"] + found["dropped"]) / max(1, found["rows"])
    tokens = found["tokens_lost"] / max(1, found["tokens"])
    said = (
        f"max_length {spec.max_length:,} cuts {found['cut']:,} and drops {found['dropped']:,} of {found['rows']:,} rows "
        f"({share:.1%}), {found['stops_lost']:,} stop tokens and {tokens:.1%} of all tokens lost"
    )
    over = share > spec.drop_budget
    longest = max(seen.longest())
    remedy = f"Raise max_length (the longest row has {longest:,} tokens) or drop_budget, or leave long rows out."
    return Finding("problem" if over else "warning", subject, said, remedy)


def _diet(seen: view.View, spec: TrainingSpec, entry: Entry, part: str) -> tuple[float, float, float]:
    """(epochs, optimizer steps, trained tokens of one pass), scaled up from the sample to all rows."""
    total, rows = entry.total[part], max(1, len(seen.seen))
    lengths = [min(length, spec.max_length) if spec.kind != "pretrain" else length for length in seen.longest()]
    trained = sum(sum(side.mask[: spec.max_length]) for row in seen.seen for side in row) / rows * total
    sequences = sum(lengths) / rows * total / (spec.max_length * PACKED_FULL) if _packed(spec) else total
    per_epoch = max(1, math.ceil(sequences / spec.batch_size))
    steps = spec.max_steps or math.ceil(per_epoch * spec.epochs)
    return steps / per_epoch, steps, trained


def _packed(spec: TrainingSpec) -> bool:
    return spec.kind == "pretrain" or getattr(spec, "packing", False)


def _tried(context: Context, step: str, done: trial.Trial) -> list[Finding]:
    job, subject = context.jobs[step], f"stages.{step}"
    spec = spec_of(job)
    told = [Finding("note", subject, note) for note in done.notes if "grew" in note or "afresh" in note]
    if not isinstance(spec, TrainingSpec):
        what = "the longest rows" if isinstance(spec, SelectSpec) else "a few rows of each suite"
        said = f"{what} tried in {done.seconds:.1f} s"
        if isinstance(spec, PpoSpec):
            said = (
                f"two updates on the longest prompts tried in {done.seconds:.1f} s: {done.step_seconds:.2g} s an episode, "
                f"{done.memory / 2**30:.2g} GiB of memory"
            )
        return [*told, Finding("ok", subject, said)]
    said = (
        f"{trial.STEPS} steps on the longest rows{', a checkpoint written and read back' if done.saved else ''}: "
        f"{done.step_seconds:.2g} s a step, {done.memory / 2**30:.2g} GiB of memory"
    )
    told.append(Finding("ok", subject, said))
    read = context.entry_of(step, "data")
    numbers = context.costs.get(step)
    if read and numbers and spec.kind != "pretrain":
        told.append(_risk(spec, *read, numbers, done.trained, subject))
    return told


def _risk(
    spec: TrainingSpec, entry: Entry, part: str, numbers: dict[str, float], trained: int, subject: str
) -> Finding:
    rows, repeated = entry.total[part], _repeated(entry.repetitions, entry.total[part], sum(entry.total.values()))
    diet = Diet(
        spec.kind, rows, repeated, numbers["trained_tokens"], numbers["epochs"], trained, spec.lora is not None,
        spec.eval_data is not None, spec.keep != "last",
    )  # fmt: skip
    return risk(diet, subject)


def _repeated(found: Repetitions, rows: int, total: int) -> int:
    return round(found.rows * rows / max(1, total))


def _cost(context: Context, step: str, done: trial.Trial, steps: float) -> None:
    spec: Any = spec_of(context.jobs[step])
    costs = context.costs.setdefault(step, {})
    count = spec.episodes if context.jobs[step].kind == "ppo" else steps
    once = done.once_seconds
    if done.step_seconds:
        # The first of its kind loads and warms up what the others find ready here, as no run of theirs will.
        alike = (other for name, other in context.costs.items() if context.jobs[name].kind == context.jobs[step].kind)
        once = costs["once"] = max(once, *(other.get("once", 0.0) for other in alike), 0.0)
    kept = 2 * done.checkpoint_bytes if done.checkpoint_bytes else 3 * done.model_bytes
    costs |= {
        "seconds": once + done.step_seconds * count,
        "memory": done.memory,
        "bytes": done.model_bytes,
        "peak_bytes": done.model_bytes + kept if done.model_bytes else 0.0,
        "parameters": float(done.parameters),
        "trained": float(done.trained),
    }
