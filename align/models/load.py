"""Model folders in and out: plain transformers folders of safetensors, and peft adapter folders on a base.

Pickled weights are refused, code that a model brings along is never run, and a weight that is missing is an error rather
than a random start.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from align.artifact.inputs import ModelInput
from align.errors import ModelError
from align.models.embeddings import grow_embeddings
from align.models.quiet import quiet

# What tokenizers write down of how and where they were loaded.
_LOADING = ("name_or_path", "tokenizer_file", "special_tokens_map_file", "is_local", "local_files_only")
# cuDNN's attention plans each new shape for a quarter of a second; batches of text rarely have the same one twice.
torch.backends.cuda.enable_cudnn_sdp(False)
FAULTS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)


@quiet()
def load_model(
    source: ModelInput,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    attention: str = "sdpa",
) -> Any:
    """The causal language model of a folder, in eval mode; an adapter is merged into its base in float32.

    Raises ModelError where the folder is not a whole causal language model in safetensors.
    """
    if source.base is not None:
        model = _merged(source, device, attention).to(dtype)  # type: ignore[arg-type]
    else:
        check_folder(source)
        _check_architecture(source)
        model = load_whole(AutoModelForCausalLM, source, dtype, device, attention)
    model.config._name_or_path = ""  # a path of this machine; nothing may look it up again
    return model.eval()


@quiet()
def save_model(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, base_digest: str = "") -> None:
    """Write a model and its tokenizer to a folder, anew; the same weights give the same bytes.

    A PeftModel is saved as an adapter that records `base_digest` as its base.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if isinstance(model, PeftModel):
        _save_adapter(model, folder, base_digest)
    else:
        model.config._name_or_path = ""
        model.config.use_cache = True  # trainers turn it off; whoever generates wants it
        model.save_pretrained(folder)
    if model.can_generate():  # a reward model cannot
        model.generation_config._from_model_config = False  # what is written here stands, whatever config.json says
        model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _strip_paths(folder / "tokenizer_config.json", _LOADING)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _save_adapter(model: PeftModel, folder: Path, base_digest: str) -> None:
    config: PeftConfig = model.peft_config["default"]
    config.base_model_name_or_path = base_digest
    config.inference_mode = True
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text())
    if isinstance(settings.get("target_modules"), list):
        settings["target_modules"].sort()  # a set in peft: its order differs between processes
    if settings.get("modules_to_save"):
        settings["modules_to_save"] = list(dict.fromkeys(settings["modules_to_save"]))  # peft adds what stands there
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def _strip_paths(path: Path, names: tuple[str, ...]) -> None:
    if path.is_file():
        settings = {k: v for k, v in json.loads(path.read_text()).items() if k not in names}
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def load_whole(kind: Any, source: ModelInput, dtype: torch.dtype, device: str | torch.device, attention: str) -> Any:
    """A model of one of transformers' auto classes; ModelError where a weight is missing."""
    try:
        model, found = kind.from_pretrained(
            source.path, dtype=dtype, attn_implementation=attention, trust_remote_code=False, use_safetensors=True,
            output_loading_info=True, local_files_only=True,
        )  # fmt: skip
    except FAULTS as error:
        raise ModelError(
            source.name, f"the model cannot be loaded: {first_line(error)}", remedy="Copy it again."
        ) from error
    missing = sorted(found["missing_keys"]) + sorted(str(key) for key in found.get("mismatched_keys", ()))
    if missing:
        raise ModelError(
            source.name, f"the weights lack {len(missing)} tensors, e.g. {missing[0]}", "A whole model",
            "Without them a part of the model would start at random. Use the folder that config.json belongs to.",
        )  # fmt: skip
    return model.to(device)


def _merged(source: ModelInput, device: str | torch.device, attention: str) -> Any:
    """The adapter's base (itself perhaps an adapter on a base) with the adapter's update added to its weights."""
    assert source.base is not None
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        if not (source.path / file).is_file():
            raise ModelError(source.name, f"the adapter folder has no {file}", remedy="Copy the adapter again.")
    if json.loads((source.path / "adapter_config.json").read_text()).get("task_type") == "SEQ_CLS":
        raise _is_reward_model(source, "the adapter is a reward model's")
    base = load_model(source.base, torch.float32, device, attention)
    grow_embeddings(base, tokenizer_rows(source.path))
    try:
        model = PeftModel.from_pretrained(base, str(source.path), torch_device=str(device)).merge_and_unload()  # type: ignore[operator]
        if (source.path / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(source.path)
    except FAULTS as error:
        raise ModelError(
            source.name, f"the adapter does not fit its base: {first_line(error)}", remedy="Check the base model."
        ) from error
    model.config.pad_token_id = model.generation_config.pad_token_id
    return model.requires_grad_(True)  # peft froze the base, and a stage that goes on without LoRA trains all of it


def tokenizer_rows(folder: Path) -> int:
    """How many embedding rows the folder's tokenizer needs: its highest token id + 1."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return 0
    settings = json.loads(path.read_text(encoding="utf-8"))
    return max((token["id"] for token in settings.get("added_tokens", ())), default=-1) + 1


def check_folder(source: ModelInput) -> None:
    """Raise ModelError unless the folder holds a configuration and all its weights in safetensors."""
    folder = source.path
    if not (folder / "config.json").is_file():
        adapter = (folder / "adapter_config.json").is_file()
        raise ModelError(
            source.name,
            "the folder is an adapter without its base" if adapter else "the folder has no config.json",
            "A transformers model folder",
            "Merge the adapter into its base first." if adapter else "Name the folder that holds config.json.",
        )
    weights = folder / "model.safetensors"
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        lacking = [shard for shard in shards if not (folder / shard).is_file()]
        if lacking:
            raise ModelError(source.name, f"the weights lack {', '.join(lacking)}", remedy="Copy the model again.")
    elif not weights.is_file():
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"})
        raise ModelError(
            source.name,
            f"the weights are pickled ({pickled[0]})" if pickled else "the folder has no weights",
            "model.safetensors",
            "A pickle can run code; load it where you trust it and save it again with safetensors."
            if pickled
            else "Copy the model again.",
        )


def _check_architecture(source: ModelInput) -> None:
    try:
        config = AutoConfig.from_pretrained(source.path, trust_remote_code=False)
    except FAULTS as error:
        raise ModelError(
            source.name, f"config.json cannot be used: {first_line(error)}",
            "An architecture that transformers itself has; a model's own code is never run",
        ) from error  # fmt: skip
    named = config.architectures or []
    known = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    if named and not known & set(named):
        raise _is_reward_model(source, f"the model is a {named[0]}")


def _is_reward_model(source: ModelInput, found: str) -> ModelError:
    return ModelError(
        source.name, found, "A causal language model (...ForCausalLM)",
        "A reward model or classifier cannot be trained or asked for text; name the model it was made from.",
    )  # fmt: skip


def first_line(error: Exception) -> str:
    """What an error says, without what stands below."""
    return (str(error).splitlines() or [type(error).__name__])[0]
