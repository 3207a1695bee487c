from pathlib import Path

import pytest
import torch

from align.artifact.inputs import ModelInput
from align.data.render import render_messages
from align.errors import ModelError
from align.models.load import load_model, save_model
from align.models.new import new_model, train_tokenizer
from align.models.tokenizer import fit_model, load_tokenizer, ready_tokenizer, separate_pad_token, shipped_tokenizer
from tests.tiny import SHAPE, texts, write_base


@pytest.fixture
def base(tmp_path: Path) -> ModelInput:
    return write_base(tmp_path / "base")


def without(base: ModelInput, template: bool = False, pad: str | None = None) -> None:
    """Save the base again with another pad token, and without its template."""
    tokenizer = load_tokenizer(base)
    tokenizer.pad_token = pad
    if template:
        (base.path / "chat_template.jinja").unlink()
        tokenizer.chat_template = None
    tokenizer.save_pretrained(base.path)


def test_the_same_texts_give_the_same_tokenizer() -> None:
    made = [train_tokenizer((row["text"] for row in texts(100)), SHAPE) for _ in range(2)]
    assert made[0]._tokenizer.to_str() == made[1]._tokenizer.to_str()
    assert len(made[0]) == SHAPE.vocab_size
    word = "smörgåsbord \n日本"
    assert made[0].decode(made[0](word)["input_ids"]) == word


def test_the_files_are_read_once_until_they_change_and_what_is_changed_is_ones_own(base: ModelInput) -> None:
    shipped = shipped_tokenizer(base)
    own = load_tokenizer(base)
    own.add_special_tokens({"pad_token": "<|mine|>"})
    own.chat_template = None
    assert shipped_tokenizer(base.path) is shipped and shipped.chat_template and "<|mine|>" not in shipped.get_vocab()
    assert load_tokenizer(base).pad_token == shipped.pad_token != own.pad_token
    own.save_pretrained(base.path)
    (base.path / "chat_template.jinja").unlink()
    assert shipped_tokenizer(base).pad_token == "<|mine|>" and not shipped_tokenizer(base).chat_template


def test_the_same_seed_gives_the_same_weights() -> None:
    tokenizer = train_tokenizer((row["text"] for row in texts(100)), SHAPE)
    first, second, other = (new_model(SHAPE, tokenizer, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


def test_a_sound_tokenizer_is_left_as_it_is(base: ModelInput) -> None:
    notes: list[str] = []
    tokenizer = ready_tokenizer(base, notes.append)
    assert notes == [] and tokenizer.pad_token == "<|pad|>" and tokenizer.eos_token == "<|end|>"


def test_a_missing_template_is_told_with_its_remedy(base: ModelInput) -> None:
    without(base, template=True, pad="<|pad|>")
    with pytest.raises(ModelError, match=r"no chat template.*chat_template: chatml"):
        ready_tokenizer(base, print)
    assert ready_tokenizer(base, print, conversations=False).chat_template is None


def test_chatml_adds_its_tokens_and_its_stop_token(base: ModelInput, tmp_path: Path) -> None:
    without(base, template=True, pad="<|pad|>")
    notes: list[str] = []
    tokenizer = ready_tokenizer(base, notes.append, chat_template="chatml")
    model = load_model(base)
    mean = model.lm_head.weight.mean(0)
    assert fit_model(model, tokenizer) == 2
    assert torch.allclose(model.lm_head.weight[-1], mean, atol=1e-6)
    assert model.get_input_embeddings().weight is model.lm_head.weight
    assert "2 tokens added, the stop token is <|im_end|>" in notes[0]
    rendered = render_messages(
        [{"role": "user", "content": "red"}, {"role": "assistant", "content": "blue"}], tokenizer
    )
    assert rendered.text == "<|im_start|>user\nred<|im_end|>\n<|im_start|>assistant\nblue<|im_end|>"
    assert rendered.input_ids[-1] == tokenizer.eos_token_id == model.generation_config.eos_token_id[0]
    save_model(model, tokenizer, tmp_path / "saved")
    again = load_model(ModelInput("saved", tmp_path / "saved", ""))
    assert again.generation_config.eos_token_id[0] == tokenizer.eos_token_id
    assert len(load_tokenizer(tmp_path / "saved")) == 302


def test_a_jinja_file_is_a_template(base: ModelInput, tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{{ messages[0]['content'] }}")
    assert ready_tokenizer(base, print, chat_template=str(tmp_path / "mine.jinja")).chat_template.startswith("{{ mess")
    with pytest.raises(ModelError, match="there is no file"):
        ready_tokenizer(base, print, chat_template=str(tmp_path / "none.jinja"))


@pytest.mark.parametrize("pad", ["<|end|>", None])
def test_padding_is_never_the_stop_token(base: ModelInput, pad: str | None) -> None:
    without(base, pad=pad)
    notes: list[str] = []
    tokenizer = ready_tokenizer(base, notes.append)
    model = load_model(base)
    fit_model(model, tokenizer)
    assert tokenizer.pad_token == "<|pad|>" and "padding is now <|pad|>" in notes[0]
    assert model.config.pad_token_id == model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_an_unused_special_token_is_taken_before_a_new_one_is_made(base: ModelInput) -> None:
    tokenizer = load_tokenizer(base)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>"]})
    tokenizer._special_tokens_map["pad_token"] = None
    tokenizer.chat_template += "<|pad|>"  # in use, so not to be padded with
    separate_pad_token(tokenizer, print)
    assert tokenizer.pad_token == "<|endoftext|>"


def test_a_new_pad_token_is_added_where_there_is_none(base: ModelInput) -> None:
    tokenizer = load_tokenizer(base)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template += "<|pad|>"
    before = len(tokenizer)
    notes: list[str] = []
    separate_pad_token(tokenizer, notes.append)
    assert tokenizer.pad_token == "<|pad|>" and "a new token" in notes[0] and len(tokenizer) >= before
