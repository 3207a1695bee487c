"""What the machine allows: FLOPs and bytes that the work cannot do without, and the time they take at best.

N parameters (the head counted once), S tokens of a sample. Forward 2N a token, training 6N, DPO 8N (with the reference's
forward), PPO of E epochs 6N for scoring, reference and values beside 12N an epoch. A floor is half of the peak for these,
and for decoding four fifths of the bandwidth for reading all weights and the cache once a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TRAINING_SHARE, BANDWIDTH_SHARE = 0.5, 0.8


@dataclass(frozen=True)
class Machine:
    """Dense half-precision FLOP/s and bytes/s of memory, as its maker says."""

    flops: float
    bandwidth: float


_MACHINES = {"H100": Machine(989e12, 3.35e12), "H200": Machine(989e12, 4.8e12), "A100": Machine(312e12, 2.04e12)}


def machine(device: str) -> Machine | None:
    """None where its peaks are not known, as on a CPU."""
    return next((m for name, m in _MACHINES.items() if name in device), None)


def flops(work: str, told: dict[str, Any], plan: dict[str, Any]) -> float:
    """Of one token: of the sample, or of the completion when only sampling."""
    per_parameter = {"sft": 6, "reward": 6, "dpo": 8, "generate": 2, "ppo": 6 + 12 * plan.get("epochs", 0)}
    return per_parameter[work] * told["params"]


def seconds(work: str, told: dict[str, Any], plan: dict[str, Any], tokens: float) -> float | None:
    """The floor of a step of `tokens`."""
    limits = machine(told["device"])
    if limits is None:
        return None
    trained = 0.0 if work == "generate" else flops(work, told, plan) * tokens / (TRAINING_SHARE * limits.flops)
    if work not in ("generate", "ppo"):
        return trained
    batch, new = plan.get("batch") or plan["episodes"], plan["new_tokens"]
    mean_length = plan["prompt_tokens"] + new / 2
    read = 2 * told["params"] + batch * mean_length * told["kv_bytes"]
    return trained + new * read / (BANDWIDTH_SHARE * limits.bandwidth)
