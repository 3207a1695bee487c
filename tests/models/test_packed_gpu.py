"""The flash kernel's packed attention against the loop over documents. Needs a CUDA device."""

from typing import Any

import pytest
import torch

from align.loop.train import compile_layers
from align.models.new import new_model, train_tokenizer
from align.models.packed import PACKED, _by_document, packed_attention, padding_free
from align.specs.pretrain import Architecture
from tests.tiny import texts

pytestmark = pytest.mark.gpu
SHAPE = Architecture(layers=2, width=128, heads=4, kv_heads=2, vocab_size=300, context=256)


@pytest.fixture
def model() -> Any:
    return new_model(SHAPE, train_tokenizer((row["text"] for row in texts(50)), SHAPE), seed=1).cuda()


def padded_batch() -> dict[str, torch.Tensor]:
    lengths = torch.tensor([100, 7, 31, 64], device="cuda")
    mask = (torch.arange(100, device="cuda") < lengths[:, None]).long()
    ids = torch.randint(5, 250, (4, 100), device="cuda", generator=torch.Generator("cuda").manual_seed(0)) * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def test_the_kernel_equals_the_loop_over_documents() -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, 96, 64, device="cuda", generator=generator, dtype=torch.bfloat16) for heads in (4, 2, 2)
    )
    borders = torch.tensor([0, 10, 11, 60, 96], device="cuda", dtype=torch.int32)
    module = torch.nn.Module()
    found = packed_attention(module, query, key, value, None, 0.125, 0.0, borders, 64)[0]
    expected = _by_document(query.float(), key.float(), value.float(), borders, 0.125, 0.0)
    assert torch.allclose(found.float(), expected, atol=2e-2)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_padding_free_model_gives_the_loss_and_gradients_of_the_padded_one(model: Any, compiled: bool) -> None:
    batch = padded_batch()
    with torch.autocast("cuda", torch.bfloat16):
        padded = model(**batch).loss
    padded.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    if compiled:
        compile_layers(model)
    with torch.autocast("cuda", torch.bfloat16):
        bare = padding_free(model)(**batch).loss
    bare.backward()
    assert bare.item() == pytest.approx(padded.item(), rel=1e-3)
    for name, parameter in model.named_parameters():
        assert (parameter.grad - expected[name]).norm() <= 0.03 * expected[name].norm(), name


def test_float32_is_exact_on_the_gpu_too(model: Any) -> None:
    batch = padded_batch()
    expected = model(**batch).loss
    assert padding_free(model)(**batch).loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert model.config._attn_implementation == PACKED
