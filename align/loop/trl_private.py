"""The only file that touches names which transformers and TRL keep to themselves; a contract test holds them to it.

transformers 5.17 to 5.23, TRL 1.16. What is replaced, and why:

_save_checkpoint, _load_from_checkpoint, _load_optimizer_and_scheduler, _load_rng_state, _load_scaler
    checkpoints that are whole or absent, free of pickles, and hold the running averages too (their own are written in place,
    unverified, and forget the averages, so that a resumed run's first logs differ)
_prepare_dataset        rows come rendered, cut and counted by our own data room
_precompute_ref_logps   reference logprobs come from our own cache
_clip_grad_norm         the place where a gradient that is not finite is seen before it is applied
_send_telemetry         nothing is sent anywhere
_use_triton             it decides whether the head scores every position or labelled ones only, and means GPUs by "only";
                        on CPUs that is as right, and saves half the head's work
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils
from torch.utils.data import DataLoader
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerState
from trl import DPOTrainer, RewardTrainer, SFTTrainer

from align.artifact import crash
from align.errors import AlignError, TrainingError
from align.loop import checkpoints, random_state
from align.loop.batches import CountedPairs
from align.loop.callbacks import LoopCallback
from align.loop.rankings import RankedBatches
from align.specs.training import TrainingSpec

STATE = "trainer_state.json"  # the name under which transformers looks for it

# Private names of transformers.Trainer and TRL's trainers used below; the contract test looks each of them up.
USED = {
    "Trainer": (
        "_save_checkpoint", "_load_from_checkpoint", "_load_optimizer_and_scheduler", "_load_rng_state", "_load_scaler",
        "_clip_grad_norm",
    ),
    "TRL": ("_prepare_dataset", "_send_telemetry"),
    "DPOTrainer": ("_precompute_ref_logps",),
    "attributes": ("_tr_loss", "_total_loss_scalar", "_globalstep_last_logged", "_metrics", "_total_train_tokens"),
}  # fmt: skip


trl.trainer.utils._use_triton = lambda device: True  # its kernels ask another name, which is left alone


class Loop:
    """Mixed into a TRL trainer. `follow` must be called once, before training."""

    _resumed_from: Path | None = None
    _spec: TrainingSpec
    _tracker: Any
    save_seconds = 0.0  # how long the last checkpoint took
    train_seconds = 0.0  # spent on steps, without evaluations and checkpoints
    _marked: float = 0.0
    _tokens_marked = 0
    _summed_nll = _counted_labels = 0.0  # of the evaluation under way

    def follow(self: Any, spec: TrainingSpec, tracker: Any) -> LoopCallback:
        """Tell everything to `tracker` and nothing to the terminal; save, evaluate and stop as `spec` says."""
        self._spec, self._tracker = spec, tracker
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        callback = LoopCallback(self, spec, tracker)
        self.add_callback(callback)
        return callback

    # What our own data room has done already, or what nobody asked for

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _send_telemetry(self) -> None:
        pass

    def create_model_card(self, *_: Any, **__: Any) -> None:
        pass

    # Losses and logs

    def compute_loss(self: Any, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        """TRL's, with tokens counted without padding, and the evaluation loss as a mean over tokens, not over batches."""
        real, before = inputs.pop("real_tokens", None), self._total_train_tokens
        loss = super().compute_loss(model, inputs, return_outputs, **kwargs)  # type: ignore[misc]
        if real is not None and self.model.training:
            self._total_train_tokens = before + self._summed(real)
        elif real is not None:
            count = self._summed((inputs["labels"][:, 1:] != -100).sum().item())
            mean = loss[0] if return_outputs else loss
            self._summed_nll += self._summed(mean.item() * (inputs["labels"][:, 1:] != -100).sum().item())
            self._counted_labels += count
        return loss

    def _summed(self: Any, number: float) -> Any:
        """A number summed over all processes."""
        if self.args.world_size == 1:
            return number
        return type(number)(self._summed_tensor(torch.tensor(number, dtype=torch.float64)).item())

    def _summed_tensor(self: Any, numbers: torch.Tensor) -> torch.Tensor:
        told = numbers.to(self.args.device, copy=True)
        if self.args.world_size > 1:
            torch.distributed.all_reduce(told)
        return told.cpu()

    def agreed(self: Any, *flags: bool) -> list[bool]:
        """Each flag raised if it is raised in any process, so that all of them save, or stop, at the same step."""
        if self.args.world_size == 1:
            return list(flags)
        told = torch.tensor(flags, device=self.args.device, dtype=torch.int32)
        torch.distributed.all_reduce(told, op=torch.distributed.ReduceOp.MAX)
        return [bool(flag) for flag in told.tolist()]

    def log(self: Any, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "eval_loss" in logs and self._counted_labels:
            logs["eval_loss"] = self._summed_nll / self._counted_labels
            self._summed_nll = self._counted_labels = 0.0
        if "loss" in logs:
            self._check_finite("loss", logs["loss"])
            seconds, tokens = self._mark(), self._total_train_tokens
            logs["tokens_per_second"] = (tokens - self._tokens_marked) / max(seconds, 1e-9)
            self._tokens_marked = tokens
        super().log(logs, *args, **kwargs)  # type: ignore[misc]

    def _mark(self) -> float:
        """Seconds of training since the last mark."""
        now = time.perf_counter()
        seconds, self._marked = now - self._marked, now
        self.train_seconds += seconds
        return seconds

    def _clip_grad_norm(self: Any, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)  # type: ignore[misc]
        self._check_finite("grad_norm", float(norm))
        return norm

    def _check_finite(self: Any, name: str, value: float) -> None:
        if value - value == 0:
            return
        good = checkpoints.last_good(Path(self.args.output_dir))
        raise TrainingError(
            f"step {self.state.global_step + (name == 'grad_norm')}", f"{name} is {value}", "A finite number",
            (f"The last good checkpoint is step {checkpoints.step_of(good)}. " if good else "No checkpoint was written. ")
            + "Lower learning_rate, raise warmup, or look for a broken row.",
        )  # fmt: skip

    def metric_of(self, metrics: dict[str, float], name: str) -> float:
        if name not in metrics:
            known = ", ".join(sorted(n for n in metrics if n.startswith("eval_") and "per_second" not in n))
            raise TrainingError("keep", f"the evaluation has no {name}", f"One of {known}", "Correct keep: best(...).")
        return metrics[name]

    def evaluate(self: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """TRL's; it neither moves the random numbers that training draws nor counts as training time."""
        began = time.perf_counter()
        with random_state.preserved():
            metrics = super().evaluate(*args, **kwargs)  # type: ignore[misc]
        self._marked += time.perf_counter() - began
        return metrics

    # Checkpoints

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        began = time.perf_counter()
        root, step = Path(self.args.output_dir), self.state.global_step
        staging = checkpoints.begin(root) if self.args.should_save else root / checkpoints.STAGING
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            checkpoints.write_parameters(staging, self.model)
            crash.point("checkpoint-weights")
            checkpoints.write_optimizer(staging, self.optimizer, self.lr_scheduler)
            self.state.save_to_json(str(staging / STATE))
        self._write_rank(staging)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            crash.point("checkpoint-unmarked")
            checkpoints.seal(staging, step)
            checkpoints.rotate(root, self.state.best_global_step)
        self.accelerator.wait_for_everyone()
        self.save_seconds = time.perf_counter() - began
        self._marked += self.save_seconds

    def _write_rank(self: Any, staging: Path) -> None:
        tensors, numbers = random_state.capture()
        progress = {
            "tr_loss": float(self._tr_loss),
            "total_loss": self._total_loss_scalar,
            "last_logged": self._globalstep_last_logged,
            "metrics": {mode: dict(values) for mode, values in self._metrics.items()},
            "tokens": self._total_train_tokens,
            "tokens_marked": self._tokens_marked,
            "train_seconds": self.train_seconds + time.perf_counter() - self._marked,
        }
        checkpoints.write_rank(staging, self.args.process_index, tensors, {"random": numbers, "progress": progress})

    def _load_from_checkpoint(self: Any, resume_from_checkpoint: str, model: Any = None) -> None:
        self._resumed_from = Path(resume_from_checkpoint)
        checkpoints.read_parameters(self._resumed_from, model or self.model)

    def _load_optimizer_and_scheduler(self: Any, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.read_optimizer(Path(checkpoint), self.optimizer, self.lr_scheduler)

    def _load_scaler(self, checkpoint: str | None) -> None:
        pass  # only float16 has one

    def _load_rng_state(self: Any, checkpoint: str | None) -> None:
        if checkpoint is not None:
            tensors, values = checkpoints.read_rank(Path(checkpoint), self.args.process_index)
            random_state.restore(tensors, values["random"])

    def restore_progress(self: Any) -> None:
        """Go on with the running averages where the checkpoint left them. Called when the loop has reset its own."""
        self._marked = time.perf_counter()
        if self._resumed_from is None:
            return
        progress = checkpoints.read_rank(self._resumed_from, self.args.process_index)[1]["progress"]
        self._tr_loss = torch.tensor(progress["tr_loss"], device=self.args.device)
        self._total_loss_scalar = progress["total_loss"]
        self._globalstep_last_logged = progress["last_logged"]
        self._metrics = {mode: defaultdict(list, values) for mode, values in progress["metrics"].items()}
        self._total_train_tokens = progress["tokens"]
        self._tokens_marked = progress["tokens_marked"]
        self.train_seconds = progress["train_seconds"]

    def adopt(self: Any, checkpoint: Path) -> None:
        """Take over weights, state and averages of a checkpoint without training on."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / STATE))
        self._tr_loss = self._total_loss_scalar = None
        self.restore_progress()

    def adopt_weights(self: Any, checkpoint: Path) -> None:
        checkpoints.read_parameters(checkpoint, self.model)

    @property
    def tokens(self) -> int:
        """Tokens trained on so far, padding apart, over all processes and resumed runs."""
        return int(self._total_train_tokens)  # type: ignore[attr-defined]


class SftLoop(Loop, SFTTrainer):
    """TRL's SFTTrainer on packed rows."""


class PairLoop(Loop):
    """What loops over pairs share: batches of them hold the chosen sides first, then the rejected ones.

    After `keep_together` the pairs of a ranking stand in one batch. Its micro batches are not equally large then; each
    weighs what its pairs are of the batch, in the loss and in what is told of it.
    """

    _pairs_evaluated: tuple[int, ...] = ()
    _ranked: RankedBatches | None = None

    def keep_together(self: Any, groups: Sequence[Sequence[int]]) -> RankedBatches:
        """Train on batches of whole groups of rows, which together are all rows."""
        micro_batches = self.args.gradient_accumulation_steps * self.args.world_size
        size = self.args.per_device_train_batch_size * micro_batches
        # state.epoch is a whole number where a pass begins, and the same again in a run that resumes within it
        self._ranked = RankedBatches(groups, size, micro_batches, self.args.seed, lambda: int(self.state.epoch or 0))
        return self._ranked

    def get_train_dataloader(self: Any) -> Any:
        if self._ranked is None:
            return super().get_train_dataloader()  # type: ignore[misc]
        args, collator = self.args, CountedPairs(self.data_collator, self.train_dataset[0])
        return self.accelerator.prepare(
            DataLoader(
                self.train_dataset, batch_sampler=self._ranked, collate_fn=collator, num_workers=args.dataloader_num_workers,
                pin_memory=args.dataloader_pin_memory, persistent_workers=args.dataloader_persistent_workers,
                prefetch_factor=args.dataloader_prefetch_factor,
            )
        )  # fmt: skip

    def get_batch_samples(self: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's: the micro batches of one optimizer step; each is told its weight in the loss and in the averages."""
        batches, items = super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]
        if self._ranked is not None and batches:
            here = torch.tensor([batch["pairs"] for batch in batches], dtype=torch.float64)
            everywhere = self._summed_tensor(here)
            for batch, own, all_ranks in zip(batches, here, everywhere, strict=True):
                in_step = len(batches) / everywhere.sum()
                batch["loss_weight"] = float(own * self.args.world_size * in_step)
                batch["told_weight"] = float(all_ranks * in_step)
        return batches, items

    def compute_loss(self: Any, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        if not self.model.training:
            self._pairs_evaluated += (len(inputs["input_ids"]) // 2,)
        inputs.pop("pairs", None)
        weight, told = inputs.pop("loss_weight", 1.0), inputs.pop("told_weight", 1.0)
        averages = self._metrics["train"]
        before = {name: len(values) for name, values in averages.items()}
        found = super().compute_loss(model, inputs, return_outputs, **kwargs)
        if told != 1.0:
            for name, values in averages.items():
                if name != "num_tokens" and len(values) > before.get(name, 0):
                    values[-1] *= told
        if weight == 1.0:
            return found
        return (found[0] * weight, found[1]) if return_outputs else found * weight

    def log(self: Any, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """TRL's, with a small last batch of an evaluation weighing no more than its pairs."""
        sizes, self._pairs_evaluated = self._pairs_evaluated, ()
        for name, values in self._metrics["eval"].items():
            if len(values) == len(sizes):
                self._metrics["eval"][name] = [sum(v * n for v, n in zip(values, sizes, strict=True)) / sum(sizes)]
        super().log(logs, *args, **kwargs)


class RewardLoop(PairLoop, RewardTrainer):
    """TRL's RewardTrainer on rendered pairs."""


class DpoLoop(PairLoop, DPOTrainer):
    """TRL's DPOTrainer on rendered pairs."""

    def forget_reference(self: Any) -> None:
        """Read reference logprobs from the rows from now on."""
        self.precompute_ref_logps = True
        self.ref_model = None

    def sequence_logps(self: Any, model: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Summed completion logprobs of a collated batch of pairs, chosen first, computed as training computes them."""
        inputs = self._prepare_inputs(dict(batch))
        mask = inputs.pop("completion_mask")
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            inputs.pop(name, None)
        labels = inputs["input_ids"].masked_fill(mask == 0, -100)
        with torch.no_grad(), self.accelerator.autocast():
            outputs = model(**inputs, labels=labels, use_cache=False, fused_lm_head=True)
        if outputs.log_probs is None:
            raise AlignError("the trainer's model has no fused head")
        return outputs.log_probs.float().sum(1)
