import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = [
    "What is techno? Music from Detroit.",
    "system user assistant tool\n",
    "List two fruits: apple, pear. Be brief!",
]


@pytest.fixture(scope="session")
def backend() -> Tokenizer:
    """A byte-level BPE over a few words: every text survives it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def make_tokenizer(backend):
    """A tokenizer with the chat template given, ChatML by default."""

    def make(template: str | None = CHATML, eos: str = "<|im_end|>") -> PreTrainedTokenizerFast:
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos, pad_token="<pad>")
        tokenizer.chat_template = template
        return tokenizer

    return make


@pytest.fixture(scope="session")
def chatml(make_tokenizer):
    return make_tokenizer()
