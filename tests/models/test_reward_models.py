"""New reward models: the body is the language model's own, the head is drawn as it should be."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from align.artifact.inputs import ModelInput
from align.errors import ModelError
from align.models.load import load_model
from align.models.reward import ScoreHead, new_reward_model
from align.models.tokenizer import fit_model, load_tokenizer
from tests.tiny import SHAPE, write_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelInput:
    shape = SHAPE.model_copy(update={"width": 1024, "layers": 1, "mlp_width": 8})
    return write_base(tmp_path_factory.mktemp("base"), shape=shape)


def test_a_new_head_has_deviation_one_over_root_of_width_plus_one_and_no_bias(base: ModelInput) -> None:
    """1024 draws: their deviation is within 4 standard errors, 4 / sqrt(2 * 1024) = 8.8 %, of 1 / sqrt(1025)."""
    head = new_reward_model(load_model(base), seed=3).score
    assert head.weight.shape == (1, 1024) and head.bias is None and head.weight.dtype == torch.float32
    assert head.weight.std().item() == pytest.approx(1 / math.sqrt(1025), rel=0.088)
    assert abs(head.weight.mean().item()) < 4 / 1025
    assert torch.equal(head.weight, new_reward_model(load_model(base), seed=3).score.weight)
    assert not torch.equal(head.weight, new_reward_model(load_model(base), seed=4).score.weight)


def test_the_raw_score_is_the_head_on_the_bodys_last_state(base: ModelInput) -> None:
    causal = load_model(base)
    fit_model(causal, load_tokenizer(base))
    ids = torch.tensor([[7, 8, 9, 3]])
    with torch.no_grad():
        state_H = causal.base_model(ids).last_hidden_state[0, -1]
        model = new_reward_model(causal, 0)
        assert model(ids).logits.item() == pytest.approx((model.score.weight[0] @ state_H).item(), abs=1e-5)
    assert model.config.pad_token_id == load_tokenizer(base).pad_token_id and model.config.num_labels == 1


def test_scores_stay_float32_under_autocast() -> None:
    head = ScoreHead(64, 1, bias=False)
    hidden = torch.randn(1, 5, 64, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        scores = head(hidden)
    assert scores.dtype == torch.float32
    assert torch.allclose(scores, (hidden.float() @ head.weight.T), atol=1e-6)


def test_an_architecture_without_a_plain_score_head_is_refused(base: ModelInput, tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=32, hidden_size=16, state_size=4, num_hidden_layers=1)
    with pytest.raises(ModelError, match="no plain score head for mamba"):
        new_reward_model(MambaForCausalLM(config), 0)
