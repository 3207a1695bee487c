"""Whether a base model's tokenizer, context and knowledge fit the data, slice by slice. Pure: numbers in, verdicts out.

sizes = measure(texts, encode)           words, bytes, tokens, unknown tokens, pieces of characters
reference = reference_encoder(half)      the tokenizer that the data itself would have made
verdicts(Slice(...))                     -> fits, or what to do first, each with its reason
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from langdetect import DetectorFactory, LangDetectException, detect
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from align import words

DetectorFactory.seed = 0  # the detector draws at random otherwise

# Beyond each of these a verdict is given.
UNKNOWN = (
    0.001  # of tokens: a text that becomes <unk> can be neither read nor written, and one in a thousand is one a page
)
SAVING = (
    0.3  # of tokens: below it, what new embedding rows cost to train is not won back in the length of a fine-tuning run
)
BYTE_PIECES = 0.2  # of tokens: each is a part of one character, which the model has to spell
TOO_LONG = 0.01  # of rows over the context: the share that a stage lets max_length cut (its drop_budget)
LITTLE = 2000  # bytes of a slice, under which nothing can be said
REFERENCE_VOCABULARY = 8000
LANGUAGE_TEXTS, LANGUAGE_CHARACTERS, LANGUAGE_SHARE = 30, 500, 0.5  # of texts looked at; share that must agree

Encode = Callable[[Sequence[str]], list[list[int]]]

# Scripts that write no spaces: so many characters make about one word (Han 1.5, kana 2, Thai and its neighbours 4).
_UNSPACED = (
    (re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]"), 1.5),
    (re.compile(r"[\u3040-\u30ff]"), 2.0),
    (re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"), 4.0),
)
_SPACED = re.compile(r"[^\W_\u4e00-\u9fff\u3400-\u4dbf\u3040-\u30ff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")


def words_in(text: str) -> float:
    """About how many words a text has, also in scripts without spaces."""
    return len(_SPACED.findall(text)) + sum(len(script.findall(text)) / each for script, each in _UNSPACED)


def language_of(texts: Sequence[str]) -> str:
    """The language (ISO 639-1) that most of the texts are in; `mixed` where no language is that of half of them."""
    found: Counter[str] = Counter()
    for text in texts[:LANGUAGE_TEXTS]:
        try:
            found[detect(text[:LANGUAGE_CHARACTERS])] += 1
        except LangDetectException:
            found["?"] += 1  # digits, code, nothing to go by
    (name, count), *_ = found.most_common(1) or [("?", 0)]
    return name if count >= LANGUAGE_SHARE * max(1, sum(found.values())) else "mixed"


@dataclass(frozen=True)
class Sizes:
    """One body of text in several units."""

    words: float
    bytes: int
    tokens: int
    unknown: int = 0
    pieces: int = 0  # tokens that are only a part of a character

    @property
    def fertility(self) -> float:
        """Tokens a word."""
        return self.tokens / max(self.words, 1e-9)

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / max(self.tokens, 1)


def measure(
    texts: Sequence[str], encode: Encode, unknown: int | None = None, is_piece: Callable[[int], bool] | None = None
) -> Sizes:
    """The sizes of texts under a tokenizer; `is_piece` says of a token id whether it is only a part of a character."""
    counts = Counter(token for ids in encode(texts) for token in ids)
    pieces = sum(count for token, count in counts.items() if is_piece(token)) if is_piece else 0
    return Sizes(
        sum(map(words_in, texts)), sum(len(text.encode("utf-8", "replace")) for text in texts), counts.total(),
        counts[unknown] if unknown is not None else 0, pieces,
    )  # fmt: skip


def reference_encoder(texts: Sequence[str], vocabulary: int = REFERENCE_VOCABULARY) -> tuple[Encode, list[str]]:
    """The byte-level BPE that the texts themselves would have made: what a tokenizer could reach. And the texts of its
    tokens, those aside that are only parts of a character.

    Measure it on other texts than these: on its own it flatters itself.
    """
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    fast.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=[], initial_alphabet=alphabet, show_progress=False
    )
    fast.train_from_iterator(texts, trainer)
    decoded = (fast.decode([index]) for index in range(fast.get_vocab_size()))
    whole = sorted({text for text in decoded if text and "\ufffd" not in text})
    return lambda batch: [encoding.ids for encoding in fast.encode_batch(list(batch))], whole


def letters_entropy(texts: Sequence[str]) -> float:
    """Bits a byte of who knows how often each byte occurs, and nothing else."""
    counts = Counter(byte for text in texts for byte in text.encode("utf-8", "replace"))
    total = counts.total()
    return -sum(n / total * math.log2(n / total) for n in counts.values()) if total else 0.0


def compressed(texts: Sequence[str]) -> float:
    """Bits a byte of zlib: who remembers the last 32 kB and knows no language."""
    raw = "\n".join(texts).encode("utf-8", "replace")
    return 8 * len(zlib.compress(raw, 9)) / len(raw) if raw else 0.0


@dataclass(frozen=True)
class Slice:
    """What was measured on one slice in one language. `over_context`: share of its rows longer than the model reads.

    `reference`: the same texts under the reference tokenizer; `new_tokens`: how many of its tokens the base lacks.
    `bits_per_byte`: the base model's, None where it was not measured; `blind`: of who knows how often letters occur, or takes
    all tokens for alike, whichever is less; `compressed`: of zlib.
    """

    name: str
    language: str
    rows: int
    sizes: Sizes
    reference: Sizes | None = None
    new_tokens: int = 0
    width: int = 0
    over_context: float = 0.0
    bits_per_byte: float | None = None
    blind: float = 0.0
    compressed: float = 0.0

    @property
    def saving(self) -> float:
        """Share of tokens that a vocabulary made for this text would save."""
        return max(0.0, 1 - self.reference.tokens / self.sizes.tokens) if self.reference and self.sizes.tokens else 0.0


@dataclass(frozen=True)
class Verdict:
    """`fits`, `too little to judge`, `wrong base`, `extend the vocabulary`, `extend the context` or `domain-adapt first`."""

    name: str
    why: str


def verdicts(found: Slice) -> list[Verdict]:
    """What the numbers of a slice ask for, the gravest first; `fits` alone where they ask for nothing."""
    if found.sizes.bytes < LITTLE:
        return [Verdict("too little to judge", f"{found.sizes.bytes:,} bytes of text")]
    told = [verdict for verdict in (_knowledge(found), _vocabulary(found), _context(found)) if verdict]
    told.sort(key=lambda verdict: verdict.name != "wrong base")
    if told:
        return told
    measured = f", {found.bits_per_byte:.2f} bits a byte" if found.bits_per_byte is not None else ""
    return [
        Verdict(
            "fits",
            f"{found.sizes.fertility:.2f} tokens a word, {found.sizes.bytes_per_token:.1f} bytes a token{measured}",
        )
    ]


def _knowledge(found: Slice) -> Verdict | None:
    unknown = found.sizes.unknown / max(1, found.sizes.tokens)
    if unknown > UNKNOWN:
        return Verdict(
            "wrong base",
            f"{unknown:.1%} of tokens are unknown to its tokenizer: that text can be neither read nor written",
        )
    if found.bits_per_byte is None:
        return None
    bits = f"{found.bits_per_byte:.2f} bits a byte"
    if found.bits_per_byte >= found.blind:
        return Verdict("wrong base", f"{bits}: who guesses blindly needs {found.blind:.2f}")
    if found.bits_per_byte >= found.compressed:
        why = f"{bits}, and zlib, which knows no language, needs {found.compressed:.2f}: pretrain on such text first"
        return Verdict("domain-adapt first", why)
    return None


def _vocabulary(found: Slice) -> Verdict | None:
    pieces = found.sizes.pieces / max(1, found.sizes.tokens)
    reference = found.reference
    if found.saving < SAVING and pieces < BYTE_PIECES:
        return None
    if reference is None or found.saving <= 0:
        return Verdict("extend the vocabulary", f"{pieces:.0%} of tokens are parts of a character")
    cost = f"{found.new_tokens:,} new tokens" + (
        f", {words.short(found.new_tokens * found.width)} parameters to learn" if found.width else ""
    )
    why = (
        f"{found.sizes.fertility:.2f} tokens a word; a vocabulary made for this text needs {reference.fertility:.2f} and saves "
        f"{found.saving:.0%} of tokens, at the cost of {cost}"
    )
    return Verdict("extend the vocabulary", why)


def _context(found: Slice) -> Verdict | None:
    if found.over_context <= TOO_LONG:
        return None
    return Verdict("extend the context", f"{found.over_context:.1%} of rows are longer than the model reads")
