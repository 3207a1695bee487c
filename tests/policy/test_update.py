"""The update: exact first ratios, gradients that do not depend on how a minibatch was split, steps counted, both norms."""

from __future__ import annotations

import math
import socket

import pytest
import torch

from align.errors import TrainingError
from align.objectives.tempered import tempered_terms
from align.policy.experience import Experience, Rollout, experience, look
from align.policy.learner import Means
from align.policy.models import Reference
from align.policy.update import Tally as Told
from align.policy.update import accumulate, minibatches, step, update
from tests.rewarding import EIGHT, PROMPTS, by_first_token, completions, learner, settings, tiny_model

torch.set_num_threads(1)


def learnt_from(model, spec, rows=None, limits=(8192, None)) -> Experience:
    rollout = Rollout(PROMPTS, EIGHT)
    first = minibatches(8, spec.minibatches, 0, 0)
    looked = look(rollout, model, Reference(model), first, limits, torch.float32)
    scores = [float(c.token_ids[0]) for c in EIGHT]
    return experience(looked, rollout, scores, spec.kl_coef, spec)


def gradients(limits: tuple[int, int | None], **changed) -> dict[str, torch.Tensor]:
    """Of one minibatch of all eight episodes at new weights, split as told."""
    spec = settings(entropy_coef=0.01, **changed)
    model = tiny_model()
    learnt = learnt_from(model, spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.sin(torch.arange(parameter.numel())).view_as(parameter))
    accumulate(model, learnt, range(8), spec, limits, torch.float32, Told())
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_gradients_are_equal_for_one_batch_of_eight_and_eight_of_one() -> None:
    whole, split = gradients((8192, None)), gradients((8192, 1))
    by_tokens = gradients((12, None))
    assert whole.keys() == split.keys()
    for name, gradient in whole.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(split[name], gradient, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(by_tokens[name], gradient, rtol=1e-4, atol=1e-6)


def test_the_loss_is_a_mean_over_tokens_of_the_whole_minibatch_by_hand() -> None:
    """At the old weights the ratio is 1, so that the policy loss is -mean(A) and the value loss mean((V - R)^2) / 2."""
    spec, model = settings(whiten_advantages=False), tiny_model()
    learnt, tally = learnt_from(model, spec), Told()
    accumulate(model, learnt, range(8), spec, (8192, 3), torch.float32, tally)
    real = learnt.mask_BT.bool()
    means = tally.means()
    assert means["policy_loss"] == pytest.approx(-learnt.advantages_BT[real].mean().item(), rel=1e-5)
    errors = (learnt.values_BT - learnt.returns_BT)[real]
    assert means["value_loss"] == pytest.approx(0.5 * errors.square().mean().item(), rel=1e-5)
    assert float(tally.tokens) == sum(len(c.token_ids) for c in EIGHT) == real.sum()


def test_the_first_ratio_is_exactly_one_and_approx_kl_exactly_zero() -> None:
    spec = settings(epochs=1, minibatches=2, learning_rate=1e-3)
    for limits in ((8192, None), (8192, 2), (10, None)):
        model, tally = tiny_model(), Told()
        learnt = learnt_from(model, spec, limits=limits)
        accumulate(model, learnt, minibatches(8, 2, 0, 0)[0], spec, limits, torch.float32, tally)
        means = tally.means()
        assert means["ratio"] == 1.0 and means["approx_kl"] == 0.0 and means["drift"] == 0.0
        assert means["clip_fraction"] == 0.0


def test_optimizer_steps_are_epochs_times_minibatches() -> None:
    spec = settings(epochs=3, minibatches=4, episodes=16)
    taught = learner(spec)
    steps = []
    taught.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    for number in (1, 2):
        told = taught.learn(PROMPTS, by_first_token)
        assert len(steps) == told["optimizer_steps"] == number * 3 * 4


def test_every_epoch_sees_every_row_once_and_only_the_first_in_order() -> None:
    epochs = [[i for rows in minibatches(8, 4, 7, e) for i in rows] for e in range(3)]
    assert epochs[0] == list(range(8))
    assert all(sorted(rows) == list(range(8)) for rows in epochs) and epochs[1] != epochs[2] != epochs[0]
    assert minibatches(8, 4, 7, 1) == minibatches(8, 4, 7, 1) != minibatches(8, 4, 8, 1)


def test_kl_stop_skips_the_epochs_left() -> None:
    for stop, epochs in ((1e-9, 2), (None, 4)):  # the first epoch of one minibatch moves nothing before it is measured
        told = learner(settings(epochs=4, learning_rate=1e-2, kl_stop=stop)).learn(PROMPTS, by_first_token)
        assert told["optimizer_steps"] == epochs


def test_norms_of_policy_and_value_model_are_clipped_apart() -> None:
    model = tiny_model()
    for parameter in model.policy_parameters():
        parameter.grad = torch.full_like(parameter, 10.0)
    for parameter in model.value_parameters():
        parameter.grad = torch.full_like(parameter, 1e-4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    grads = [p.grad for p in model.value_parameters()]
    norms = step(model, optimizer, 1.0)
    assert norms["policy"] > 100 and norms["value"] < 1e-2
    assert all(g.eq(1e-4).all() for g in grads)  # a large norm of the policy left the value model's gradient alone


def test_a_gradient_that_is_not_finite_changes_no_weight() -> None:
    model = tiny_model()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    with pytest.raises(TrainingError, match=r"gradient norm of the policy model is nan"):
        step(model, optimizer, 1.0)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())


def test_a_minibatch_without_tokens_is_an_error_not_a_nan() -> None:
    spec, model = settings(), tiny_model()
    learnt = learnt_from(model, spec)
    learnt.mask_BT[:4] = False
    with pytest.raises(TrainingError, match="no completion tokens"):
        accumulate(model, learnt, range(4), spec, (8192, None), torch.float32, Told())


def test_old_and_new_logprobs_that_differ_before_learning_are_refused() -> None:
    spec, model = settings(), tiny_model()
    learnt = learnt_from(model, spec)
    learnt.logprobs_BT.add_(0.01)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with pytest.raises(TrainingError, match=r"differ by 0\.01 nats"):
        update(model, optimizer, learnt, spec, 0, (8192, None), torch.float32)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_policy_reference_and_update_use_the_sampling_temperature(temperature: float) -> None:
    """Against the plain model's logits of each sequence alone, divided by T."""
    spec, model = settings(temperature=temperature), tiny_model(temperature=temperature)
    reference = Reference(model)
    rollout = Rollout(PROMPTS, EIGHT)
    looked = look(rollout, model, reference, [range(8)], (8192, None), torch.float32)
    for row, (prompt, said) in enumerate(zip(PROMPTS, EIGHT, strict=True)):
        ids = torch.tensor([prompt + said.token_ids])
        with torch.no_grad():
            logits = model.policy(ids).logits[0, len(prompt) - 1 : -1]
        logprobs, entropy = tempered_terms(logits, ids[0, len(prompt) :], temperature)
        length = len(said.token_ids)
        torch.testing.assert_close(looked.logprobs_BT[row, :length], logprobs)
        torch.testing.assert_close(looked.entropies_BT[row, :length], entropy)
        assert looked.logprobs_BT[row, length:].eq(0).all()
    assert torch.equal(looked.reference_BT, looked.logprobs_BT)
    learnt, tally = learnt_from(model, spec), Told()
    accumulate(model, learnt, range(8), spec, (8192, None), torch.float32, tally)
    assert tally.means()["drift"] == 0  # the update's logprobs are the very same


def _two_ranks(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    spec, model = settings(entropy_coef=0.01), tiny_model()
    rows = range(4 * rank, 4 * rank + 4)
    rollout = Rollout([PROMPTS[i] for i in rows], [EIGHT[i] for i in rows])
    looked = look(rollout, model, Reference(model), [range(4)], (8192, None), torch.float32)
    learnt = experience(looked, rollout, [float(EIGHT[i].token_ids[0]) for i in rows], spec.kl_coef, spec)
    accumulate(model, learnt, range(4), spec, (8192, None), torch.float32, Told())
    norms = step(model, torch.optim.SGD(model.parameters(), lr=1.0), 1e9)
    weights = {n: p.detach() for n, p in model.named_parameters()}
    from safetensors.torch import save_file

    save_file({**weights, "norm": torch.tensor(norms["policy"])}, f"{folder}/{rank}.safetensors")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_python")
def test_two_ranks_of_four_take_the_step_of_one_rank_of_eight(tmp_path) -> None:
    """Whitening, denominators and gradients are the whole minibatch's: the SGD step at rate 1 is the gradient itself."""
    from safetensors.torch import load_file

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_two_ranks, (port, str(tmp_path)), nprocs=2)
    spec, model = settings(entropy_coef=0.01), tiny_model()
    accumulate(model, learnt_from(model, spec), range(8), spec, (8192, None), torch.float32, Told())
    norms = step(model, torch.optim.SGD(model.parameters(), lr=1.0), 1e9)
    for rank in (0, 1):
        found = load_file(tmp_path / f"{rank}.safetensors")
        assert found["norm"].item() == pytest.approx(norms["policy"], rel=1e-4)
        for name, parameter in model.named_parameters():
            if name in found:
                torch.testing.assert_close(found[name], parameter.detach(), rtol=1e-4, atol=1e-6)


def test_the_value_loss_counts_by_its_coefficient() -> None:
    half, whole = gradients((8192, None)), gradients((8192, None), vf_coef=1.0)
    torch.testing.assert_close(whole["value_head.weight"], 2 * half["value_head.weight"], rtol=1e-4, atol=1e-7)


def test_the_entropy_bonus_raises_the_entropy() -> None:
    """With a bonus a thousand times the rest, one small gradient step can only go uphill in entropy."""
    spec, model = settings(entropy_coef=1000.0), tiny_model()
    with torch.no_grad():
        model.policy.lm_head.weight.mul_(30)

    def entropy() -> float:
        return look(Rollout(PROMPTS, EIGHT), model, Reference(model), [range(8)], (8192, None), torch.float32).entropy()

    before = entropy()
    accumulate(model, learnt_from(model, spec), range(8), spec, (8192, None), torch.float32, Told())
    step(model, torch.optim.SGD(model.parameters(), lr=0.01), 1.0)
    assert entropy() > before


def test_gradients_are_gone_after_a_step() -> None:
    spec, model = settings(), tiny_model()
    accumulate(model, learnt_from(model, spec), range(8), spec, (8192, None), torch.float32, Told())
    step(model, torch.optim.SGD(model.parameters(), lr=0.01), 1.0)
    assert all(p.grad is None for p in model.parameters())


def test_rows_that_all_stop_at_once_and_rows_that_all_hit_the_limit_learn_without_nan() -> None:
    for rows in (completions(*[[1]] * 8), completions(*[[5, 6, 7, 8]] * 8)):
        taught = learner(settings(), rows)
        told = taught.learn(PROMPTS, lambda rollout: ([float(i) for i in range(8)], {}))
        assert all(math.isfinite(value) for value in told.values())
        assert all(torch.isfinite(p).all() for p in taught.model.parameters())
        assert told["stops"] in (0.0, 1.0)


def test_micro_batches_and_means_are_as_told() -> None:
    assert Means(tokens=5).limits == (5, None)


def test_adam_has_the_literatures_epsilon_no_decay_and_two_learning_rates() -> None:
    taught = learner(settings(learning_rate=1e-3, value_learning_rate=5e-3))
    policy, value = taught.optimizer.param_groups
    assert (policy["lr"], value["lr"]) == (1e-3, 5e-3)
    assert all(g["eps"] == 1e-5 and g["weight_decay"] == 0 for g in (policy, value))
    held = [id(p) for g in (policy, value) for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in taught.model.parameters())
