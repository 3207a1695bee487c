"""Timing: whole steps first, waiting for the device only between them; then a few more, phase by phase."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback


def now() -> float:
    """The time, once the device has done all it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@dataclass
class Schedule:
    """Steps left out, steps timed, and steps taken apart into phases."""

    warm_up: int
    timed: int
    phased: int

    @property
    def steps(self) -> int:
        return self.warm_up + self.timed + self.phased


@dataclass
class Taken:
    """What was measured, of every step or every timed one."""

    first_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)  # without padding
    phases: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds of each phased step
    grad_norm: float = 0.0
    moved: bool = False

    def told(self) -> dict[str, Any]:
        phases = {name: sum(values) / len(values) for name, values in self.phases.items()}
        whole = {"first_s": self.first_s, "seconds": self.seconds, "tokens": self.tokens, "phases": phases}
        return whole | {"grad_norm": self.grad_norm, "moved": self.moved, "peak_gb": peak_gb()}


def peak_gb() -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


class StepClock(TrainerCallback):
    """Times a transformers trainer from the end of one step to the end of the next, data and all."""

    def __init__(self, trainer: Any, schedule: Schedule) -> None:
        self.taken, self._schedule, self._trainer = Taken(), schedule, trainer
        self._step, self._marked, self._tokens = 0, 0.0, []
        self._parts: dict[str, float] = defaultdict(float)
        self._weight = next(p for p in trainer.model.parameters() if p.requires_grad and p.dim() == 2)
        self._before = self._weight.detach().clone()
        trainer.compute_loss = self._counted(self._within("forward", trainer.compute_loss))
        trainer.accelerator.backward = self._within("backward", trainer.accelerator.backward)
        trainer.add_callback(self)

    def _phased(self) -> bool:
        return self._step >= self._schedule.warm_up + self._schedule.timed

    def _within(self, phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if not self._phased():
                return work(*args, **kwargs)
            began = now()
            done = work(*args, **kwargs)
            self._parts[phase] += now() - began
            return done

        return timed

    def _counted(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def counted(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            real, mask = inputs.get("real_tokens"), inputs.get("attention_mask")
            self._tokens.append(
                inputs["input_ids"].numel() if mask is None and real is None else mask if real is None else real
            )
            return work(model, inputs, *args, **kwargs)

        return counted

    def on_train_begin(self, *_: Any, optimizer: Any = None, **__: Any) -> None:
        self._marked = now()
        inner = getattr(optimizer, "optimizer", optimizer)
        inner.step = self._within("optimizer", inner.step)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        at, schedule = now(), self._schedule
        whole, self._marked = at - self._marked, at
        tokens = sum(int(n.sum()) if torch.is_tensor(n) else int(n) for n in self._tokens)
        self._tokens.clear()
        if self._step == 0:
            self.taken.first_s = whole
        if schedule.warm_up <= self._step < schedule.warm_up + schedule.timed:
            self.taken.seconds.append(whole)
            self.taken.tokens.append(tokens)
        elif self._phased():
            for name, seconds in self._parts.items():
                self.taken.phases[name].append(seconds)
            self.taken.phases["other"].append(whole - sum(self._parts.values()))
        self._parts.clear()
        self._step += 1
        self._marked = now()

    def on_log(self, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        self.taken.grad_norm = max(self.taken.grad_norm, float((logs or {}).get("grad_norm", 0.0)))

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.taken.moved = not torch.equal(self._before, self._weight.detach())
