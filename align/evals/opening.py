"""Models as suites need them, each opened once a step: the one measured, references, and reward models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from align.artifact.inputs import ModelInput
from align.evals.asking import Subject
from align.models.load import load_model
from align.models.reward import CONSTANTS, RewardModel, load_reward_model
from align.models.tokenizer import fit_model, ready_tokenizer, set_chat_template
from align.rollout.opening import open_engine, rows_at_once
from align.scoring.episode import Scorer
from align.scoring.reward_model import RewardScorer
from align.specs.evaluate import MeasureSpec

Note = Callable[[str], None]


class Opener:
    """Opens models on the fastest device there is, in the precision that the stage states."""

    def __init__(self, spec: MeasureSpec, cache: Path, note: Note) -> None:
        self.scorer_timeout = spec.scorer_timeout
        self._spec, self._cache, self._note = spec, cache, note
        self._subjects: dict[str, Subject] = {}
        self._rewards: dict[str, RewardModel] = {}
        self._scorers: dict[tuple[str, str], Scorer] = {}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = torch.bfloat16 if spec.precision == "bfloat16" else torch.float32

    def subject(self, source: ModelInput) -> Subject:
        """The model with its tokenizer repaired as training repairs it, and the engine that samples from it."""
        if source.digest not in self._subjects:
            self._subjects[source.digest] = self._open(source)
        return self._subjects[source.digest]

    def reward(self, source: ModelInput, subject: Subject) -> Scorer:
        """The reward model's scorer for that model's answers."""
        if (source.digest, subject.digest) not in self._scorers:
            scorer = RewardScorer(self._reward(source), subject.tokenizer, autocast=self.dtype)
            self._scorers[source.digest, subject.digest] = scorer
        return self._scorers[source.digest, subject.digest]

    def _reward(self, source: ModelInput) -> RewardModel:
        if source.digest not in self._rewards:
            if not (source.path / CONSTANTS).is_file():
                self._note(f"{source.name} has no {CONSTANTS}: its scores are used as they are, not normalised")
            self._rewards[source.digest] = load_reward_model(source, self.dtype, self.device)
        return self._rewards[source.digest]

    def _open(self, source: ModelInput) -> Subject:
        spec = self._spec
        tokenizer = ready_tokenizer(source, self._note, conversations=False)
        if not tokenizer.chat_template and spec.chat_template:
            set_chat_template(tokenizer, spec.chat_template, self._note)
        model = load_model(source, self.dtype, self.device)
        fit_model(model, tokenizer)
        rows = spec.batch_size or rows_at_once(model)
        engine = open_engine(model, tokenizer, rows, "auto", self._note)
        return Subject(
            model, tokenizer, engine, rows, spec.max_length, spec.seed or 0,
            source.name, source.digest, self._cache,
        )  # fmt: skip
