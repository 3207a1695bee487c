import math

import torch

from align.objectives.logprobs import next_token_logprobs, token_logprobs


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
