"""Logprobs and entropies at a temperature, against torch.distributions and across chunks."""

from __future__ import annotations

import pytest
import torch

from align.objectives.tempered import chunked_tempered_terms, tempered_terms


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_terms_are_those_of_the_tempered_distribution(temperature: float) -> None:
    torch.manual_seed(0)
    logits, tokens = torch.randn(5, 9), torch.tensor([0, 3, 8, 1, 1])
    policy = torch.distributions.Categorical(logits=logits / temperature)
    logprobs, entropy = tempered_terms(logits, tokens, temperature)
    torch.testing.assert_close(logprobs, policy.log_prob(tokens))
    torch.testing.assert_close(entropy, policy.entropy())


def test_chunks_give_the_numbers_and_gradients_of_the_whole() -> None:
    torch.manual_seed(0)
    hidden, head, tokens = torch.randn(7, 4), torch.randn(9, 4), torch.randint(0, 9, (7,))
    results = []
    for at_once in (9 * 2, 9 * 100):
        h, w = hidden.clone().requires_grad_(), head.clone().requires_grad_()
        logprobs, entropy = chunked_tempered_terms(h, w, tokens, 0.7, entropy_trained=True, at_once=at_once)
        (logprobs.sum() + 0.3 * entropy.sum()).backward()
        results.append((logprobs, entropy, h.grad, w.grad))
    for chunked, whole in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole)


def test_entropy_costs_no_gradient_unless_it_is_trained() -> None:
    hidden = torch.randn(3, 4, requires_grad=True)
    logprobs, entropy = chunked_tempered_terms(hidden, torch.randn(9, 4), torch.tensor([0, 1, 2]), 1.0)
    assert logprobs.requires_grad and not entropy.requires_grad
