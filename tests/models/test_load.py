import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model

from align.artifact.inputs import ModelInput
from align.errors import ModelError
from align.models.load import load_model, save_model
from align.models.lora import lora_config
from align.models.tokenizer import load_tokenizer
from align.specs.training import LoRA
from tests.tiny import weights, write_base

IDS = torch.tensor([[10, 20, 30, 40]])


@pytest.fixture
def base(tmp_path: Path) -> ModelInput:
    return write_base(tmp_path / "base")


def adapter_on(base: ModelInput, folder: Path, seed: int = 5) -> tuple[ModelInput, Any]:
    """An adapter with random weights in B too, and the model it was saved from."""
    torch.manual_seed(seed)
    model = get_peft_model(load_model(base), lora_config(LoRA(r=4)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    save_model(model, load_tokenizer(base), folder, base.digest)
    return ModelInput("adapter", folder, f"adapter{seed}", base), model.eval()


def test_saved_weights_come_back_bit_for_bit_and_saving_again_gives_the_same_bytes(
    base: ModelInput, tmp_path: Path
) -> None:
    model = load_model(base)
    assert not model.training
    save_model(model, load_tokenizer(base), tmp_path / "again")
    assert weights(tmp_path / "again") == weights(base.path)


def test_saved_folders_name_no_place_of_this_machine_and_can_be_read_by_all(base: ModelInput, tmp_path: Path) -> None:
    adapter, _ = adapter_on(base, tmp_path / "adapter")
    for folder in (base.path, adapter.path):
        for path in folder.iterdir():
            assert str(tmp_path).encode() not in path.read_bytes(), path.name
            assert path.stat().st_mode & 0o777 == 0o644, path.name
    assert json.loads((adapter.path / "adapter_config.json").read_text())["base_model_name_or_path"] == base.digest
    assert not (adapter.path / "README.md").exists()


def test_an_adapter_is_merged_into_its_base(base: ModelInput, tmp_path: Path) -> None:
    adapter, trained = adapter_on(base, tmp_path / "adapter")
    merged = load_model(adapter)
    assert all(p.requires_grad for p in merged.parameters())  # the next stage may train all of it
    with torch.no_grad():
        assert torch.allclose(merged(IDS).logits, trained(IDS).logits, atol=1e-5)
        assert not torch.allclose(merged(IDS).logits, load_model(base)(IDS).logits, atol=1e-2)
    assert load_model(adapter, torch.bfloat16).dtype is torch.bfloat16


def test_an_adapter_on_an_adapter_is_merged_into_both(base: ModelInput, tmp_path: Path) -> None:
    first, _ = adapter_on(base, tmp_path / "first")
    second, trained = adapter_on(first, tmp_path / "second", seed=6)
    with torch.no_grad():
        assert torch.allclose(load_model(second)(IDS).logits, trained(IDS).logits, atol=1e-5)


def test_saving_an_adapter_twice_gives_the_same_bytes(base: ModelInput, tmp_path: Path) -> None:
    first, _ = adapter_on(base, tmp_path / "first")
    second, _ = adapter_on(base, tmp_path / "second")
    assert weights(first.path) == weights(second.path)


def changed_config(base: ModelInput, **settings: Any) -> None:
    path = base.path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_a_classifier_is_refused(base: ModelInput) -> None:
    changed_config(base, architectures=["LlamaForSequenceClassification"])
    with pytest.raises(ModelError, match=r"LlamaForSequenceClassification.*causal language model"):
        load_model(base)


def test_pickled_weights_are_refused(base: ModelInput) -> None:
    (base.path / "model.safetensors").rename(base.path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickled \(pytorch_model.bin\)"):
        load_model(base)


def test_a_model_s_own_code_is_not_run(base: ModelInput) -> None:
    changed_config(base, model_type="mine", auto_map={"AutoConfig": "code.Mine"})
    (base.path / "code.py").write_text("raise SystemExit('code was run')")
    with pytest.raises(ModelError, match=r"config.json cannot be used"):
        load_model(base)


def test_half_a_model_is_refused(base: ModelInput) -> None:
    changed_config(base, num_hidden_layers=3)
    with pytest.raises(ModelError, match="the weights lack"):
        load_model(base)


@pytest.mark.parametrize("cut", [1, 5000])
def test_weights_cut_short_are_refused(base: ModelInput, cut: int) -> None:
    path = base.path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(base)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_without_a_needed_file_is_refused(base: ModelInput, file: str) -> None:
    (base.path / file).unlink()
    with pytest.raises(ModelError, match=r"no (config.json|weights|tokenizer)"):
        load_tokenizer(base)
        load_model(base)


def test_an_adapter_without_its_base_is_refused(base: ModelInput, tmp_path: Path) -> None:
    adapter, _ = adapter_on(base, tmp_path / "adapter")
    with pytest.raises(ModelError, match="an adapter without its base"):
        load_model(ModelInput("adapter", adapter.path, "digest"))
