"""Documents packed into one row are trained as if each stood alone."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, Qwen2Config

from align.errors import AlignError
from align.loop.batches import IGNORED, Document, PackedCollator, packed_dataset
from align.models.new import new_model, train_tokenizer
from align.models.packed import PACKED, padding_free, supports_packing
from tests.tiny import SHAPE, texts

LENGTHS = (5, 1, 9, 12, 3)


@pytest.fixture
def model() -> Any:
    return new_model(SHAPE, train_tokenizer((row["text"] for row in texts(50)), SHAPE), seed=1)


def documents() -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(5, 250, (length,), generator=generator).tolist() for length in LENGTHS]


def packed_batch(docs: list[list[int]], fixed: int | None = None) -> dict[str, Any]:
    data = packed_dataset([Document(ids, ids) for ids in docs], None)
    batch = PackedCollator(0, 16, fixed)([data[i] for i in range(len(docs))])
    batch.pop("real_tokens")
    return batch


def padded_batch(docs: list[list[int]]) -> dict[str, torch.Tensor]:
    width = max(LENGTHS)
    return {
        "input_ids": torch.tensor([ids + [0] * (width - len(ids)) for ids in docs]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in docs]),
        "labels": torch.tensor([ids + [IGNORED] * (width - len(ids)) for ids in docs]),
    }


def test_packed_loss_and_gradients_equal_those_of_a_padded_batch(model: Any) -> None:
    padded = model(**padded_batch(documents()))
    padded.loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model.set_attn_implementation(PACKED)
    for fixed in (None, 64):
        packed = model(**packed_batch(documents(), fixed))
        packed.loss.backward()
        assert packed.loss.item() == pytest.approx(padded.loss.item(), abs=1e-6)
        for name, parameter in model.named_parameters():
            assert torch.allclose(parameter.grad, expected[name], atol=1e-6), name
        model.zero_grad()


def test_a_changed_token_changes_nothing_in_other_documents(model: Any) -> None:
    model.set_attn_implementation(PACKED)
    docs = documents()
    before = model(**packed_batch(docs)).logits[0]
    docs[0][2] = 4
    after = model(**packed_batch(docs)).logits[0]
    assert torch.equal(before[LENGTHS[0] :], after[LENGTHS[0] :])
    assert not torch.equal(before[: LENGTHS[0]], after[: LENGTHS[0]])


def test_packed_attention_refuses_rows_without_borders(model: Any) -> None:
    model.set_attn_implementation(PACKED)
    with pytest.raises(AlignError, match="see one another"):
        model(torch.tensor([[5, 6, 7]]))


def test_padding_free_gives_what_the_padded_model_gives(model: Any) -> None:
    batch = padded_batch(documents())
    padded = model(**batch)
    padded.loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    bare = padding_free(model)(**batch)
    bare.loss.backward()
    real = batch["attention_mask"].bool()
    assert torch.allclose(bare.logits[real], padded.logits[real], atol=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], atol=1e-6), name


def test_padding_free_computes_no_padding(model: Any) -> None:
    seen = []

    def look(_: Any, inputs: Any, named: dict[str, Any], __: Any) -> None:
        seen.append((inputs[0].shape, named["position_ids"].tolist()))

    model.model.layers[0].register_forward_hook(look, with_kwargs=True)
    padding_free(model)(**padded_batch(documents()))
    assert seen == [((1, sum(LENGTHS), 32), [[position for length in LENGTHS for position in range(length)]])]


def test_variants_of_attention_are_not_packed() -> None:
    assert supports_packing(LlamaConfig())
    assert supports_packing(Qwen2Config(use_sliding_window=False))
    assert not supports_packing(Qwen2Config(use_sliding_window=True, sliding_window=8, max_window_layers=1))
