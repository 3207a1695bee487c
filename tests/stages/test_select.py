from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from align import plan, recipe
from align.artifact.store import Store
from align.data.render import render_messages
from align.data.store_rows import part_file, read_rows
from align.errors import DataError, RecipeError
from align.models.load import load_model
from align.models.reward import load_reward_model
from align.models.tokenizer import load_tokenizer
from align.scoring.reward_model import score_ids
from align.specs import SelectSpec
from align.stages import select
from tests.rewarding import write_reward_model
from tests.tiny import Recorder, inputs, write_rows


def spec(**settings: Any) -> SelectSpec:
    return SelectSpec.model_validate({"select": "rows", "as": "text", **settings})


def perplexities(base: Any, rows: list[str]) -> list[float]:
    """By transformers' own loss, a row at a time."""
    model, tokenizer = load_model(base), load_tokenizer(base)
    found = []
    for row in rows:
        ids = torch.tensor([tokenizer(row)["input_ids"]])
        with torch.inference_mode():
            found.append(math.exp(model(input_ids=ids, labels=ids).loss.item()))
    return found


def kept(out: Path, row_type: str) -> list[dict[str, Any]]:
    return list(read_rows([part_file(out, "train")], row_type))


def test_rows_above_a_perplexity_are_left_out_and_counted(world: dict[str, Any], tmp_path: Path) -> None:
    rows = [row["text"] for row in read_rows(world["texts"].files, "text")]
    exact = perplexities(world["base"], rows)
    limit = sorted(exact)[120] * 1.0001
    recorder = Recorder()
    told = select.run(
        spec(perplexity={"model": "base", "max": limit}),
        inputs(tmp_path, **{"select": world["texts"], "perplexity.model": world["base"]}), tmp_path, recorder,
    )  # fmt: skip
    wanted = [text for text, value in zip(rows, exact, strict=True) if value <= limit]
    left_out = 200 - len(wanted)
    assert [row["text"] for row in kept(tmp_path, "text")] == wanted and left_out > 70
    assert told["rows/train"] == len(wanted) and told["dropped/perplexity_high"] == told["rows/dropped"] == left_out
    assert told["perplexity/p50"] == pytest.approx(sorted(exact)[100], rel=1e-3)
    assert any(f"dropped {left_out} of 200 rows" in note for note in recorder.notes)


def test_the_reward_of_an_answer_is_what_the_reward_model_gives_it(world: dict[str, Any], tmp_path: Path) -> None:
    reward = write_reward_model(tmp_path / "reward", world["base"])
    rows = list(read_rows(world["held"].files, "messages"))
    model = load_reward_model(reward, torch.float32, torch.device("cpu"))
    ids = [render_messages(row["messages"], model.tokenizer).input_ids for row in rows]
    exact = [score_ids(model, [each], 4096, torch.float32)[0] for each in ids]
    limit = sorted(exact)[20] - 1e-4
    told = select.run(
        spec(**{"as": "messages"}, reward={"model": "rm", "min": limit}),
        inputs(tmp_path, **{"select": world["held"], "reward.model": reward}), tmp_path, Recorder(),
    )  # fmt: skip
    assert kept(tmp_path, "messages") == [row for row, score in zip(rows, exact, strict=True) if score >= limit]
    assert told["dropped/reward_low"] == 20


def test_long_rows_are_read_up_to_max_length_and_counted(world: dict[str, Any], tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows", "text", [{"text": "red"}, {"text": "red blue " * 200}])
    told = select.run(
        spec(perplexity={"model": "base", "max": 1e9}, max_length=64),
        inputs(tmp_path, **{"select": rows, "perplexity.model": world["base"]}), tmp_path, Recorder(),
    )  # fmt: skip
    assert (told["rows/cut"], told["rows/train"]) == (1, 2)


def test_limits_that_leave_nothing_are_an_error(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of its 200 rows is left \(perplexity_high 200\)"):
        select.run(
            spec(perplexity={"model": "base", "max": 1.0}),
            inputs(tmp_path, **{"select": world["texts"], "perplexity.model": world["base"]}), tmp_path, Recorder(),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "select needs perplexity or reward"),
        ({"perplexity": {"model": "base"}}, "needs min or max"),
        ({"reward": {"model": "rm", "min": 0.0}}, "only messages have an answer to score"),
        ({"as": "preference", "perplexity": {"model": "base", "max": 9.0}}, "selected among text and messages"),
    ],
)
def test_selections_that_cannot_be_meant_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        spec(**settings)


RECIPE = """\
name: selecting
base: {base}
data:
  chat: {{source: quickstart:chat, as: messages}}
  good: {{select: chat, as: messages, perplexity: {{model: base, max: 50}}}}
stages:
  sft: {{kind: sft, model: base, data: good, learning_rate: 1e-5}}
"""


def test_a_selection_rests_on_its_rows_and_on_its_model(tmp_path: Path) -> None:
    path = tmp_path / "selecting.yaml"
    (tmp_path / "base").mkdir()
    path.write_text(RECIPE.format(base=tmp_path / "base"))
    steps = plan.make(recipe.load(path), Store(tmp_path / "store")).steps
    assert set(steps["good"].edges) == {"select", "perplexity.model"} and steps["sft"].edges["data"].step == "good"
    other = plan.make(recipe.load(path, ["data.good.perplexity.max=40"]), Store(tmp_path / "store")).steps
    assert other["chat"].key == steps["chat"].key and other["good"].key != steps["good"].key
    with pytest.raises(RecipeError, match="chat gives rows, expected a reward model"):
        recipe.load(path, ["data.good.reward.model=chat", "data.good.reward.min=0.0"])
