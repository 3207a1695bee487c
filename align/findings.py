"""What an examination found out about one thing, and how bad it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """`subject` is a recipe's key or the name of a part (`data.pairs`, `stages.sft`); `remedy` says what to do.

    ok: as it should be. note: worth knowing. warning: the run goes through, its result may disappoint. problem: stop.
    """

    state: State
    subject: str
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def worst(findings: Iterable[Finding]) -> State:
    """The state of the whole: a problem if there is one, else a warning if there is one, else ok."""
    states = {finding.state for finding in findings}
    return "problem" if "problem" in states else "warning" if "warning" in states else "ok"
