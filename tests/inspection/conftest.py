from pathlib import Path
from typing import Any

import pytest

from align.models.load import load_model, save_model
from align.models.tokenizer import load_tokenizer
from tests.tiny import write_base

SYSTEM = "You are a small and helpful model."
TEMPLATE = (
    "{% if messages[0].role != 'system' %}<|system|>" + SYSTEM + "<|end|>\n{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="session")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model folder as many are shipped: pad is the stop token, and the template has a system prompt of its own."""
    folder: Path = tmp_path_factory.mktemp("model") / "careless"
    source = write_base(folder)
    model, tokenizer = load_model(source), load_tokenizer(source)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = TEMPLATE.replace("<|end|>", tokenizer.eos_token)
    save_model(model, tokenizer, folder)
    return folder
