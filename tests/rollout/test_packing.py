"""Packed, padded and plain passes agree; neighbours see nothing of one another."""

from __future__ import annotations

import pytest
import torch

from align.models.packed import PACKED
from align.rollout.packing import attention, last_states, micro_batches, pack, predicting_states
from tests.rewarding import EIGHT, PROMPTS, tiny_llama

CPU = torch.device("cpu")
ROWS = [prompt + said.token_ids for prompt, said in zip(PROMPTS, EIGHT, strict=True)]
SCORED = [len(said.token_ids) for said in EIGHT]


@pytest.mark.parametrize("packing", [True, False])
def test_packed_and_padded_states_are_those_of_each_row_alone(packing: bool) -> None:
    model = tiny_llama().eval()
    packed = pack(ROWS, SCORED, CPU, packing)
    assert packed.token_ids_N.tolist() == [t for said in EIGHT for t in said.token_ids]
    with torch.no_grad(), attention(model, PACKED if packing else "sdpa"):
        before, at = predicting_states(model.model, packed), last_states(model.model, packed)
    with torch.no_grad():
        alone = [model.model(torch.tensor([row])).last_hidden_state[0] for row in ROWS]
    expected = torch.cat([hidden[len(hidden) - k - 1 : -1] for hidden, k in zip(alone, SCORED, strict=True)])
    torch.testing.assert_close(before, expected, rtol=1e-4, atol=1e-5)
    expected = torch.cat([hidden[len(hidden) - k :] for hidden, k in zip(alone, SCORED, strict=True)])
    torch.testing.assert_close(at, expected, rtol=1e-4, atol=1e-5)


def test_nothing_is_seen_of_neighbours() -> None:
    model = tiny_llama().eval()
    other = [[11] * len(ROWS[0]), *ROWS[1:]]
    with torch.no_grad(), attention(model, PACKED):
        one = last_states(model.model, pack(ROWS, SCORED, CPU, True))
        two = last_states(model.model, pack(other, SCORED, CPU, True))
    assert torch.equal(one[SCORED[0] :], two[SCORED[0] :]) and not torch.equal(one[: SCORED[0]], two[: SCORED[0]])


def test_micro_batches_hold_every_row_once_within_the_limits() -> None:
    lengths = [5, 5, 5, 20, 1, 1]
    assert [list(r) for r in micro_batches(lengths, 10)] == [[0, 1], [2], [3], [4, 5]]
    assert [list(r) for r in micro_batches(lengths, 10, rows=4)] == [[0, 1, 2, 3], [4, 5]]
    assert list(micro_batches([], 10)) == []


def test_attention_is_put_back_even_after_an_error() -> None:
    model = tiny_llama()
    with pytest.raises(ZeroDivisionError), attention(model, PACKED):
        assert model.config._attn_implementation == PACKED
        raise ZeroDivisionError
    assert model.config._attn_implementation == "sdpa"
