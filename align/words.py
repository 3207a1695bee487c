"""Numbers, sizes and metrics as people say them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from align.specs import STEPS
from align.specs.asking import rank

LABELS = {
    "eval_loss": "held-out loss",
    "eval_rewards/accuracies": "held-out accuracy",
    "eval_rewards/margins": "held-out margin",
    "eval_accuracy": "held-out accuracy",
    "rewards/accuracies": "accuracy",
    "rewards/mean": "reward",
    "rewards/gold": "gold reward",
    "kl": "KL",
    "kl_per_token": "KL a token",
    "bits_per_byte": "bits per byte",
    "ece": "ECE",
    "rewards/margins": "margin",
    "mean_token_accuracy": "token accuracy",
    "grad_norm": "gradient",
    "learning_rate": "rate",
}
UNITS = {  # these read better behind the number
    "tokens_per_second": "tokens/s",
    "rows_per_second": "rows/s",
    "memory": "GiB",
    "tokens/mean": "tokens an answer",
    "rows/train": "rows",
    "rows/holdout": "held out",
}
LIVE = (
    "rewards/mean",
    "loss",
    "rewards/accuracies",
    "accuracy",
    "kl",
    "tokens_per_second",
    "memory",
)  # worth watching, most telling first


def number(value: float) -> str:
    """Three digits that matter: `0.712`, `12.3`, `4,096`, `2e-05`."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def short(value: float) -> str:
    """A large number in little space: `12.3k`, `4.5M`."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:  # what three digits round up to the next letter
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def phrase(name: str, value: float) -> str:
    """A metric with its number: `loss 1.21`, `12.3k tokens/s`, `1,982 rows`."""
    if name in UNITS:
        unit = "row" if value == 1 and UNITS[name] == "rows" else UNITS[name]
        return f"{short(value) if name.endswith('_per_second') else number(value)} {unit}"
    return f"{LABELS.get(name, name.replace('_', ' '))} {number(value)}"


def telling(kind: str, metrics: Mapping[str, float], count: int = 3) -> list[str]:
    """The few numbers that say most about a finished step, as its settings name them."""
    if kind == "measure":
        return _of_suites(metrics)[:count]
    names = [n for n in STEPS[kind].telling if n in metrics] if kind in STEPS else []
    names = [n for n in names if f"eval_{n}" not in metrics]  # the held-out number says more than the training one
    return [phrase(n, metrics[n]) for n in names[:count]]


def _of_suites(metrics: Mapping[str, float]) -> list[str]:
    """One number a suite: the one that people look at first."""
    told = []
    for suite in dict.fromkeys(n.split("/")[0] for n in metrics if "/" in n):
        own = {n.partition("/")[2]: v for n, v in metrics.items() if n.startswith(f"{suite}/")}
        best = min(own, key=rank)
        told.append(f"{suite} {phrase(best, own[best])}" if best != suite else phrase(best, own[best]))
    return told


def size(count: float) -> str:
    """Bytes as people say them: `12 kB`, `1.3 GB`."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            amount = count / limit
            return f"{amount:.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"
    return f"{count:.0f} bytes"


def clock(seconds: float) -> str:
    """How long: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 days 4 h`."""
    if seconds < 10:
        return f"{seconds} s" if isinstance(seconds, int) else f"{seconds:.1f} s"
    seconds = round(seconds)
    for large, small, length, part in (("days", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if seconds >= length:
            whole, rest = divmod(seconds, length)
            rest //= part
            large = "day" if large == "days" and whole == 1 else large
            return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"
    return f"{seconds} s"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    names = list(names)
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""


@dataclass(frozen=True)
class Commands:
    """What to type to get this again: the recipe as it was named, with its overrides and store."""

    recipe: str
    overrides: tuple[str, ...] = ()
    store: str | None = None

    def line(self, verb: str, *more: str) -> str:
        tail = ("--store", self.store) if self.store else ()
        return " ".join(_quoted(part) for part in ("align", verb, self.recipe, *self.overrides, *more, *tail))

    def of(self, verb: str, reference: str, *more: str) -> str:
        tail = ("--store", self.store) if self.store else ()
        return " ".join(_quoted(part) for part in ("align", verb, reference, *more, *tail))


def _quoted(part: str) -> str:
    plain = all(c.isalnum() or c in "-_./:=@+,~%" for c in part)
    return part if plain and part else "'" + part.replace("'", "'\\''") + "'"
