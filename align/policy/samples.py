"""What the policy says to the same few prompts as it learns: JSON lines while it runs, rows-samples.parquet at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from align.data.store_rows import RowWriter
from align.scoring.episode import Episode

FILE = "samples.jsonl"
COLUMNS = ("prompt", "answer", "reward", "tokens", "stopped")
POINTS = 10  # times in a run, about


def due(update: int, updates: int) -> bool:
    """Before the first update, about ten times on the way, and after the last."""
    return update % -(-updates // POINTS) == 0 or update == updates


def forget_after(out: Path, update: int) -> None:
    """Drop the samples of updates that a resumed run will do again."""
    kept = [line for line in _lines(out) if json.loads(line)["update"] <= update]
    (out / FILE).write_text("".join(kept))


def append(out: Path, update: int, episodes: Sequence[Episode], rewards: Sequence[float]) -> None:
    with (out / FILE).open("a", encoding="utf-8") as file:
        for number, (episode, reward) in enumerate(zip(episodes, rewards, strict=True)):
            answer = episode.answer
            row = {"update": update, "row": number, "prompt": answer.prompt, "text": answer.text, "score": reward}
            file.write(json.dumps({**row, "tokens": answer.tokens, "stopped": answer.stopped}) + "\n")


def table(episodes: Sequence[Episode], rewards: Sequence[float]) -> list[list[Any]]:
    """The same as rows of COLUMNS, for people."""
    return [
        [e.answer.prompt[-1]["content"], e.answer.text, reward, e.answer.tokens, e.answer.stopped]
        for e, reward in zip(episodes, rewards, strict=True)
    ]


def seal(out: Path, source: str, stop_token: str) -> int:
    """Writes the rows and returns how many; an empty answer is told as the stop token alone."""
    told: set[tuple[int, int]] = set()
    with RowWriter(out, "scored_generation", ["samples"]) as writer:
        for line in _lines(out):
            row = json.loads(line)
            if (row["update"], row["row"]) not in told:
                told.add((row["update"], row["row"]))
                writer.write("samples", _row(row, source, stop_token))
    return writer.counts["samples"]


def _row(row: dict[str, Any], source: str, stop_token: str) -> dict[str, Any]:
    content = row["text"] if row["text"].strip() else stop_token
    return {
        "prompt": row["prompt"],
        "completion": [{"role": "assistant", "content": content}],
        "score": row["score"],
        "source": source,
        "slice": f"update-{row['update']}",
    }


def _lines(out: Path) -> list[str]:
    """Whole lines only: the last one may be torn where the process was killed."""
    path = out / FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [line for line in lines if line.endswith("\n")]
