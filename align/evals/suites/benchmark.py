"""benchmark: public benchmarks as lm-eval runs and scores them; see BenchmarkSuite for the metrics.

A metric that is a mean over documents is kept document by document, so that models are compared on the same ones; of any
other (perplexity, F1 ...) lm-eval's own value is told, with the interval that follows from its standard error.
"""

from __future__ import annotations

import importlib
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from align.errors import DataError, UserError
from align.estimates import LEVEL, Estimate, Scale
from align.evals.contract import Ask
from align.evals.measured import Measured, Progress
from align.quantiles import normal_quantile

EXTRA = "align[benchmarks]"
BOOTSTRAPS = 1000  # for standard errors of what is no mean
SHARES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")  # means of yes and no
Scores = dict[str, list[tuple[str, float]]]  # metric -> (document, score)


def measure(ask: Ask) -> Measured:
    return measured_of(_evaluated(ask))


def measured_of(found: Mapping[str, Any]) -> Measured:
    """What lm-eval's `simple_evaluate` returns (its `results` and `samples`), document by document where it can be."""
    scores: Scores = defaultdict(list)
    whole: dict[str, Estimate] = {}
    for task, samples in found["samples"].items():
        for metric, (key, filtered) in _metrics(found["results"][task]).items():
            told = found["results"][task][metric]
            name = f"{task}/{key}" if filtered == "none" else f"{task}/{key}/{filtered.replace('-', '_')}"
            each = [
                (f"{task}/{s['doc_id']}/{s['doc_hash'][:12]}", s[key])
                for s in samples
                if s["filter"] == filtered and key in s
            ]
            if _is_mean(told, [score for _, score in each]):
                scores[name] = [(document, float(score)) for document, score in each]
            else:
                error = found["results"][task].get(f"{key}_stderr,{filtered}")
                whole[name] = _estimate(told, error, len({s["doc_id"] for s in samples}))
    measured = _by_document(scores)
    measured.whole = whole
    return measured


def _evaluated(ask: Ask) -> dict[str, Any]:
    """What lm-eval found. Imported here and not above: it is an extra, and takes seconds to import."""
    try:
        lm_eval = importlib.import_module("lm_eval")
        huggingface: Any = importlib.import_module("lm_eval.models.huggingface")
    except ImportError as error:
        raise UserError(
            f"{ask.where}.tasks", f"lm-eval cannot be imported: {error}",
            "", f"Benchmarks are an extra: pip install '{EXTRA}'",
        ) from None  # fmt: skip
    suite, subject = ask.suite, ask.subject
    progress = ask.begin()
    model = huggingface.HFLM(
        pretrained=subject.model, tokenizer=subject.tokenizer, backend="causal",
        batch_size=subject.batch_size, max_length=subject.max_length,
    )  # fmt: skip
    seeds = ("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed")
    bar, huggingface.tqdm = huggingface.tqdm, told_by(huggingface.tqdm, progress, subject.batch_size)
    try:
        found = lm_eval.simple_evaluate(
            model=model, tasks=list(suite.tasks), limit=suite.limit, num_fewshot=suite.num_fewshot,
            apply_chat_template=suite.apply_chat_template, bootstrap_iters=BOOTSTRAPS, **dict.fromkeys(seeds, subject.seed),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError, AttributeError, OSError, ImportError) as error:
        said = error.args[0] if error.args else type(error).__name__
        raise DataError(
            f"{ask.where}.tasks", f"lm-eval could not run {', '.join(suite.tasks)}: {type(error).__name__}: {said}",
            "Names that `lm-eval ls tasks` lists, whose data can be reached, or task files", "log.txt has all that it said.",
        ) from error  # fmt: skip
    finally:
        huggingface.tqdm = bar
    progress(1, 1)
    return found


def told_by(bar: type[Any], progress: Progress, batch_size: int) -> type[Any]:
    """lm-eval's progress bar, which tells `progress` too: of the requests, type by type (likelihoods, texts), those done.

    Bars of one batch, which perplexities show, and of anything else but requests are left out.
    """
    finished = 0

    class Told(bar):
        def update(self, n: float = 1) -> Any:
            shown = super().update(n)
            if self._counts():
                progress(finished + int(self.n), finished + int(self.total))
            return shown

        def close(self) -> None:
            nonlocal finished
            finished += int(self.n) if self._counts() and not self.disable else 0
            super().close()

        def _counts(self) -> bool:
            return str(getattr(self, "desc", "")).startswith("Running") and (self.total or 0) > batch_size

    return Told


def _metrics(results: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """`acc,none` -> (acc, none): the numbers among lm-eval's results that are no standard error."""
    parts = {name: tuple(name.split(",", 1)) for name, told in results.items() if "," in name and _is_number(told)}
    return {name: (key, filtered) for name, (key, filtered) in parts.items() if not key.endswith("_stderr")}


def _is_number(told: Any) -> bool:
    return isinstance(told, int | float) and not isinstance(told, bool)


def _is_mean(told: float, each: list[Any]) -> bool:
    numbers = [float(score) for score in each if isinstance(score, int | float)]
    return len(numbers) == len(each) > 0 and math.isclose(sum(numbers) / len(each), told, rel_tol=1e-6, abs_tol=1e-9)


def _estimate(value: float, error: Any, documents: int) -> Estimate:
    known = _is_number(error) and math.isfinite(error)
    half = normal_quantile(LEVEL) * error if known else math.inf
    return Estimate(value, value - half, value + half, documents, documents, error if known else None)


def scale_of(metric: str) -> Scale:
    """Of TASK/METRIC[/FILTER]: what is not known to be yes and no for each document may be any number."""
    return "share" if metric.split("/")[1] in SHARES else "real"


def _by_document(scores: Scores) -> Measured:
    """One row a document; a metric counts where its task holds the document."""
    documents = list(dict.fromkeys(document for each in scores.values() for document, _ in each))
    measured = Measured(clusters=documents, slices=[None] * len(documents), axes=[None] * len(documents))
    for metric, each in scores.items():
        by = dict(each)
        measured.add(metric, scale_of(metric), [by.get(d, 0.0) for d in documents], [float(d in by) for d in documents])
    return measured
