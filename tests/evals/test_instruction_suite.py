"""The suite of verifiable instructions: its numbers by hand, and a whole run over rows as IFEval's file has them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from align.artifact.store import Store
from align.data.store_rows import read_rows
from align.errors import DataError
from align.evals.asking import Subject
from align.evals.instructions.following import follows
from align.evals.instructions.registry import FAMILIES
from align.evals.measured import summarize
from align.rollout.engine import Completion
from align.specs import suites
from align.specs.suites import InstructionSuite
from tests import warm
from tests.subjects import asked, user
from tests.tiny import write_base

WORDS = ("length_constraints:number_words", {"num_words": 3, "relation": "at least", "keywords": None})
COMMA, QUOTES = ("punctuation:no_comma", {}), ("startend:quotation", {"language": None})
CAT, FOX = ("keywords:existence", {"keywords": ["cat"]}), ("keywords:existence", {"keywords": ["fox"]})


class Says:
    """An engine whose answers are written beforehand."""

    def __init__(self, tokenizer: Any, texts: tuple[str, ...]) -> None:
        self._ids = [[*tokenizer(t, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for t in texts]

    def generate(self, prompts: Any, sampling: Any, progress: Any) -> list[Completion]:
        return [Completion(ids, True) for ids in self._ids]


def row(number: int, *instructions: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    names, arguments = zip(*instructions, strict=True)
    return {"prompt": user(f"fox {number}"), "meta": {"instruction_id_list": list(names), "kwargs": list(arguments)}}


def measured(subject: Subject, rows: list[dict[str, Any]], *texts: str) -> dict[str, Any]:
    said = replace(subject, engine=Says(subject.tokenizer, texts))
    return summarize(asked(InstructionSuite(data="p", max_new_tokens=40), said, rows))


def test_prompts_and_instructions_are_counted_strictly_and_loosely(subject: Subject) -> None:
    """Row 1 follows 2 of 2, row 2 loosely 2 of 2 and strictly 1, row 3 follows 0 of 1: 3/5 and 4/5; 1/3 and 2/3."""
    rows = [row(1, WORDS, COMMA), row(2, QUOTES, CAT), row(3, FOX)]
    told = measured(subject, rows, "a cat sat on", 'so:\n"a cat"', "a dog")
    assert {metric: parts["all"]["value"] for metric, parts in told.items()} == pytest.approx(
        {
            "prompt_strict": 1 / 3, "prompt_loose": 2 / 3, "instruction_strict": 3 / 5, "instruction_loose": 4 / 5,
            "instruction_strict/keywords": 1 / 2, "instruction_strict/length_constraints": 1.0,
            "instruction_strict/punctuation": 1.0, "instruction_strict/startend": 0.0,
        }
    )  # fmt: skip
    assert told["instruction_strict/keywords"]["all"]["n"] == 2


def test_a_share_of_instructions_is_uncertain_even_where_none_or_all_are_followed(subject: Subject) -> None:
    """Ten prompts of two instructions each: n counts instructions, and nobody is sure from ten answers."""
    rows = [row(n, COMMA, FOX) for n in range(10)]
    told = {name: parts["all"] for name, parts in measured(subject, rows, *["a cat"] * 10).items()}
    assert (told["instruction_strict"]["value"], told["instruction_strict"]["n"]) == (0.5, 20)
    comma, fox = told["instruction_strict/punctuation"], told["instruction_strict/keywords"]
    assert (comma["value"], comma["high"], fox["value"], fox["low"]) == (1.0, 1.0, 0.0, 0.0)
    assert comma["low"] < 0.8 and fox["high"] > 0.2
    every = measured(subject, [row(n, COMMA, CAT) for n in range(10)], *["a cat"] * 10)["instruction_strict"]["all"]
    assert (every["value"], every["n"], every["clusters"]) == (1.0, 20, 10) and every["low"] < 0.8


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"prompt": user("fox")}, "it asks for no instruction. IFEval's rows have"),
        (row(1, ("punctuation:no_coma", {})), "there is no instruction 'punctuation:no_coma'.*Did you mean punctuation:no_comma"),
        (row(1, ("keywords:existence", {})), "keywords:existence lacks its argument keywords"),
        ({"prompt": user("fox"), "meta": {"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}},
         "1 instruction has 0 kwargs. Each has its own, {} for none"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_told_before_anything_is_generated(subject: Subject, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=rf"suites\.it\.data, row 2: {said}"):
        measured(replace(subject, engine=None), [row(1, COMMA), wrong])  # type: ignore[arg-type]


def test_the_families_a_gate_may_name_are_those_that_are_measured() -> None:
    assert sorted(suites.FAMILIES) == FAMILIES


def test_rows_as_ifeval_has_them_run_through_the_command_line(tmp_path: Path) -> None:
    model = write_base(tmp_path / "base")
    rows = [
        {"key": n, "prompt": f"{n} words, please.", "instruction_id_list": [name for name, _ in asks],
         "kwargs": [arguments for _, arguments in asks]}
        for n, asks in enumerate([(COMMA, WORDS), (QUOTES,), (CAT, COMMA), (WORDS,)])
    ]  # fmt: skip
    (tmp_path / "ifeval.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "tiny.yaml").write_text(
        f"name: tiny\nbase: {model.path}\ndata:\n  prompts: {{source: ifeval.jsonl, as: prompt}}\n"
        "stages:\n  evaluate:\n    {kind: evaluate, models: [base], chat_template: chatml,\n"
        "     suites: {instruction: {data: prompts, max_new_tokens: 8}}}\n"
        "gates:\n  - base.instruction.instruction_strict.punctuation >= 0\n"
    )
    command = [warm.python(), "-m", "align", "run", "tiny.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    store = Store(tmp_path / ".align")
    kind, _, key = store.last_keys("tiny")["evaluate.base"].partition("-")
    sealed = store.open(kind, key).path
    told = json.loads((sealed / "report.json").read_text())["suites"]["instruction"]["metrics"]
    said = [
        r["completion"][0]["content"] for r in read_rows([sealed / "rows-instruction.parquet"], "scored_generation")
    ]
    kept = [[follows(*ask, text) for ask in zip(r["instruction_id_list"], r["kwargs"], strict=True)]
            for r, text in zip(rows, said, strict=True)]  # fmt: skip
    assert told["prompt_strict"]["all"]["value"] == sum(map(all, kept)) / 4
    assert told["instruction_strict"]["all"]["value"] == sum(map(sum, kept)) / 6
    assert told["instruction_strict/punctuation"]["all"]["n"] == 2
