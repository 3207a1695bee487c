"""What goes wrong silently elsewhere is stopped, or counted and told, before a recipe trains: one row a failure.

Each row changes one thing of a sound recipe: its rows, its model folder or its text. `stopped`: `align check --static` ends
with a problem that says so; `told`: a warning does, since the stage itself repairs it or a person may want it.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from align.errors import UserError
from align.findings import Finding
from align.models.tokenizer import load_tokenizer
from tests.preflight.conftest import write
from tests.tiny import chats, pairs

RECIPE = """\
name: tiny
base: model
data:
  chat: {source: chat.jsonl, as: messages}
  pairs: {source: pairs.jsonl, as: preference, holdout: 0.2}
  probes: {source: probes.jsonl, as: prompt}
stages:
  sft: {kind: sft, model: base, data: chat, learning_rate: 1e-3, max_length: 64, batch_size: 8}
  dpo: {kind: dpo, policy: sft, data: pairs, eval_data: pairs.holdout, learning_rate: 1e-4, max_length: 64, batch_size: 8}
  evaluate: {kind: evaluate, models: [base, dpo], suites: {answers: {kind: generation, data: probes, max_new_tokens: 8}}}
"""
HEAD = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
ASK = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
STOP = "<|end|>"
BRIDGE = "tell me in which year the old bridge of the town"
Change = Callable[[], str | None]


def template(text: str) -> Change:
    def change() -> None:
        tokenizer = load_tokenizer(Path("model"))
        tokenizer.chat_template = text
        tokenizer.save_pretrained("model")

    return change


def tokenizer(**settings: str) -> Change:
    def change() -> None:
        loaded = load_tokenizer(Path("model"))
        for name, value in settings.items():
            setattr(loaded, name, value)
        loaded.save_pretrained("model")

    return change


def rows(name: str, made: list[dict[str, Any]]) -> Change:
    return lambda: write(Path(f"{name}.jsonl"), made)


def recipe(old: str, new: str) -> Change:
    return lambda: RECIPE.replace(old, new)


def said(answer: str, question: str = "red dog") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def asked(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"prompt": row["messages"][0]["content"]} for row in made]


def torn_gzip() -> str:
    whole = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in chats(2000)))
    Path("chat.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    return RECIPE.replace("chat.jsonl", "chat.jsonl.gz")


def two_splits() -> str:
    Path("folder").mkdir()
    write(Path("folder/train.jsonl"), chats(40))
    write(Path("folder/test.jsonl"), chats(40, 7))
    return RECIPE.replace("chat.jsonl", "folder")


def a_test_split() -> str:
    return two_splits().replace("source: folder,", "source: folder, split: test,")


def mixture_with_a_long_answer() -> str:
    write(Path("chat.jsonl"), [*chats(30), said("cat bird " * 60)])
    mixed = "  mixed: {mix: {chat: 31}, as: messages}\n  pairs:"
    return RECIPE.replace("  pairs:", mixed).replace("data: chat,", "data: mixed,")


STOPPED: dict[str, tuple[Change, str]] = {
    "the stop token is outside the loss": (
        template(HEAD + "{% endfor %}" + ASK), "the stop token <|end|> is never trained",
    ),
    "generation stops on another token than the one trained": (
        tokenizer(eos_token="<|pad|>"), "the stop token <|pad|> is never trained",
    ),
    "everything is masked": (
        rows("chat", [{"messages": [*said("x")["messages"][:1], {"role": "assistant", "content": "x", "train": False}]}] * 9),
        "no turn is trained",
    ),
    "nothing is masked: the prompt is no prefix": (
        template("{% for m in messages %}{{ m.role if loop.last else 'x' }}{{ m.content }}" + STOP + "{% endfor %}" + ASK),
        "the prompt is not a prefix of prompt and answer",
    ),
    "nothing is masked: the template writes answers only": (
        template("{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}" + STOP + "{% endif %}{% endfor %}"),
        "every token is trained",
    ),
    "the mask begins within the answer's header: no generation prompt": (
        template(HEAD + STOP + "{% endfor %}"), "there is no generation prompt",
    ),
    "the start token stands there twice": (
        lambda: (tokenizer(bos_token="<|pad|>")(), template("<|pad|><|pad|>" + HEAD + STOP + "{% endfor %}" + ASK)())[0],
        "begins with the start token twice",
    ),
    "rows are dropped with one warning": (
        rows("chat", [*chats(30), said("")]), "1 of 31 rows (3.2 %) are not messages rows",
    ),
    "truncation cuts the answer and its stop token": (
        rows("chat", [*chats(30), said("cat bird " * 60)]), "max_length 64 cuts 1 and drops 0 of 31 rows (3.2%), 1 stop tokens",
    ),
    "truncation cuts an answer of a mixture": (
        mixture_with_a_long_answer, "max_length 64 cuts 1 and drops 0 of 31 rows (3.2%), 1 stop tokens",
    ),
    "rows with weights that no loss would use": (
        rows("chat", [*chats(9), {**said("blue"), "weight": 2.0}]), "row 10 has a weight, which training would not use",
    ),
    "an answer of characters that nobody sees": (
        rows("chat", [*chats(9), said("\u200b\ufeff \u00a0")]), "1 of 10 rows (10 %) are not messages rows: 1 such as row 10",
    ),
    "a mixture wants more rows than there are": (
        recipe("  pairs:", "  mixed: {mix: {chat: 90}, as: messages}\n  pairs:"),
        "the mixture wants 90 of its rows, and it has 60",
    ),
    "a row deep in the file breaks the tokenizing": (
        lambda: Path("chat.jsonl").write_text("\n".join(json.dumps(r) for r in chats(300)) + '\n{"messages": [\n') and None,
        "row 301: broken JSON",
    ),
    "a file that was not copied to its end": (torn_gzip, "the compressed file is broken off or damaged"),
    "the test split is mixed into training": (two_splits, "its files are of several splits: test, train"),
    "the same prompt is trained on and evaluated": (
        rows("probes", asked(chats(20))), "20 of its 20 prompts (100.0%) are in data.chat too",
    ),
    "chosen and rejected are identical": (
        rows("pairs", [*pairs(40), pair("red", "warm dog", "warm dog ")]),
        "1 of 41 rows (2.4 %) are not preference rows: 1 such as row 41 (the row has two identical answers",
    ),
    "an empty completion": (rows("pairs", [*pairs(40), pair("red", "warm", "  ")]), "field rejected is empty"),
    "a conversation without an answer": (
        rows("chat", [*chats(9), {"messages": said("x")["messages"][:1]}]), "field messages ends with a turn of user",
    ),
    "a second system turn in the middle": (
        rows("chat", [*chats(9), {"messages": [*said("x")["messages"], {"role": "system", "content": "y"}]}]),
        "is a system turn that does not come first",
    ),
    "an answer that holds the stop token": (
        rows("chat", [*chats(9), said(f"cat{STOP} dog")]), "the answer holds the stop token <|end|> in its text",
    ),
    "the wrong columns are guessed": (
        rows("chat", [{"asked": "red", "told": "blue"}] * 9), "its columns (asked, told) are not those of",
    ),
}  # fmt: skip
TOLD: dict[str, tuple[Change, str]] = {
    "pad is the stop token": (tokenizer(pad_token=STOP), "pad == eos"),
    "the template's own system prompt slips in": (
        template(f"<|system|>You are a small helpful model.{STOP}" + HEAD + STOP + "{% endfor %}" + ASK),
        "writes a system prompt of its own where a row has none: 'You are a small helpful model.'",
    ),
    "rows that were rendered before are rendered again": (
        rows("chat", [*chats(9), said("blue", f"<|user|>red{STOP}")]), "holds the special token <|user|> (row 10)",
    ),
    "nearly the same prompt is trained on and evaluated": (
        lambda: (
            rows("chat", [*chats(60), said("So.", f"Please {BRIDGE} was built by whom and why?")])(),
            rows("probes", asked([said("", f"{BRIDGE.upper()} was built, by whom, and why")]))(),
        )[0],
        "1 of its 1 prompts is in data.chat in nearly the same words (in a sample",
    ),
    "the chosen answer is always the longer one": (
        rows("pairs", [pair(f"red {i}", "warm dog sleeps here", "cold") for i in range(40)]),
        "the chosen answer is the longer one in 100% of 40 pairs",
    ),
    "the chosen answer is always the shorter one": (
        rows("pairs", [pair(f"red {i}", "cold", "warm dog sleeps here") for i in range(40)]),
        "the chosen answer is the shorter one in 100% of 40 pairs",
    ),
    "pairs contradict each other": (
        rows("pairs", [*pairs(40), pair("red dog?", "a cat", "a bird"), pair("red dog?", "a bird", "a cat")]),
        "2 pairs contradict another one on the same two answers (rows 41 and 42)",
    ),
    "answers are preferred in a circle": (
        rows("pairs", [*pairs(40), *(pair("red dog?", *two) for two in (("a", "bb"), ("bb", "ccc"), ("ccc", "a")))]),
        "1 prompt with answers preferred in a circle, A over B over C over A (rows 41, 42, 43)",
    ),
    "labels are flipped at random": (  # 9 pairs judged three times; of 3 of them one judgement is the other way round
        rows("pairs", [pair(f"red {i}", *("ba" if turn == 2 and i < 3 else "ab")) for i in range(9) for turn in range(3)]),
        "of the labels are flipped: 6 of 27 repeated judgements disagree",
    ),
    "nearly all rows are of one source": (
        rows("chat", [{**row, "source": "web" if i else "hand"} for i, row in enumerate(chats(60))]),
        "98% of the rows are of one source, web; there are 2",
    ),
    "sft teaches the answer that dpo rejects": (
        rows("pairs", [*pairs(40), pair(chats(1)[0]["messages"][0]["content"], "a cat", chats(1)[0]["messages"][1]["content"])]),
        "1 of 2 questions that data.pairs answers too: what one wants there the other rejects",
    ),
    "one row is longer than any model reads": (
        rows("chat", [*chats(9), said("cat " * 300_000)]), "row 10 has 1,200,007 characters",
    ),
    "a test split is trained on by its name": (a_test_split, "by its name (test) it is what others evaluate on"),
    "a test file is trained on by its name": (
        lambda: (rows("chat_test", chats(20))(), RECIPE.replace("chat.jsonl", "chat_test.jsonl"))[1],
        "by its name (chat_test.jsonl) it is what others evaluate on",
    ),
    "rows stand there twice": (rows("chat", chats(20) * 2), "20 of 40 rows repeat an earlier one"),
}  # fmt: skip


def look(check: Any, base: Path, change: Change | None) -> list[Finding]:
    shutil.copytree(base, "model")
    write(Path("chat.jsonl"), chats(60))
    write(Path("pairs.jsonl"), pairs(60, 1))
    write(Path("probes.jsonl"), asked(chats(20, 2)))
    text = change() if change else None
    return check(text if isinstance(text, str) else RECIPE, static=True)[0]


def test_the_sound_recipe_has_no_problem_and_no_warning_of_these(check: Any, base: Path) -> None:
    found = look(check, base, None)
    assert not [f for f in found if f.state == "problem"], found
    assert not [f for f in found for _, words in TOLD.values() if words in f.found]


@pytest.mark.parametrize("failure", STOPPED)
def test_a_silent_failure_is_stopped_before_training(check: Any, base: Path, failure: str) -> None:
    change, words = STOPPED[failure]
    found = look(check, base, change)
    assert [f for f in found if f.state == "problem" and words in f.found], [f for f in found if f.state != "ok"]


@pytest.mark.parametrize("failure", TOLD)
def test_a_silent_failure_is_told_before_training(check: Any, base: Path, failure: str) -> None:
    change, words = TOLD[failure]
    found = look(check, base, change)
    assert [f for f in found if f.state == "warning" and words in f.found], [f for f in found if f.state != "ok"]


def test_a_file_that_changed_is_another_input_and_a_split_has_a_seed_of_its_own(
    check: Any, base: Path, tmp_path: Path
) -> None:
    """A stale cache of tokens, and unseeded splits: keys are of content, and the split of a prompt moves with nothing else."""
    from align import plan as plans
    from align.artifact.store import Store
    from align.recipe import load

    look(check, base, None)
    before = plans.make(load("recipe.yaml"), Store(tmp_path / "store")).steps
    write(Path("chat.jsonl"), chats(61))
    after = plans.make(load("recipe.yaml", ["seed=7"]), Store(tmp_path / "store")).steps
    assert before["chat"].key != after["chat"].key and before["sft"].key != after["sft"].key
    assert before["pairs"].key == after["pairs"].key


def test_no_prompt_stands_on_both_sides_of_a_split(check: Any, base: Path, tmp_path: Path) -> None:
    """Nor the same prompt in other letters, with other spaces or a word more: all its pairs are on one side."""
    from align import plan as plans
    from align.artifact.store import Store
    from align.data.store_rows import part_file, read_rows
    from align.job import job_of
    from align.recipe import load
    from align.step import carry_out
    from align.tracking import Tracker

    look(check, base, None)
    draw = random.Random(0)
    questions = [" ".join("".join(draw.choices("abcdefghij", k=5)) for _ in range(12)) for _ in range(40)]
    again = (str.upper, lambda text: f"  {text}\n", lambda text: f"Please, {text}")
    write(
        Path("pairs.jsonl"),
        (pair(said(q), f"warm {i}", f"cold {i}") for said in (str, *again) for i, q in enumerate(questions)),
    )
    plan = plans.make(load("recipe.yaml"), Store(tmp_path / "store"))
    job = job_of(plan, plan.steps["pairs"], str(tmp_path / "store"))
    carry_out(job, lambda folder: Tracker(folder, lambda event: None))
    (sealed,) = (tmp_path / "store").glob("prepare-*")
    parts = [read_rows([part_file(sealed, part)], "preference") for part in ("train", "holdout")]
    train, held = ({row["chosen"][0]["content"] for row in part} for part in parts)
    assert train and held and not train & held and len(train | held) == 40


def test_a_missing_source_is_told_before_anything_else(check: Any, base: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl does not exist"):
        look(check, base, recipe("chat.jsonl", "nowhere.jsonl"))
