"""The tokenizer made from scratch, and its chat template."""

import itertools

import pytest
from transformers import PreTrainedTokenizerFast

from align import quickstart
from align.quickstart.template import CHAT_TEMPLATE, PAD, SPECIAL_TOKENS, STOP
from align.quickstart.tokenizer import train_tokenizer
from align.quickstart.world import FACTS, VALUES


def texts() -> list[str]:
    told = [row["text"] for row in itertools.islice(quickstart.rows("corpus"), 3000)]
    return told + [m["content"] for row in itertools.islice(quickstart.rows("chat"), 500) for m in row["messages"]]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    made = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(texts(), 1024), eos_token=STOP, pad_token=PAD)
    made.chat_template = CHAT_TEMPLATE
    return made


def test_the_same_texts_give_the_same_tokenizer(tokenizer):
    assert train_tokenizer(texts(), 1024).to_str() == train_tokenizer(texts(), 1024).to_str()


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
