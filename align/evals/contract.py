"""What every suite is handed: a model, its own settings, rows, and whatever else its settings name as inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from align.artifact.inputs import Inputs, RowsInput
from align.data.store_rows import read_rows
from align.errors import DataError, ModelError
from align.estimates import Scale
from align.evals import asking
from align.evals.asking import Subject
from align.evals.measured import Progress, Row
from align.evals.opening import Opener
from align.scoring.episode import Episode, Scorer
from align.scoring.named import SCORERS
from align.scoring.reward_model import RewardScorer
from align.scoring.user_file import Role, scores_of
from align.specs.asking import SCORER, Suite, is_scorer, metrics_of, scale_of
from align.specs.base import CASTS
from align.specs.user_functions import FILE

Begin = Callable[[], Progress]


@dataclass(frozen=True)
class Others:
    """What else a suite's settings name, by the setting's name, opened when it is asked for."""

    model: Callable[[str], Subject]
    rows: Callable[[str], list[Row]]
    reward: Callable[[str, Subject], Scorer]  # and whose answers it scores


@dataclass(frozen=True)
class Ask:
    """One suite on one model. `begin` the next of its passes over rows; `where` is its place in the settings."""

    suite: Any
    subject: Subject
    rows: list[Row]
    row_type: str
    begin: Begin
    others: Others
    where: str = "suites"
    scorer_timeout: float = 60.0  # seconds, of a user's file

    def alike(self, other: Subject) -> Subject:
        """`other`, or a ModelError where its tokens are not the measured model's."""
        ours, theirs = self.subject.tokenizer.get_vocab(), other.tokenizer.get_vocab()
        known = other.model.get_input_embeddings().weight.shape[0]
        if any(ours.get(token) != i for token, i in theirs.items()) or max(ours.values()) >= known:
            raise ModelError(
                f"{self.where}.against", f"{other.name} has other tokens than {self.subject.name}",
                "The likelihood of an answer can be compared only over the same tokens",
                "Name a model of the same family, with the same chat_template.",
            )  # fmt: skip
        return other

    def answers(self, subject: Subject | None = None, **other: Any) -> list[Episode]:
        """Answers of the measured model (or another) to the suite's rows, as its settings say."""
        told = {"max_new_tokens": self.suite.max_new_tokens, "temperature": getattr(self.suite, "temperature", 0.0)}
        told |= {"rows": self.rows, "progress": self.begin(), "where": self.where, **other}
        return asking.answers(subject or self.subject, **told)

    def scale(self, field: str) -> Scale:
        """What those scores can be: a reward model's anything."""
        use = getattr(self.suite, field)
        return scale_of(use.removeprefix(SCORER)) if is_scorer(use) else "real"

    def told_by(self, scorer: str, episodes: list[Episode]) -> dict[str, list[float]]:
        """What a scorer, by name or a user's file, says of answers: its metrics, of which the first is its score."""
        if scorer.startswith(FILE):
            role = Role(f"{self.where}: scorer", "scorer_timeout", "answers that were given are kept.")
            (metric,) = metrics_of(scorer)
            return {metric: scores_of(scorer, episodes, self.scorer_timeout, role, lambda done, total: None)}
        found = [SCORERS[scorer](e.answer) for e in episodes]  # type: ignore[index]
        return {metric: [each[metric] for each in found] for metric in metrics_of(scorer)}

    def scored(self, scorer: str, episodes: list[Episode]) -> list[float]:
        """A scorer's scores."""
        return next(iter(self.told_by(scorer, episodes).values()))

    def scores(self, field: str, subject: Subject, episodes: list[Episode]) -> list[float]:
        """Scores of a model's answers by what a setting names: `scorer:NAME`, or a reward stage."""
        use = getattr(self.suite, field)
        if is_scorer(use):
            return self.scored(use.removeprefix(SCORER), episodes)
        scorer = self.others.reward(field, subject)
        if isinstance(scorer, RewardScorer):
            scorer.progress = self.begin()
        return scorer(episodes)


def ask_of(
    name: str, suite: Suite, subject: Subject, inputs: Inputs, opener: Opener, begin: Begin
) -> tuple[Ask, RowsInput | None]:
    """The suite called `name` asked of a model, its rows read, and where they came from: None where it brings its own."""
    where = f"suites.{name}"

    def rows_of(field: str) -> list[Row]:
        source, wanted = inputs.rows(f"{where}.{field}"), suite.references()[field][1].row_types
        return list(read_rows(source.files, source.type, as_type(source, wanted)))

    others = Others(
        lambda field: opener.subject(inputs.model(f"{where}.{field}")),
        rows_of,
        lambda field, subject: opener.reward(inputs.model(f"{where}.{field}"), subject),
    )
    if "data" not in suite.references():
        return Ask(suite, subject, [], "", begin, others, where, opener.scorer_timeout), None
    source = inputs.rows(f"{where}.data")
    rows = rows_of("data")[: suite.limit]
    if not rows:
        raise DataError(f"{where}.data", f"{source.name} has no rows", "A suite asks at least one")
    row_type = as_type(source, suite.references()["data"][1].row_types)
    return Ask(suite, subject, rows, row_type, begin, others, where, opener.scorer_timeout), source


def as_type(source: RowsInput, wanted: tuple[str, ...]) -> str:
    """The rows' own type where it is wanted, else the first wanted one that they can be cast to."""
    return next((w for w in wanted if source.type == w), None) or next(
        w for w in wanted if source.type in CASTS.get(w, ())
    )
