import math

import torch

from align.objectives.logprobs import chunked_token_logprobs, next_token_logprobs, token_logprobs


def test_logprob_of_a_token_by_hand() -> None:
    """softmax(0, ln 3) = (1/4, 3/4)."""
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])
    found = token_logprobs(logits, torch.tensor([0, 1]))
    assert torch.allclose(found, torch.tensor([math.log(1 / 4), math.log(3 / 4)]))


def test_next_token_logprobs_look_one_ahead() -> None:
    """The logits at t = 0 are for the token at t = 1; the last logits are for none."""
    logits = torch.tensor([[[0.0, math.log(3)], [math.log(7), 0.0], [9.0, 9.0]]])
    found = next_token_logprobs(logits, torch.tensor([[0, 1, 0]]))
    assert torch.allclose(found, torch.tensor([[math.log(3 / 4), math.log(7 / 8)]]))


def test_chunks_change_neither_values_nor_gradients() -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(7, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    ids = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    whole = token_logprobs(hidden @ head.T, ids)
    grads = torch.autograd.grad(whole.sum(), (hidden, head))
    chunked = chunked_token_logprobs(hidden, head, ids, rows_at_once=3)
    assert torch.allclose(chunked, whole, atol=1e-6)
    for mine, theirs in zip(torch.autograd.grad(chunked.sum(), (hidden, head)), grads, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(chunked_token_logprobs(hidden, head, ids, rows_at_once=3), whole, atol=1e-6)
