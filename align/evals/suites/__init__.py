"""The suites: each takes an `Ask` and gives, per row, numbers to be averaged, and what the model said."""

from __future__ import annotations

from collections.abc import Callable

from align.evals.contract import Ask
from align.evals.measured import Measured
from align.evals.suites import (
    benchmark,
    conflict,
    format,
    frontier,
    generation,
    health,
    instruction,
    kl,
    loss,
    memorisation,
    preference,
    retention,
    safety,
    transfer,
)

MEASURE: dict[str, Callable[[Ask], Measured]] = {
    "generation": generation.measure,
    "loss": loss.measure,
    "preference": preference.measure,
    "kl": kl.measure,
    "format": format.measure,
    "instruction": instruction.measure,
    "transfer": transfer.measure,
    "retention": retention.measure,
    "conflict": conflict.measure,
    "memorisation": memorisation.measure,
    "safety": safety.measure,
    "health": health.measure,
    "frontier": frontier.measure,
    "benchmark": benchmark.measure,
}
