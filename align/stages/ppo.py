"""ppo: proximal policy optimization against a reward (Schulman et al. 2017, 1707.06347; Stiennon et al. 2020, 2009.01325).

    maximise  E_{y ~ pi(.|x)} [ score(x, y) ] - kl_coef KL(pi || pi_ref)

by policy gradients: sample completions, take the price of KL off each token's reward (k1, of sampled tokens), put the score
on the last one, estimate advantages with a value model (GAE), and take epochs x minibatches steps on the clipped surrogate

    max(-A r, -A clip(r, 1 - c, 1 + c)),   r = pi / pi_old

Reads the policy (SFT), prompts, and the rewards: reward models, named scorers, a user's file, or a weighted sum of them.
Writes model/ (the policy; with lora an adapter) and rows-samples.parquet (answers to the same prompts along the way).

The reference is the policy as it was at the start, frozen; with lora the base with the adapter off. The value model starts
as a copy of the reward model (at first it gives the reward model's score at every token), or as a head on the policy.
The optimum is pi_ref exp(score / kl_coef), known in closed form, which the tests hold it against.

Memory, in sets of weights: full 4 (policy, reference, value, reward) plus 12 bytes a trained weight; lora 2 frozen bases,
or 1 where the reward model is an adapter of the policy's base.
Metrics: rewards/mean (what is trained on), rewards/gold (what is not), kl (nats a sequence), entropy (nats a token), ratio,
clip_fraction, explained_variance, tokens/mean, stops, length_reward_correlation, distinct_2, seconds and tokens a second.

Prefer dpo where there are pairs and no reward to ask: it needs no sampling. Prefer ppo where the reward is a program or
where the policy must be scored on what it says itself.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from align.artifact.inputs import Inputs
from align.errors import Stopped, TrainingError
from align.loop import checkpoints
from align.models.load import save_model
from align.models.reward import RewardModel
from align.policy import samples, state
from align.policy.draws import prompts_of, seed_of
from align.policy.experience import Rollout
from align.policy.learner import Learner
from align.policy.models import causal
from align.policy.opening import (
    ROLLOUT_ROWS,
    Prompts,
    actor_critic,
    means_of,
    open_policy,
    open_rewards,
    read_prompts,
    scoring_terms,
    window_of,
)  # fmt: skip
from align.rollout.opening import open_engine
from align.scoring.episode import Episode, episode_of
from align.scoring.mixture import Term, programmatic, score
from align.specs.ppo import PpoSpec
from align.tracking import Tracker

SAVE_SECONDS, SAVE_SHARE = 60.0, 0.05  # between checkpoints; and of the time, at most, goes into them


def run(spec: PpoSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    torch.manual_seed(spec.seed or 0)  # adapters begin at random
    policy, tokenizer = open_policy(inputs.model("policy"), spec, tracker.note)
    prompts = read_prompts(inputs.rows("prompts"), tokenizer, spec.max_new_tokens, window_of(policy))
    rewards = open_rewards(spec, inputs, policy, tracker.note)
    model = actor_critic(policy, tokenizer, rewards, spec, tracker.note)
    means = means_of(model, spec, [reward for _, _, reward in rewards if isinstance(reward, RewardModel)])
    rows = spec.rollout_batch_size or min(spec.batch_size, ROLLOUT_ROWS)
    engine = open_engine(causal(policy), tokenizer, rows, spec.engine, tracker.note, spec.compile)
    learner = Learner(model, engine, spec, means, tracker.note)
    judge = Judge(spec, prompts, tokenizer, scoring_terms(rewards, spec, tokenizer, means))
    try:
        metrics = train(learner, judge, out, tracker)
    except TrainingError as error:
        raise _with_checkpoint(error, out / "checkpoints") from error
    finally:
        judge.close()
    save_model(policy, tokenizer, out / "model", inputs.model("policy").digest)
    metrics["rows/samples"] = float(samples.seal(out, " + ".join(t.name for t in judge.terms), tokenizer.eos_token))
    return metrics


def train(learner: Learner, judge: Judge, out: Path, tracker: Tracker) -> dict[str, float]:
    """Update after update from the last good checkpoint to the end; returns the metrics of the last one."""
    spec, root = learner.spec, out / "checkpoints"
    resumed = state.resume(root, learner.model, learner.optimizer, learner.scheduler)
    if resumed:
        learner.progress = resumed
        tracker.note(f"resumed from update {resumed.updates}")
    samples.forget_after(out, learner.progress.updates if resumed else -1)
    if not resumed:
        _sample(learner, judge, out, tracker)
    saved_at, pause = time.monotonic(), SAVE_SECONDS
    while (done := learner.progress.updates) < spec.updates:
        rows = prompts_of(done, spec.batch_size, len(judge.prompts), spec.seed or 0)
        told = learner.learn([judge.prompts.ids[i] for i in rows], lambda rollout, rows=rows: judge(rows, rollout))
        done = learner.progress.updates
        learner.progress.metrics = told
        if samples.due(done, spec.updates):
            _sample(learner, judge, out, tracker)
        if done % spec.log_every == 0 or done == spec.updates:
            tracker.log(done, told)
        tracker.progress(done, spec.updates, **{n: told[n] for n in ("rewards/mean", "kl", "tokens_per_second")})
        due = done % spec.save_every == 0 if spec.save_every else time.monotonic() - saved_at > pause
        if (due or tracker.stop_requested) and done < spec.updates:
            started = time.monotonic()
            state.save(root, learner.model, learner.optimizer, learner.scheduler, learner.progress)
            saved_at = time.monotonic()
            pause = max(SAVE_SECONDS, (saved_at - started) / SAVE_SHARE)
            if tracker.stop_requested:
                raise Stopped
    assert learner.spec.kl_stop or learner.progress.optimizer_steps == spec.updates * spec.epochs * spec.minibatches
    return _final(learner)


class Judge:
    """Scores a rollout: rows of the prompts and what was said to them -> rewards, and numbers to tell."""

    def __init__(self, spec: PpoSpec, prompts: Prompts, tokenizer: Any, terms: list[Term]) -> None:
        self.spec, self.prompts, self.tokenizer, self.terms = spec, prompts, tokenizer, terms
        self.gold = Term("gold", 1.0, programmatic(spec.gold, spec.reward_timeout)) if spec.gold else None

    def __call__(self, rows: list[int], rollout: Rollout) -> tuple[list[float], dict[str, float]]:
        episodes = self.episodes(rows, rollout)
        scores = score(self.terms, episodes, self.spec.missing_eos_penalty, self.spec.missing_eos_score)
        told = {f"rewards/{name}": sum(part) / len(part) for name, part in scores.parts.items() if len(self.terms) > 1}
        if self.gold:
            told["rewards/gold"] = sum(score([self.gold], episodes).rewards) / len(episodes)
        return scores.rewards, told

    def episodes(self, rows: list[int], rollout: Rollout) -> list[Episode]:
        about = zip(rows, rollout.prompts, rollout.completions, strict=True)
        return [
            episode_of(self.prompts.messages[i], ids, said, self.tokenizer, self.prompts.references[i])
            for i, ids, said in about
        ]

    def close(self) -> None:
        """Ends the processes of users' files."""
        for term in (*self.terms, *([self.gold] if self.gold else [])):
            if close := getattr(term.scorer, "close", None):
                close()


def _sample(learner: Learner, judge: Judge, out: Path, tracker: Tracker) -> None:
    """Answers to the first prompts, drawn with the same random numbers each time."""
    rows = list(range(min(learner.spec.samples, len(judge.prompts))))
    if rows:
        seed = seed_of(learner.spec.seed or 0, "samples")
        rollout = learner.generate([judge.prompts.ids[i] for i in rows], seed)
        rewards, _ = judge(rows, rollout)
        done, episodes = learner.progress.updates, judge.episodes(rows, rollout)
        samples.append(out, done, episodes, rewards)
        tracker.table(done, "samples", samples.COLUMNS, samples.table(episodes, rewards))


def _final(learner: Learner) -> dict[str, float]:
    """The last update's metrics, and the reward over all episodes."""
    progress = learner.progress
    over_all = {"rewards/all_episodes": progress.reward_mean, "updates": float(progress.updates)}
    return {**progress.metrics, **over_all, "episodes": float(progress.reward_count)}


def _with_checkpoint(error: TrainingError, root: Path) -> TrainingError:
    good = checkpoints.last_good(root)
    kept = f"The last good checkpoint is update {checkpoints.step_of(good)}." if good else "No checkpoint was written."
    remedy = f"{error.remedy.rstrip('.')}. {kept}" if error.remedy else kept
    return TrainingError(error.where, error.found, error.expected, remedy)
