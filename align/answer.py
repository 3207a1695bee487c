"""The process that holds a model for `align chat` and `align export`. One request a line of JSON in, events as JSON out.

{"do": "open", "model": {...}}                  -> {"event": "opened", "device", "template", "parameters"}
{"do": "say", "messages": [...], sampling ...}  -> {"event": "text", "text"} ..., {"event": "said", "tokens", "seconds"}
{"do": "export", "model": {...}, "folder"}      -> {"event": "exported"}
Each ends with {"event": "done"} or {"event": "failed", "class", "args"}.

`model` is {"key", "kind", "store"} of a sealed artifact, or {"folder"} or {"hub"} of a model from outside.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase, TextIteratorStreamer

from align.artifact.inputs import ModelInput, SourceInput
from align.artifact.store import Store
from align.errors import ModelError
from align.hub import resolve_commit
from align.models.inputs import model_input, outside_model
from align.models.load import load_model, save_model
from align.models.tokenizer import fit_model, load_tokenizer, ready_tokenizer
from align.rollout.portable import stop_token_ids
from align.serving import Tell


def open_model(named: dict[str, Any]) -> ModelInput:
    """The model meant, every file of a sealed one checked against its hash."""
    if "key" in named:
        store = Store(Path(named["store"]))
        return model_input(named["name"], store.open(named["kind"], named["key"]), store)
    if "folder" in named:
        return outside_model(SourceInput("folder", named["folder"], None, None, ""))
    commit = resolve_commit(named["hub"], named["hub"], "model", None)
    return outside_model(SourceInput("hub", named["hub"], None, commit, ""))


class Speaker:
    """A model that answers, on the fastest device there is."""

    def __init__(self) -> None:
        self._model: Any = None
        self._tokenizer: PreTrainedTokenizerBase | None = None

    def answer(self, request: dict[str, Any], tell: Tell) -> None:
        if request["do"] == "open":
            self._open(request["model"], tell)
        elif request["do"] == "say":
            self._say(request, tell)
        else:
            export(open_model(request["model"]), Path(request["folder"]))
            tell({"event": "exported"})

    def _open(self, named: dict[str, Any], tell: Tell) -> None:
        source = open_model(named)
        cuda = torch.cuda.is_available()
        tokenizer = ready_tokenizer(source, lambda _: None, conversations=False)
        model = load_model(source, torch.bfloat16 if cuda else torch.float32, "cuda" if cuda else "cpu")
        fit_model(model, tokenizer)
        self._model, self._tokenizer = model, tokenizer
        count = sum(p.numel() for p in model.parameters())
        device = torch.cuda.get_device_name() if cuda else "CPU"
        tell({"event": "opened", "device": device, "template": bool(tokenizer.chat_template), "parameters": count})

    def _say(self, request: dict[str, Any], tell: Tell) -> None:
        model, tokenizer = self._model, self._tokenizer
        assert model is not None and tokenizer is not None
        ids = _prompt(tokenizer, request["messages"])
        limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        room = request["max_new_tokens"] if limit is None else min(request["max_new_tokens"], limit - len(ids))
        if room < 1:
            raise ModelError(
                "chat", f"the conversation fills the model's {limit} tokens", "", "begin again with /reset"
            )
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)  # type: ignore[arg-type]
        began, counted, failed = time.monotonic(), [0], []
        config = GenerationConfig(
            max_new_tokens=room,
            do_sample=request["temperature"] > 0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=stop_token_ids(model, tokenizer),
            **({"temperature": request["temperature"], "top_k": 0} if request["temperature"] > 0 else {}),
        )

        def generate() -> None:
            try:
                torch.manual_seed(request["seed"])
                out = model.generate(
                    torch.tensor([ids], device=model.device), generation_config=config, streamer=streamer
                )
                counted[0] = out.shape[1] - len(ids)
            except BaseException as error:  # told by the asking thread, which waits for the stream's end
                failed.append(error)
                streamer.end()

        thread = threading.Thread(target=generate)
        thread.start()
        for piece in streamer:
            if piece:
                tell({"event": "text", "text": piece})
        thread.join()
        if failed:
            raise failed[0]
        stopped = counted[0] < room
        tell({"event": "said", "tokens": counted[0], "seconds": time.monotonic() - began, "stopped": stopped})


def _prompt(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]]) -> list[int]:
    """The conversation as the model was taught to read it; plain text, to be gone on with, where it has no template."""
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)  # type: ignore[arg-type]
        return tokenizer(str(text), add_special_tokens=False)["input_ids"]  # type: ignore[return-value]
    return tokenizer("".join(m["content"] for m in messages))["input_ids"]  # type: ignore[return-value]


def export(source: ModelInput, folder: Path) -> None:
    """Writes a plain transformers folder: the model in the number format it was saved in, an adapter merged."""
    draft = folder.with_name(folder.name + ".partial")
    bottom = source
    while bottom.base:
        bottom = bottom.base
    settings = json.loads((bottom.path / "config.json").read_text())
    name = settings.get("dtype") or settings.get("torch_dtype") or "float32"
    tokenizer = load_tokenizer(source)
    save_model(load_model(source, getattr(torch, name)), tokenizer, draft)
    draft.rename(folder)


answer = Speaker().answer  # the open model stays from one request to the next
