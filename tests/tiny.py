"""Tiny models, rows and a recorder, made within a second, for tests that train."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from align.artifact.digests import of_file
from align.artifact.inputs import Inputs, ModelInput, RowsInput
from align.data.store_rows import RowWriter, part_file
from align.models.load import save_model
from align.models.new import new_model, train_tokenizer
from align.specs.pretrain import Architecture

torch.set_num_threads(1)

WORDS = """
red blue green cat dog bird runs sleeps sings here there now never big small old new warm cold
""".split()  # noqa: SIM905
SHAPE = Architecture(
    layers=2, width=32, heads=4, kv_heads=2, mlp_width=64, vocab_size=300, context=128, chat_template="quickstart"
)


class Recorder:
    """The tracker's face, remembering what it was told. `stop_after`: ask to stop once so many steps were told."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.notes: list[str] = []
        self.tables: list[tuple[int, str, list[list[Any]]]] = []
        self.done = 0
        self._stop_after = stop_after

    @property
    def stop_requested(self) -> bool:
        return self._stop_after is not None and self.done + 1 >= self._stop_after

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.logged.append((step, dict(metrics)))

    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        assert all(len(row) == len(columns) for row in rows)
        self.tables.append((step, name, [list(row) for row in rows]))

    def image(self, step: int, name: str, path: Path) -> None:
        assert path.is_file()

    def progress(self, done: int, total: int, **telling: float) -> None:
        self.done = done

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def sentence(rng: random.Random, low: int = 3, high: int = 9) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


def texts(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [{"text": sentence(rng, 5, 20)} for _ in range(count)]


def chats(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """The answer is always the first word of the question, twice."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        question = sentence(rng)
        word = question.split()[0]
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": f"{word} {word}"}]
        rows.append({"messages": turns})
    return rows


def pairs(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Preferred is always the answer with `warm`; `cold` never is."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        ends = sentence(rng, 1, 4)
        rows.append(
            {
                "prompt": [{"role": "user", "content": sentence(rng)}],
                "chosen": [{"role": "assistant", "content": f"warm {ends}"}],
                "rejected": [{"role": "assistant", "content": f"cold {ends}"}],
            }
        )
    return rows


def rankings(count: int, seed: int = 0, most: int = 4) -> list[dict[str, Any]]:
    """Two to `most` answers to each prompt, the more `warm` in one the better; the two best are alike now and then."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        answers = rng.randint(2, most)
        ranks = [1, 1 if answers > 2 and rng.random() < 0.3 else 2, *range(3, answers + 1)]
        said = [f"{'warm ' * (answers - place)}{'cold ' * place}{sentence(rng, 1, 3)}" for place in range(answers)]
        prompt = [{"role": "user", "content": sentence(rng)}]
        rows.append(
            {"prompt": prompt, "completions": [[{"role": "assistant", "content": s}] for s in said], "ranks": ranks}
        )
    return rows


def write_rows(folder: Path, row_type: str, rows: Iterable[Mapping[str, Any]], name: str = "data") -> RowsInput:
    folder.mkdir(parents=True, exist_ok=True)
    with RowWriter(folder, row_type) as writer:
        for row in rows:
            writer.write("train", row)
    path = part_file(folder, "train")
    return RowsInput(name, (path,), row_type, writer.counts["train"], of_file(path))


def write_base(folder: Path, seed: int = 0, shape: Architecture = SHAPE) -> ModelInput:
    """A random model with a tokenizer and the bundled world's chat template."""
    tokenizer = train_tokenizer((row["text"] for row in texts(200)), shape)
    model = new_model(shape, tokenizer, seed)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    save_model(model, tokenizer, folder)
    return ModelInput("base", folder, of_file(folder / "model.safetensors"))


def inputs(folder: Path, **named: Any) -> Inputs:
    return Inputs(named, folder / "cache")


def weights(folder: Path) -> dict[str, bytes]:
    """Name -> content of every file of a model folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
