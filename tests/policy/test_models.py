"""Policy, value model and reference: dropout off, the reference frozen, the value model's start."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import get_peft_model

from align.artifact.inputs import ModelInput
from align.errors import ModelError
from align.models.load import load_model, save_model
from align.models.lora import lora_config
from align.models.reward import load_reward_model, new_reward_model, write_constants
from align.models.tokenizer import load_tokenizer
from align.policy import one_base
from align.policy.experience import Rollout, look
from align.policy.models import ActorCritic, Reference, ValueHead, bytes_of, check_output, value_from_reward
from align.rollout.engine import Completion
from align.rollout.packing import last_states, pack
from align.scoring.reward_model import RewardModel, score_ids
from align.specs import LoRA
from tests import tiny
from tests.rewarding import EIGHT, PROMPTS, by_first_token, learner, settings, tiny_llama, tiny_model

ROLLOUT = Rollout(PROMPTS, EIGHT)
LORA = LoRA(r=2, alpha=4)


def look_at(model: ActorCritic, reference: Reference) -> Any:
    return look(ROLLOUT, model, reference, [range(8)], (8192, None), torch.float32)


def move(model: ActorCritic) -> None:
    with torch.no_grad():
        for parameter in model.policy_parameters():
            parameter.add_(0.1 * torch.cos(torch.arange(parameter.numel())).view_as(parameter))


def with_lora() -> ActorCritic:
    return ActorCritic(get_peft_model(tiny_llama(), lora_config(LORA)), None, ValueHead(16), 1.0)


def reward_model(packed: bool = True) -> RewardModel:
    body = tiny_llama(seed=4).model.eval()
    body.set_attn_implementation("packed")
    head = torch.linspace(-1, 1, 16)
    return RewardModel("rm", body, head, 0.25, 2.0, -0.5, None, body.config)


@pytest.mark.parametrize("make", [tiny_model, with_lora])
def test_reference_logprobs_never_change_while_the_policys_do(make: Any) -> None:
    model = make()
    reference = Reference(model)
    before = look_at(model, reference)
    assert torch.equal(before.logprobs_BT, before.reference_BT)  # the KL of an unmoved policy is exactly 0
    move(model)
    after = look_at(model, reference)
    assert torch.equal(after.reference_BT, before.reference_BT)
    assert (after.logprobs_BT - before.logprobs_BT).abs().max() > 0.01 and after.kl() != 0


def test_reference_logprobs_after_updates_equal_those_before() -> None:
    taught = learner(settings(learning_rate=1e-2, episodes=24))
    before = look_at(taught.model, taught.reference).reference_BT
    for _ in range(3):
        told = taught.learn(PROMPTS, by_first_token)
    assert told["kl"] != 0
    after = look_at(taught.model, taught.reference)
    assert torch.equal(after.reference_BT, before) and not torch.equal(after.logprobs_BT, before)


def test_dropout_is_off_in_every_model_in_every_phase() -> None:
    """The tiny model's configuration asks for attention dropout of one half."""
    taught = learner(settings())
    assert taught.model.policy.config.attention_dropout == 0.5
    one, two = (look_at(taught.model, taught.reference) for _ in range(2))
    assert torch.equal(one.logprobs_BT, two.logprobs_BT)
    taught.learn(PROMPTS, by_first_token)
    modules = [*taught.model.policy.modules(), *taught.reference._frozen.modules()]
    assert not any(m.training for m in modules)


def test_a_value_model_from_a_reward_model_starts_with_its_normalised_score() -> None:
    for lora in (None, LORA):
        reward = reward_model()
        body, head = value_from_reward(reward, lora)
        packed = pack(
            [p + c.token_ids for p, c in zip(PROMPTS, EIGHT, strict=True)], [1] * 8, torch.device("cpu"), True
        )
        states = last_states(body if lora is None else body.get_base_model(), packed)
        raw = (last_states(reward.body, packed) * reward.head_H).sum(-1) + reward.head_bias
        torch.testing.assert_close(head(states), reward.gain * raw + reward.bias)


def test_an_adapter_on_the_reward_models_body_moves_values_but_never_scores() -> None:
    reward = reward_model()
    body, head = value_from_reward(reward, LORA)
    model = ActorCritic(tiny_llama(), body, head, 1.0)
    packed = pack(PROMPTS, [1] * 8, torch.device("cpu"), True)
    scores, values = last_states(reward.body, packed), look_at(model, Reference(model)).values_BT
    with torch.no_grad():
        for parameter in model.value_parameters():
            parameter.add_(0.1)
    assert torch.equal(last_states(reward.body, packed), scores)
    assert not torch.equal(look_at(model, Reference(model)).values_BT, values)


def test_lora_holds_one_base_for_policy_and_reference() -> None:
    model = with_lora()
    reference = Reference(model)
    assert reference._frozen is None and bytes_of(model.policy, model.policy) == bytes_of(model.policy)
    assert all("lora" in n for n, p in model.policy.named_parameters() if p.requires_grad)


@pytest.fixture
def adapters(tmp_path: Path) -> tuple[ModelInput, ModelInput]:
    """A base, and a reward model that is an adapter of it, with an update and a head that are not zero."""
    base = tiny.write_base(tmp_path / "base")
    trained = get_peft_model(new_reward_model(load_model(base), 1), lora_config(LORA, "score"))
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(len(name)))
    save_model(trained, load_tokenizer(base), tmp_path / "reward" / "model", base.digest)
    write_constants(tmp_path / "reward" / "model", 0.5, -1.0)
    return base, ModelInput("rm", tmp_path / "reward" / "model", "", base)


def on_one_base(base: ModelInput, reward: ModelInput) -> tuple[ActorCritic, RewardModel]:
    torch.manual_seed(0)
    policy = get_peft_model(load_model(base), lora_config(LORA))
    assert one_base.shares_base(policy, base, reward)
    shared = one_base.attach_reward(policy, reward, "reward_0")
    return ActorCritic(policy, *value_from_reward(shared, LORA), 1.0), shared


def test_on_one_base_the_reward_model_scores_and_the_value_model_starts_as_on_their_own(
    adapters: tuple[ModelInput, ModelInput],
) -> None:
    model, shared = on_one_base(*adapters)
    alone = load_reward_model(adapters[1], torch.float32, torch.device("cpu"))
    rows = [[5, 6, 7, 8], [9, 10], [11, 12, 13, 14, 15, 16]]
    expected = score_ids(alone, rows, 8192, torch.float32)
    assert score_ids(shared, rows, 8192, torch.float32) == pytest.approx(expected, abs=1e-4)
    packed = pack(rows, [1, 1, 1], torch.device("cpu"), True)
    values = model.value_head(last_states(model.value_body, packed)).tolist()
    assert values == pytest.approx(expected, abs=1e-4) and max(values) - min(values) > 0.01
    before = load_model(adapters[0])
    with model.policy.disable_adapter(), torch.no_grad():
        ids = torch.tensor([rows[2]])
        assert torch.equal(model.policy(ids).logits, before(ids).logits)


def test_on_one_base_each_loss_reaches_its_own_adapter_and_nothing_else(
    adapters: tuple[ModelInput, ModelInput],
) -> None:
    model, shared = on_one_base(*adapters)
    reference = Reference(model)
    rollout = Rollout([[5, 6]] * 2, [Completion([7, 8, 2], True), Completion([9, 2], True)])

    def looked() -> Any:
        return look(rollout, model, reference, [range(2)], (8192, None), torch.float32)

    before, scores = looked(), score_ids(shared, [[5, 6, 7]], 8192, torch.float32)
    with model.packed():
        logprobs, _, values = model.terms(rollout.packed([0, 1], model.device, model.packing))
    values.square().sum().backward(retain_graph=True)
    assert all(p.grad is None for p in model.policy_parameters())
    assert any(p.grad.abs().sum() > 0 for p in model.value_body.parameters())
    model.zero_grad(set_to_none=True)
    logprobs.sum().backward()
    assert all(p.grad is None for p in model.value_parameters())
    with torch.no_grad():
        for parameter in (*model.policy_parameters(), *model.value_parameters()):
            parameter.add_(0.05)
    after = looked()
    assert torch.equal(after.reference_BT, before.reference_BT)
    assert score_ids(shared, [[5, 6, 7]], 8192, torch.float32) == scores
    assert not torch.equal(after.logprobs_BT, before.logprobs_BT) and not torch.equal(after.values_BT, before.values_BT)


def test_a_reward_model_of_another_base_keeps_its_own(adapters: tuple[ModelInput, ModelInput]) -> None:
    base, reward = adapters
    policy = get_peft_model(load_model(base), lora_config(LORA))
    other = ModelInput("rm", reward.path, "", ModelInput("base", base.path, "another digest"))
    assert not one_base.shares_base(policy, base, other)
    assert not one_base.shares_base(load_model(base), base, reward)  # full fine-tuning moves the base itself


def test_a_head_on_the_policy_starts_at_zero_and_a_seeded_one_as_the_literature_says() -> None:
    assert ValueHead(16)(torch.randn(3, 16)).eq(0).all()
    head = ValueHead(4095, seed=1)
    assert head.bias.item() == 0 and head.weight.std().item() == pytest.approx(1 / 64, rel=0.05)
    assert torch.equal(ValueHead(8, 3).weight, ValueHead(8, 3).weight)


def test_values_are_of_the_state_before_each_token() -> None:
    """The value of a completion's first token does not depend on that token."""
    model = tiny_model()
    reference = Reference(model)
    other = [type(c)([(c.token_ids[0] + 1) % 12, *c.token_ids[1:]], c.stopped) for c in EIGHT]
    one = look_at(model, reference).values_BT
    two = look(Rollout(PROMPTS, other), model, reference, [range(8)], (8192, None), torch.float32).values_BT
    assert torch.equal(one[:, 0], two[:, 0]) and not torch.equal(one[:, 1], two[:, 1])


@pytest.mark.parametrize("trait", [{"final_logit_softcapping": 30.0}, {"logit_scale": 0.0625}, {"logits_scaling": 8.0}])
def test_models_whose_logits_are_more_than_one_product_are_refused(trait: dict[str, float]) -> None:
    model = tiny_llama()
    check_output(model)
    for name, value in trait.items():
        setattr(model.config, name, value)
    with pytest.raises(ModelError, match=next(iter(trait))):
        check_output(model)
    biased = SimpleNamespace(config=tiny_llama().config, get_output_embeddings=lambda: torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match="a bias in its output layer"):
        check_output(biased)
