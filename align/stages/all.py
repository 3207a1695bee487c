"""Every stage by its kind."""

from __future__ import annotations

from align.stages import compare, dpo, measure, mix, ppo, prepare, pretrain, reward, select, sft

RUN = {
    "prepare": prepare.run,
    "mix": mix.run,
    "select": select.run,
    "pretrain": pretrain.run,
    "sft": sft.run,
    "dpo": dpo.run,
    "reward": reward.run,
    "ppo": ppo.run,
    "measure": measure.run,
    "compare": compare.run,
}
