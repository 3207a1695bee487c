"""From a trainer to a trained model and its metrics: resume, train, keep the last or the best."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftConfig

from align.errors import DataError, ResourceError, Stopped, TrainingError
from align.loop import checkpoints
from align.loop.callbacks import wanted_metric
from align.loop.rankings import whole
from align.loop.trl_private import STATE, DpoLoop, RewardLoop, SftLoop
from align.models.packed import PACKED, supports_packing
from align.models.quiet import quiet
from align.specs.training import TrainingSpec

LAST_SHARE = 0.1  # of the steps, over which the loss returned is averaged
_UNTOLD = (
    "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss", "epoch", "step",
    "eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "num_tokens", "eval_num_tokens",
)  # fmt: skip


def sft_loop(
    model: Any,
    arguments: Any,
    tokenizer: Any,
    collator: Any,
    data: Dataset,
    eval_data: Dataset | None,
    adapter: PeftConfig | None = None,
) -> SftLoop:
    """A trainer for rows of packed tokens."""
    if supports_packing(model.config):
        model.set_attn_implementation(PACKED)
    with quiet():
        return SftLoop(
            model=model, args=arguments, processing_class=tokenizer, data_collator=collator,
            train_dataset=data, eval_dataset=eval_data, peft_config=adapter,
        )  # fmt: skip


def dpo_loop(
    model: Any,
    reference: Any | None,
    arguments: Any,
    tokenizer: Any,
    data: Dataset,
    eval_data: Dataset | None,
    adapter: PeftConfig | None = None,
) -> DpoLoop:
    """A trainer for rendered pairs. Without a reference the model without its adapter is the reference."""
    with quiet():
        return DpoLoop(
            model=model, ref_model=reference, args=arguments, processing_class=tokenizer,
            train_dataset=data, eval_dataset=eval_data, peft_config=adapter,
        )  # fmt: skip


def reward_loop(
    model: Any,
    arguments: Any,
    tokenizer: Any,
    data: Dataset,
    eval_data: Dataset | None,
    adapter: PeftConfig | None = None,
) -> RewardLoop:
    """A trainer for pairs that a score head is learnt from."""
    with quiet():
        return RewardLoop(
            model=model, args=arguments, processing_class=tokenizer, train_dataset=data, eval_dataset=eval_data,
            peft_config=adapter,
        )  # fmt: skip


def keep_rankings_together(
    loop: Any, rankings: Sequence[str | None], spec: TrainingSpec, tracker: Any
) -> dict[str, float]:
    """Have the pairs of each ranking stand in one batch; `rankings` names each row's, None where it comes of none.

    Returns how many rankings of several pairs there are, as metrics. Without any nothing changes.
    """
    groups = [group for group in whole(rankings) if len(group) > 1]
    if not groups:
        return {}
    largest, pairs = max(map(len, groups)), sum(map(len, groups))
    told = {"rankings": float(len(groups)), "rankings/largest": float(largest)}
    order = spec.trainer.get("train_sampling_strategy", "random")
    if order != "random":
        tracker.note(f"train_sampling_strategy: {order} may spread the pairs of a ranking over several batches")
        return told
    batches = loop.keep_together(whole(rankings))
    tracker.note(
        f"{pairs:,} pairs come of {len(groups):,} rankings: each ranking's stand in one batch; a pass has {batches.batches:,} "
        f"batches of {spec.batch_size} pairs at most"
    )
    if batches.cut:
        tracker.note(
            f"{batches.cut:,} rankings have more than {spec.batch_size} pairs, up to {largest}, and are spread over several "
            f"batches; batch_size: {largest} would keep them whole"
        )
    return told | {"rankings/cut": float(batches.cut)}


def train(loop: Any, spec: TrainingSpec, tracker: Any) -> dict[str, float]:
    """Train from the last good checkpoint, or from the start, to the end; returns the metrics.

    The loop's model is then the one to keep. Raises Stopped when asked to stop (after saving), TrainingError where a loss
    or gradient is not finite, ResourceError where memory or disk does not suffice.
    """
    root = Path(loop.args.output_dir)
    callback = loop.follow(spec, tracker)
    _tell_filled_up(loop, tracker)
    good = _resumable(root, loop, tracker)
    with quiet(), _resources_told(spec, loop.args.per_device_train_batch_size):
        if good and _is_finished(good):
            loop.adopt(good)  # TRL would train one step more
        else:
            loop.train(resume_from_checkpoint=str(good) if good else None)
        if callback.stopped:
            raise Stopped
        if wanted_metric(spec):
            _keep_best(loop, root, tracker)
    return _metrics(loop, spec)


def _tell_filled_up(loop: Any, tracker: Any) -> None:
    """Several processes take equally many micro batches: accelerate gives the last ones of an epoch its first rows again."""
    devices, rows = loop.args.world_size, len(loop.train_dataset)
    more = -rows % (devices * loop.args.per_device_train_batch_size)
    if devices > 1 and more:
        tracker.note(f"{rows:,} rows for {devices} devices: each pass over them trains {more:,} of them a second time")


def _resumable(root: Path, loop: Any, tracker: Any) -> Path | None:
    """The last good checkpoint, if as many processes as now wrote it: each has random states of its own."""
    good = checkpoints.last_good(root) if loop.args.should_save or loop.args.world_size == 1 else None
    loop.accelerator.wait_for_everyone()  # one process alone deletes what is damaged
    good = good or checkpoints.last_good(root)
    if good is None:
        return None
    processes = len(list(good.glob("rank-*.json")))
    if processes != loop.args.world_size:
        tracker.note(f"{processes} processes wrote the checkpoint, {loop.args.world_size} train now: begun afresh")
        return None
    tracker.note(f"resumed from step {checkpoints.step_of(good)}")
    return good


@contextmanager
def _resources_told(spec: TrainingSpec, micro: int) -> Iterator[None]:
    """Out of memory or disk as an error that says what to lower."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            "memory", f"the device ran out of memory with {micro} rows of {spec.max_length} tokens at a time", "",
            f"Set micro_batch_size: {max(1, micro // 2)}, or checkpoint_activations: true, or lora.",
        ) from error  # fmt: skip
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise ResourceError(
            "disk", f"a checkpoint could not be written: {error.strerror}", "",
            "Free some space, then run again: what was saved before is whole.",
        ) from error  # fmt: skip


def _is_finished(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / STATE).read_text())
    return state["global_step"] >= state["max_steps"]


def _keep_best(loop: Any, root: Path, tracker: Any) -> None:
    step, last = loop.state.best_global_step, loop.state.global_step
    if step and step != last:
        best = root / f"checkpoint-{step}"
        if not checkpoints.verify(best):
            raise TrainingError("keep", f"the best checkpoint, of step {step}, is damaged", remedy="Train again.")
        loop.adopt_weights(best)
        tracker.note(f"kept the model of step {step} of {last}, the best by {loop.state.best_metric:.6g}")


def _metrics(loop: Any, spec: TrainingSpec) -> dict[str, float]:
    """The last value of everything logged; the loss as a mean over the last tenth of the steps."""
    history = loop.state.log_history
    told: dict[str, float] = {}
    for logs in history:
        told |= {name: float(value) for name, value in logs.items() if isinstance(value, (int, float))}
    best = loop.state.best_global_step if wanted_metric(spec) else None
    for logs in history:  # the evaluation of the model that is kept
        if best and logs.get("step") == best:
            told |= {name: float(value) for name, value in logs.items() if name.startswith("eval_")}
    steps = loop.state.global_step
    last = [logs["loss"] for logs in history if "loss" in logs and logs["step"] > steps * (1 - LAST_SHARE)]
    told = {name: value for name, value in told.items() if name not in _UNTOLD}
    return told | {
        "loss": sum(last) / len(last) if last else told.get("loss", float("nan")),
        "steps": float(steps),
        "tokens": float(loop.tokens),
        "tokens_per_second": loop.tokens / max(loop.train_seconds, 1e-9),
        **({"best_step": float(best)} if best else {}),
    }


def compile_layers(model: Any) -> None:
    """torch.compile each decoder layer where it stands: one compilation serves them all, and names stay as they are."""
    stacks = [m for m in model.base_model.modules() if isinstance(m, torch.nn.ModuleList)]
    for layer in max(stacks, key=lambda stack: sum(p.numel() for p in stack.parameters())):
        layer.compile()


def check_budget(counts: dict[str, float], rows: int, spec: TrainingSpec, where: str) -> dict[str, float]:
    """The row counts as metrics; DataError when max_length cut or dropped more rows than the budget allows."""
    lost = counts["truncated_rows"] + counts["dropped_rows"]
    if rows == 0 or lost > spec.drop_budget * rows:
        raise DataError(
            where,
            f"max_length {spec.max_length} cuts {counts['truncated_rows']:.0f} and drops {counts['dropped_rows']:.0f} of "
            f"{rows:,} rows" if rows else "there are no rows",
            f"At most {spec.drop_budget:.2%} (drop_budget)",
            "Raise max_length or drop_budget, or leave the long rows out.",
        )  # fmt: skip
    return {"rows/truncated": counts["truncated_rows"], "rows/dropped": counts["dropped_rows"]}
