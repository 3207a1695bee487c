"""PPO's checkpoints: all that the rest of a run depends on, in safetensors and JSON, whole or absent.

parameters.safetensors   what is trained of policy and value model
optimizer.*              both moments of both, learning rates, the schedule
rank-0.*                 random states; updates done, the KL controller, the watch's counts, reward statistics

Prompts, samples and minibatches are drawn from (seed, update) alone, so that the number of updates done is the cursor.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from align.artifact import crash
from align.loop import checkpoints, random_state


@dataclass
class Progress:
    """Plain numbers that change from update to update."""

    updates: int = 0
    optimizer_steps: int = 0
    tokens: int = 0
    kl_coef: float = 0.0
    equal: int = 0
    reward_count: int = 0
    reward_mean: float = 0.0
    reward_m2: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)

    def saw(self, rewards: list[float]) -> None:
        """Reward statistics over the whole run (Welford's recurrence)."""
        for reward in rewards:
            self.reward_count += 1
            delta = reward - self.reward_mean
            self.reward_mean += delta / self.reward_count
            self.reward_m2 += delta * (reward - self.reward_mean)


def save(root: Path, model: Any, optimizer: Any, scheduler: Any, progress: Progress) -> Path:
    """Writes and seals the checkpoint of the updates done."""
    staging = checkpoints.begin(root)
    checkpoints.write_parameters(staging, model)
    crash.point("ppo-between-weights-and-optimizer")
    checkpoints.write_optimizer(staging, optimizer, scheduler)
    tensors, numbers = random_state.capture()
    checkpoints.write_rank(staging, 0, tensors, {"random": numbers, "progress": asdict(progress)})
    sealed = checkpoints.seal(staging, progress.updates)
    checkpoints.rotate(root, None)
    crash.point("ppo-after-checkpoint")
    return sealed


def resume(root: Path, model: Any, optimizer: Any, scheduler: Any) -> Progress | None:
    """Puts everything back to the last good checkpoint; None where there is none."""
    good = checkpoints.last_good(root)
    if good is None:
        return None
    checkpoints.read_parameters(good, model)
    checkpoints.read_optimizer(good, optimizer, scheduler)
    tensors, values = checkpoints.read_rank(good, 0)
    random_state.restore(tensors, values["random"])
    return Progress(**values["progress"])
