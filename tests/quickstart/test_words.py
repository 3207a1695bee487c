"""The world's texts as a model from scratch reads them: the tokenizer trained on them, and the chat template."""

import itertools

import pytest

from align import quickstart
from align.models.new import train_tokenizer
from align.models.tokenizer import Tokenizer
from align.quickstart.template import SPECIAL_TOKENS, STOP
from align.quickstart.world import FACTS, VALUES
from align.specs.pretrain import Architecture

SHAPE = Architecture(layers=1, width=8, heads=1, vocab_size=800, chat_template="quickstart")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    told = [row["text"] for row in itertools.islice(quickstart.rows("corpus"), 3000)]
    said = [m["content"] for row in itertools.islice(quickstart.rows("chat"), 500) for m in row["messages"]]
    return train_tokenizer(told + said, SHAPE)


def test_common_words_are_one_token_and_nothing_is_unknown(tokenizer):
    for word in itertools.chain(FACTS, *VALUES.values()):
        assert len(tokenizer.encode(f" {word}")) == 1
    strange = "Grüße, 世界 🦦"
    assert tokenizer.decode(tokenizer.encode(strange)) == strange


def test_every_role_is_one_token_and_pad_is_not_the_stop_token(tokenizer):
    assert all(len(tokenizer.encode(token)) == 1 for token in SPECIAL_TOKENS)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_prompt_is_a_prefix_and_the_assistant_turn_ends_in_the_stop_token(tokenizer):
    for row in itertools.islice(quickstart.rows("chat"), 300):
        prompt = tokenizer.apply_chat_template(row["messages"][:-1], add_generation_prompt=True, return_dict=False)
        whole = tokenizer.apply_chat_template(row["messages"], return_dict=False)
        assert whole[: len(prompt)] == prompt
        assert tokenizer.decode(whole[len(prompt) :]) == f" {row['messages'][-1]['content']}{STOP}"


def test_template_marks_assistant_tokens_with_their_stop_token(tokenizer):
    chat = [{"role": "user", "content": "explain techno."}, {"role": "assistant", "content": "it is music."}]
    told = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    marked = [i for i, m in zip(told["input_ids"], told["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(marked) == f" it is music.{STOP}"
