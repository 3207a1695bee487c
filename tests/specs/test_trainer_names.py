"""The committed lists of TRL's settings are those of TRL as installed."""

from __future__ import annotations

import dataclasses

import pytest
import trl

from align.specs import trainer_names
from align.specs.trainer_names import KNOWN, PASSED, refusal

CONFIGS = {"sft": trl.SFTConfig, "dpo": trl.DPOConfig, "reward": trl.RewardConfig}


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_setting_of_the_trainer_is_known_and_no_other(kind: str) -> None:
    names = {field.name for field in dataclasses.fields(CONFIGS[kind]) if field.init}
    assert {*KNOWN["all"], *KNOWN[kind]} == names
    assert {*PASSED["all"], *PASSED[kind]} <= names


def test_each_kind_passes_its_own_trainers_settings() -> None:
    assert refusal("dpo", "use_weighting") is None and "not a setting" in str(refusal("reward", "use_weighting"))
    assert "decided by the stage" in str(refusal("reward", "center_rewards_coefficient"))
    assert refusal("reward", "adam_beta2") is None and refusal("pretrain", "router_aux_loss_coef") is None
    assert trainer_names.PASSED.keys() == trainer_names.KNOWN.keys()
