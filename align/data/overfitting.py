"""Whether a training stage would learn its rows by heart rather than what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

from align.findings import Finding

BITS_A_PARAMETER = 3.6  # what a trained parameter can hold of its data (Morris et al. 2025, 2505.24832)
BITS_A_TOKEN = (
    4.0  # about 1 bit a byte of text, 4 bytes a token: what is new in a token to a model that knows the language
)
# Passes over the same row from which more of them help less and less: 4 for text (Muennighoff et al. 2023, 2305.16264); reward
# models overfit after one (Ouyang et al. 2022, 2203.02155, appendix C.2), preference tuning after a few.
PASSES = {"pretrain": 4.0, "sft": 4.0, "dpo": 3.0, "reward": 2.0}


@dataclass(frozen=True)
class Diet:
    """What a stage trains on. `rows` counts repeated ones; `tokens` are trained ones of one pass; `trainable`: parameters."""

    kind: str
    rows: int
    repeated: int
    tokens: float
    epochs: float
    trainable: int
    adapter: bool = False
    evaluated: bool = False  # whether a held-out part is looked at while training
    keeps_best: bool = False

    @property
    def passes(self) -> float:
        """How often a row is seen on average, those that stand there twice counted once."""
        return self.epochs * self.rows / max(1, self.rows - self.repeated)

    @property
    def held(self) -> float:
        """Bits that the trained parameters can hold, over the bits that are new in the rows."""
        unique = self.tokens * (1 - self.repeated / max(1, self.rows))
        return self.trainable * BITS_A_PARAMETER / max(1.0, unique * BITS_A_TOKEN)


def risk(diet: Diet, subject: str) -> Finding:
    """ok, or a warning with what to change: where all rows can be held, and are seen more often than helps."""
    most = PASSES.get(diet.kind, 4.0)
    seen = f"{diet.rows:,} rows, {diet.tokens:,.0f} trained tokens, seen {diet.passes:.3g} times"
    said = f"{seen}; {diet.trainable:,} trained parameters can hold {diet.held:,.3g} times what is new in them"
    if round(diet.passes, 1) <= most or diet.held <= 1 or (diet.evaluated and diet.keeps_best):
        return Finding("ok", subject, said)
    repeated = f" {diet.repeated:,} rows repeat an earlier one: leave them out." if diet.repeated else ""
    remedy = f"Set epochs: {max(1.0, most * diet.epochs / diet.passes):.2g} or less"
    remedy += ", or a smaller lora.r" if diet.adapter else ", or train an adapter (lora)"
    remedy += ", or keep: best(eval_loss)" if diet.evaluated else ", or give eval_data and keep: best(eval_loss)"
    return Finding("warning", subject, f"may be learnt by heart: {said}", f"{remedy}.{repeated}")
