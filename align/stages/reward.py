"""reward: a model that scores answers, learnt from which of two was preferred.

Objective (Bradley and Terry 1952; Ouyang et al. 2022, 2203.02155, equation 1), y_w preferred to y_l as answers to x:

    L = - log sigma( r(x, y_w) - r(x, y_l) - margin )  +  center (r(x, y_w) + r(x, y_l))^2

r is one number, read by a head at the last token: the stop token of the answer, in the chat template that the policy
writes. margin is the row's own (Touvron et al. 2023, 2307.09288), 0 where it has none; center after 2312.09244.

Reads      `model` (SFT; its body is trained on under a new head, w ~ N(0, 1/(H+1)), no bias), `data` (preference rows),
           `demonstrations` (messages rows), `eval_data` (preference rows).
Writes     model/: weights, or with `lora` an adapter with its head, and reward.json: score = r + bias, the bias such that
           demonstrations average 0 (2403.17031), because PPO's value model and KL price know no other zero.
           report.json, where there is eval_data: accuracy with its interval, by slice and axis, at matched length;
           calibration; correlation with length. It is measured on what was written, loaded again.
Reference  none. The prior is the body alone.
Long rows  a pair of which one side is beyond max_length is left out, and counted against drop_budget: cut short it would
           have no stop token to be scored at.
Batches    all pairs of one ranking stand in one (align/loop/rankings.py), which may then be smaller than batch_size.
Memory     16 bytes a parameter and the activations of a micro batch; batches hold no padding. Dropout is off.
Metrics    loss, accuracy, margin, mean_reward, and eval_* of them; ece, length_correlation, accuracy/length_matched,
           demonstrations/bias, grad_norm, tokens, tokens_per_second, rows/dropped; of rankings rankings, rankings/largest, cut.
Prefer     dpo where the policy is all that is wanted: it needs no second model and no sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from align.artifact.digests import of_value, write_json
from align.artifact.inputs import Inputs, ModelInput, RowsInput
from align.data.render import RenderedPair, render_preference, render_rows
from align.data.store_rows import read_rows
from align.errors import DataError
from align.evals import reward_quality
from align.evals.reward_quality import ScoredPair
from align.loop.arguments import autocast_dtype, device, micro_batch_size, rank, reward_arguments
from align.loop.opening import open_model, prepare_for_pairs
from align.loop.train import check_budget, keep_rankings_together, reward_loop, train
from align.models.load import save_model
from align.models.lora import lora_config
from align.models.reward import HEAD, RewardModel, load_reward_model, new_reward_model, write_constants
from align.models.tokenizer import Tokenizer
from align.scoring.reward_model import score_ids
from align.specs.reward import RewardSpec
from align.tracking import Tracker

MOST_DEMONSTRATIONS = 4096  # their mean is then known to 1/64 of their deviation
TOKENS_AT_ONCE = {"cpu": 8192, "cuda": 16384}


@dataclass(frozen=True)
class Pair:
    """A row, and the token ids of prompt and answer for either side."""

    row: dict[str, Any]
    ids: RenderedPair

    @property
    def chosen(self) -> list[int]:
        return self.ids.prompt_ids + self.ids.chosen_ids

    @property
    def rejected(self) -> list[int]:
        return self.ids.prompt_ids + self.ids.rejected_ids


def run(spec: RewardSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Trains, normalises, measures and writes a reward model; see the top of this file."""
    source = inputs.model("model")
    causal, tokenizer = open_model(source, spec, tracker.note)
    pairs, counts = read_pairs(inputs.rows("data"), tokenizer, spec, tracker)
    held, held_counts = read_pairs(inputs.rows("eval_data"), tokenizer, spec, tracker) if spec.eval_data else ([], {})
    model = new_reward_model(causal, spec.seed or 0)
    prepare_for_pairs(model, spec)
    micro = micro_batch_size(spec, model, sequences_a_row=2)
    adapter = lora_config(spec.lora, score_head=HEAD) if spec.lora else None
    arguments = reward_arguments(spec, out / "checkpoints", micro)
    loop = reward_loop(model, arguments, tokenizer, _dataset(pairs), _dataset(held) if held else None, adapter)

    counts |= keep_rankings_together(loop, [pair.ids.ranking for pair in pairs], spec, tracker)

    metrics = train(loop, spec, tracker) | counts | {f"eval_{name}": n for name, n in held_counts.items()}
    metrics["pairs"] = float(len(pairs))
    if rank() != 0:
        return metrics
    save_model(loop.model, tokenizer, out / "model", source.digest)
    del loop, model, causal
    written = ModelInput("reward model", out / "model", "", source if spec.lora else None)
    scorer = Scorer(load_reward_model(written, torch.float32, device()), spec)
    demonstrations = inputs.rows("demonstrations") if spec.demonstrations else None
    metrics |= normalise(scorer, demonstrations, tokenizer, out / "model", tracker)
    if held:
        metrics |= measure(scorer, held, out)
    return metrics


def read_pairs(
    source: RowsInput, tokenizer: Tokenizer, spec: RewardSpec, tracker: Tracker
) -> tuple[list[Pair], dict[str, float]]:
    """The pairs that fit max_length, in order, and how many did not. Raises DataError beyond drop_budget."""
    rows = list(read_rows(source.files, source.type, "preference"))
    found = [Pair(row, ids) for row, ids in zip(rows, render_preference(rows, tokenizer), strict=True)]
    kept = [pair for pair in found if max(len(pair.chosen), len(pair.rejected)) <= spec.max_length]
    lost = check_budget(
        {"truncated_rows": 0.0, "dropped_rows": float(len(found) - len(kept))}, len(found), spec, source.name
    )
    if not kept:
        raise DataError(
            source.name, f"none of {len(found):,} pairs fits max_length {spec.max_length}", "", "Raise max_length."
        )
    without = sum("margin" not in pair.row for pair in kept)
    if 0 < without < len(kept):
        tracker.note(f"{source.name}: {without:,} of {len(kept):,} pairs have no margin; theirs is taken as 0")
    return kept, {"rows/dropped": lost["rows/dropped"]}


def _dataset(pairs: Sequence[Pair]) -> Dataset:
    columns: dict[str, list[Any]] = {
        "chosen_ids": [p.chosen for p in pairs],
        "rejected_ids": [p.rejected for p in pairs],
    }
    if any("margin" in pair.row for pair in pairs):
        columns["margin"] = [float(pair.row.get("margin", 0.0)) for pair in pairs]
    return Dataset.from_dict(columns)


class Scorer:
    """Scores token ids with what was written, in the precision of training."""

    def __init__(self, model: RewardModel, spec: RewardSpec) -> None:
        self.model, self._autocast = model, autocast_dtype(spec)

    def __call__(self, rows: Sequence[list[int]]) -> list[float]:
        """Longest first, which keeps padding small where a model cannot do without."""
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        scores = score_ids(self.model, [rows[i] for i in order], TOKENS_AT_ONCE[device().type], self._autocast)
        by_row = dict(zip(order, scores, strict=True))
        return [by_row[i] for i in range(len(rows))]

    @property
    def window(self) -> int | None:
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)


def normalise(
    scorer: Scorer, source: RowsInput | None, tokenizer: Tokenizer, folder: Path, tracker: Tracker
) -> dict[str, float]:
    """Shift the scores so that demonstrations average 0, and write down by how much.

    gain stays 1: the scale of r is what Bradley-Terry learnt, and the KL price is in its unit.
    """
    if source is None:
        write_constants(folder, 1.0, 0.0)
        tracker.note("the scores are not normalised: no demonstrations were given")
        return {}
    rows = list(read_rows(source.files, source.type))
    step = max(1, -(-len(rows) // MOST_DEMONSTRATIONS))
    rendered = [r.input_ids for r in render_rows(rows[::step], tokenizer)]
    fitting = [ids for ids in rendered if scorer.window is None or len(ids) <= scorer.window]
    if not fitting:
        raise DataError(
            source.name, "no demonstration fits the model", f"At most {scorer.window} tokens", "Shorten them."
        )
    if step > 1 or len(fitting) < len(rendered):
        tracker.note(
            f"{source.name}: normalised on {len(fitting):,} of {len(rows):,} demonstrations (every {step}th row; "
            f"{len(rendered) - len(fitting):,} do not fit the model)"
        )
    scores = scorer(fitting)
    bias, deviation = -sum(scores) / len(scores), reward_quality.deviation(scores)
    write_constants(folder, 1.0, bias, deviation=deviation, demonstrations=len(scores))
    scorer.model.bias = bias
    return {"demonstrations": float(len(scores)), "demonstrations/bias": bias, "demonstrations/deviation": deviation}


def measure(scorer: Scorer, held: Sequence[Pair], out: Path) -> dict[str, float]:
    """Score held-out pairs and write report.json; returns its main numbers."""
    scores = scorer([ids for pair in held for ids in (pair.chosen, pair.rejected)])
    scored = [
        ScoredPair(
            chosen, rejected, len(pair.ids.chosen_ids), len(pair.ids.rejected_ids), of_value(pair.row["prompt"])[:16],
            pair.row.get("slice"), pair.row.get("axis"),
        )
        for pair, chosen, rejected in zip(held, scores[::2], scores[1::2], strict=True)
    ]  # fmt: skip
    report = reward_quality.report(scored)
    write_json(out / "report.json", report)
    told = {"eval_accuracy": report["accuracy"]["value"], "ece": report["calibration"]["ece"]}
    if report["length"]["correlation"] is not None:
        told["length_correlation"] = report["length"]["correlation"]
    if report["length"]["matched_accuracy"]:
        told["accuracy/length_matched"] = report["length"]["matched_accuracy"]["value"]
    return told
