"""The process that holds a model: it answers a conversation in pieces, and exports adapters merged."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from align.answer import Speaker, export
from align.artifact.inputs import ModelInput
from align.errors import ModelError, UserError
from align.launch.service import Service
from align.models.load import load_model, save_model
from align.models.tokenizer import load_tokenizer
from tests import warm
from tests.tiny import write_base

SAY = {"do": "say", "temperature": 1.0, "max_new_tokens": 12, "seed": 0}
HELLO = [{"role": "user", "content": "red cat"}]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelInput:
    return write_base(tmp_path_factory.mktemp("answer") / "base")


def ask(speaker: Speaker, request: dict[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    speaker.answer(request, told.append)
    return told


def test_an_answer_comes_in_pieces_and_is_what_plain_generation_gives(base: ModelInput) -> None:
    speaker = Speaker()
    (opened,) = ask(speaker, {"do": "open", "model": {"folder": str(base.path)}})
    assert opened["template"] is True and opened["parameters"] > 1000
    *pieces, said = ask(speaker, {**SAY, "messages": HELLO})
    tokenizer, model = load_tokenizer(base), AutoModelForCausalLM.from_pretrained(base.path)
    prompt = tokenizer.apply_chat_template(HELLO, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    torch.manual_seed(0)
    plain = model.generate(**prompt, max_new_tokens=12, do_sample=True, temperature=1.0, top_k=0)[
        0, prompt["input_ids"].shape[1] :
    ]
    assert "".join(p["text"] for p in pieces) == tokenizer.decode(plain, skip_special_tokens=True)
    assert said["tokens"] == len(plain) and len(pieces) > 1


def test_a_conversation_longer_than_the_model_is_an_error_to_mend(base: ModelInput) -> None:
    speaker = Speaker()
    ask(speaker, {"do": "open", "model": {"folder": str(base.path)}})
    with pytest.raises(ModelError, match="Begin again"):
        ask(speaker, {**SAY, "messages": [{"role": "user", "content": "red " * 200}]})


def test_an_exported_adapter_is_one_plain_model_that_answers_alike(base: ModelInput, tmp_path: Path) -> None:
    adapted = get_peft_model(load_model(base), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2, generator=torch.Generator().manual_seed(0))
    save_model(adapted, load_tokenizer(base), tmp_path / "adapter")
    export(ModelInput("tuned", tmp_path / "adapter", "", base), tmp_path / "out")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert not (tmp_path / "out" / "adapter_config.json").exists() and not list(tmp_path.glob("*.partial"))
    ids = torch.tensor([[5, 6, 7, 8]])
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        ours, theirs, before = plain(ids).logits, adapted(ids).logits, load_model(base)(ids).logits
    assert torch.allclose(ours, theirs, atol=1e-5) and not torch.allclose(ours, before, atol=1e-2)


def test_a_service_passes_on_our_errors_and_what_a_dead_child_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "standin.py").write_text(
        "from align.errors import ModelError\n"
        "def answer(request, tell):\n"
        "    if request['do'] == 'die': raise SystemExit('the reason')\n"
        "    if request['do'] == 'write': raise PermissionError(13, 'Permission denied', '/shut')\n"
        "    raise ModelError('m', 'found', '', 'do this')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with Service("standin") as service:
        with pytest.raises(ModelError, match="Do this"):
            list(service.ask({"do": "fail"}))
        with pytest.raises(UserError, match="/shut: it cannot be used"):
            list(service.ask({"do": "write"}))
        with pytest.raises(Exception, match="the reason"):
            list(service.ask({"do": "die"}))


def test_chat_works_in_a_pipe_and_prints_only_answers(base: ModelInput) -> None:
    command = [warm.python(), "-c", "from align.cli import main; main()", "chat", str(base.path)]
    done = subprocess.run(
        [*command, "--temperature", "1", "--max-new-tokens", "12"],
        input="red cat\n/reset\nred cat\n/exit\nnever read\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    half = len(done.stdout) // 2  # the same question to the same seed, twice
    assert done.stdout[:half] == done.stdout[half:] and done.stdout.strip() and "parameters on" in done.stderr
