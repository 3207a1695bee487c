"""Token ids made elsewhere: what is read of them, what is refused, and that they train as the text they were made from does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from align import plan as plans
from align.artifact.inputs import Inputs, RowsInput, SourceInput
from align.artifact.store import Store
from align.data.conversations import CannotConvert
from align.data.formats import detect
from align.data.render import render_rows
from align.data.store_rows import RowWriter, part_file, read_rows
from align.data.token_rows import token_row
from align.errors import DataError, RecipeError
from align.inspection import view
from align.models.tokenizer import load_tokenizer
from align.recipe import load
from align.schema import row_problem
from align.specs import PrepareSpec, PretrainSpec, SftSpec
from align.stages import prepare, pretrain, sft
from tests.inspection.test_with_model import ask
from tests.preflight.conftest import write
from tests.tiny import SHAPE, Recorder, chats, inputs, texts, write_base, write_rows

IDS = [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ({}, None),
        ({"labels": [-100, -100, 7, 8]}, [0, 0, 1, 1]),
        ({"labels": IDS}, [1, 1, 1, 1]),
        ({"completion_mask": [0, 1, 1, 1], "assistant_masks": [1, 1, 0, 1]}, [0, 1, 0, 1]),
        ({"labels": [-100, 6, 7, 8], "completion_mask": [0, 0, 1, 1]}, [0, 0, 1, 1]),
    ],
)
def test_labels_and_masks_say_what_is_trained(raw: dict[str, Any], wanted: list[int] | None) -> None:
    found = detect([{"input_ids": IDS, **raw}], "tokens")
    (row,) = found.rows({"input_ids": IDS, **raw})
    assert row == {"input_ids": IDS} | ({"completion_mask": wanted} if wanted else {}) and not found.unused
    assert found.told == "token ids" and row_problem("tokens", row) is None


@pytest.mark.parametrize(
    ("attention", "kept"), [([0, 1, 1, 1], [6, 7, 8]), ([1, 1, 0, 0], [5, 6]), ([1, 1, 1, 1], IDS)]
)
def test_padding_is_taken_off(attention: list[int], kept: list[int]) -> None:
    row = token_row({"input_ids": IDS, "attention_mask": attention, "labels": IDS})
    assert row == {"input_ids": kept, "completion_mask": [1] * len(kept)}


@pytest.mark.parametrize(
    ("raw", "reason", "words"),
    [
        ({"input_ids": "5 6 7"}, "input_ids_type", "not a list of whole numbers"),
        ({"input_ids": [1.5, 2]}, "input_ids_type", "not a list of whole numbers"),
        ({"labels": [7, 8]}, "labels_count", "has 2 entries for 4 tokens"),
        ({"labels": [6, 7, 8, -100]}, "labels_shifted", "shifted by one token"),
        ({"labels": [-100, 9, 7, 8]}, "labels_other", "holds 9 where the token is 6"),
        ({"completion_mask": [0, 2, 1, 1]}, "completion_mask_values", "other numbers than 0 and 1"),
        ({"attention_mask": [1, 0, 1, 1]}, "attention_mask_within", "hides tokens within the row"),
        ({"attention_mask": [0, 0, 0, 0]}, "attention_mask_empty", "hides every token"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_reason(raw: dict[str, Any], reason: str, words: str) -> None:
    with pytest.raises(CannotConvert) as refused:
        token_row({"input_ids": IDS, **raw})
    assert refused.value.reason == reason and words in refused.value.found


def test_a_row_that_trains_nothing_or_has_no_tokens_is_told() -> None:
    masked = row_problem("tokens", token_row({"input_ids": IDS, "labels": [-100] * 4}), "t.jsonl", 3)
    assert masked and masked.reason == "completion_mask_empty" and "trains no token" in masked.message
    assert (found := row_problem("tokens", {"input_ids": []}, "t.jsonl", 3)) and found.reason == "input_ids_empty"
    for token in (-1, 2**31):
        assert (
            found := row_problem("tokens", {"input_ids": [1, token]}, "t.jsonl", 3)
        ) and "input_ids[1]" in found.message


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("world")
    return {
        "base": write_base(folder / "base"),
        "chats": write_rows(folder / "chats", "messages", chats(24)),
        "texts": write_rows(folder / "texts", "text", texts(24)),
    }


def made_elsewhere(base: Path) -> list[dict[str, Any]]:
    """The chats as another program would have written them down."""
    found = []
    for row in render_rows(chats(24), load_tokenizer(base)):
        labels = [token if on else -100 for token, on in zip(row.input_ids, row.labels_mask, strict=True)]
        found.append({"input_ids": row.input_ids, "labels": labels, "attention_mask": [1] * len(labels)})
    return found


def prepared(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> tuple[RowsInput, dict[str, float]]:
    folder.mkdir()
    write(folder / "rows.jsonl", rows)
    spec = PrepareSpec(source="rows.jsonl", **{"as": "tokens", **settings})
    source = SourceInput("file", str(folder / "rows.jsonl"), None, None, "d")
    metrics = prepare.run(spec, Inputs({"source": source}, folder), folder, Recorder())  # type: ignore[arg-type]
    path = part_file(folder, "train")
    return RowsInput("ids", (path,), "tokens", int(metrics["rows/train"]), "d"), metrics


def sft_run(world: dict[str, Any], out: Path, rows: RowsInput, **more: Any) -> tuple[Recorder, dict[str, float]]:
    settings: dict[str, Any] = {"learning_rate": 1e-2, "batch_size": 8, "max_length": 64, "log_every": 1, **more}
    spec, recorder = SftSpec(kind="sft", model="base", data="d", epochs=2.0, seed=0, **settings), Recorder()
    return recorder, sft.run(spec, inputs(out, model=world["base"], data=rows), out, recorder)  # type: ignore[arg-type]


def test_sft_on_token_ids_is_sft_on_the_chats_they_were_made_from(world: dict[str, Any], tmp_path: Path) -> None:
    rows, _ = prepared(tmp_path / "ids", made_elsewhere(world["base"].path))
    ours, theirs = sft_run(world, tmp_path / "a", rows)[0], sft_run(world, tmp_path / "b", world["chats"])[0]
    told = [[metrics["loss"] for _, metrics in each.logged if "loss" in metrics] for each in (ours, theirs)]
    assert told[0] == told[1] and len(told[0]) > 2
    (note,) = [note for note in ours.notes if "cannot be verified" in note]
    assert chats(24)[0]["messages"][0]["content"] in note


def test_pretraining_on_token_ids_is_pretraining_on_their_text(world: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = load_tokenizer(world["base"])
    ids = [{"input_ids": [*tokenizer(row["text"])["input_ids"], tokenizer.eos_token_id]} for row in texts(24)]
    rows, metrics = prepared(tmp_path / "ids", ids)
    assert metrics["tokens/answer/mean"] == pytest.approx(sum(len(r["input_ids"]) for r in ids) / 24, abs=0.06)
    told = []
    for name, data in (("a", rows), ("b", world["texts"])):
        spec = PretrainSpec(
            kind="pretrain",
            data="d",
            model="base",
            learning_rate=1e-3,
            batch_size=4,
            max_length=32,
            seed=0,
            log_every=1,
        )
        recorder = Recorder()
        pretrain.run(spec, inputs(tmp_path, data=data, model=world["base"]), tmp_path / name, recorder)  # type: ignore[arg-type]
        told.append([metrics["loss"] for _, metrics in recorder.logged if "loss" in metrics])
    assert told[0] == told[1] and len(told[0]) > 1


def test_ids_of_another_tokenizer_are_refused_with_their_rows(world: dict[str, Any], tmp_path: Path) -> None:
    foreign = made_elsewhere(world["base"].path)
    foreign[4] = {"input_ids": [5, 49_151, 7], "labels": [-100, 49_151, 7]}
    rows, _ = prepared(tmp_path / "ids", foreign)
    with pytest.raises(
        DataError, match=r"1 of 24 rows.*does not know \(row 5; the first is 49,151\).*another tokenizer"
    ):
        sft_run(world, tmp_path / "out", rows)


def test_sft_refuses_ids_that_do_not_say_what_is_trained_or_never_stop(world: dict[str, Any], tmp_path: Path) -> None:
    whole = made_elsewhere(world["base"].path)
    rows, _ = prepared(tmp_path / "unmasked", [{"input_ids": row["input_ids"]} for row in whole])
    with pytest.raises(DataError, match=r"24 of 24 rows.*do not say which are trained \(rows 1, 2, 3, 4, 5 \.\.\.\)"):
        sft_run(world, tmp_path / "a", rows)
    endless = [{**row, "labels": [*row["labels"][:-1], -100]} for row in whole[:2]] + whole[2:]
    rows, _ = prepared(tmp_path / "endless", endless)
    with pytest.raises(
        DataError, match=r"stop token <\|end\|> is not trained at the end of 2 of 24 rows \(rows 1, 2\)"
    ):
        sft_run(world, tmp_path / "b", rows)
    sft_run(world, tmp_path / "c", rows, drop_budget=0.1, max_steps=1)


def test_a_new_tokenizer_cannot_be_made_of_ids(world: dict[str, Any], tmp_path: Path) -> None:
    rows, _ = prepared(tmp_path / "ids", made_elsewhere(world["base"].path))
    spec = PretrainSpec(kind="pretrain", data="d", architecture=SHAPE, learning_rate=1e-3, max_length=32)
    with pytest.raises(DataError, match="a new tokenizer would give its words other ones"):
        pretrain.run(spec, inputs(tmp_path, data=rows), tmp_path / "out", Recorder())  # type: ignore[arg-type]


def test_rows_of_ids_are_split_counted_and_filtered_by_their_tokens(world: dict[str, Any], tmp_path: Path) -> None:
    rows = made_elsewhere(world["base"].path)
    limits = {"filters": {"length": {"of": "row", "unit": "tokens", "max": 30}, "duplicates": "rows"}}
    found, metrics = prepared(tmp_path / "out", [*rows, rows[0], {"input_ids": list(range(3, 40))}], **limits)
    long = sum(len(row["input_ids"]) > 30 for row in rows) + 1
    assert metrics["dropped/length_row_long"] == long and metrics["dropped/duplicate_rows"] == 1
    assert found.rows == 25 - long
    _, metrics = prepared(tmp_path / "split", rows * 2, holdout=0.4)
    assert metrics["rows/holdout"] and metrics["copies/rows"] == 24
    parts = [read_rows([part_file(tmp_path / "split", part)], "tokens") for part in ("train", "holdout")]
    train, held = ({tuple(row["input_ids"]) for row in part} for part in parts)
    assert not train & held and len(train | held) == 24
    assert "Lengths in tokens" in (tmp_path / "split" / "README.md").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"against": ["ifeval"]}, "e.g. tokenizer: base; or leave against out"),
        ({"filters": {"language": "en"}}, "the language of token ids"),
        ({"filters": {"length": {"max": 5}}}, "the length of token ids"),
        ({"tokenizer": "base"}, "here it does nothing"),
        ({"as": "text", "tokenizer": "base"}, "here it does nothing"),
        ({"as": "text", "filters": {"length": {"unit": "tokens", "max": 5}}}, "tokenizer: base; or count characters"),
    ],
)
def test_what_only_text_or_only_a_tokenizer_has_is_refused_without(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PrepareSpec(source="x", **{"as": "tokens", **more})


def with_tokenizer(
    world: dict[str, Any], folder: Path, rows: list[dict[str, Any]], *references: dict[str, Any], **settings: Any
) -> dict[str, float]:
    """Metrics of prepared rows for which the tokenizer of the base is named; `references`: prompts they are held against."""
    folder.mkdir()
    write(folder / "rows.jsonl", rows)
    named: dict[str, Any] = {"tokenizer": world["base"]}
    if references:
        with RowWriter(folder, "prompt", ["asked"]) as writer:
            for row in references:
                writer.write("asked", row)
        named["against.0"] = RowsInput("asked", (part_file(folder, "asked"),), "prompt", len(references), "d")
        settings["against"] = ["asked"]
    spec = PrepareSpec(source="rows.jsonl", tokenizer="base", **settings)
    named["source"] = SourceInput("file", str(folder / "rows.jsonl"), None, None, "d")
    return prepare.run(spec, Inputs(named, folder), folder, Recorder())  # type: ignore[arg-type]


def test_ids_are_held_against_texts_by_the_tokenizer_named_for_them(world: dict[str, Any], tmp_path: Path) -> None:
    rows = made_elsewhere(world["base"].path)
    leaked = {"prompt": chats(24)[3]["messages"][:1]}
    told = with_tokenizer(world, tmp_path / "out", rows, leaked, **{"as": "tokens"})
    asked = leaked["prompt"][0]["content"]
    same = sum(row["messages"][0]["content"] == asked for row in chats(24))
    assert told["leakage/rows"] == same >= 1 and told["rows/train"] == 24 - same
    (line, *_) = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
    assert asked in json.loads(line)["values"]["prompt"][0]["content"]


def test_ids_that_the_tokenizer_named_for_them_does_not_know_are_broken_rows(
    world: dict[str, Any], tmp_path: Path
) -> None:
    rows = [*made_elsewhere(world["base"].path), {"input_ids": [5, 49_151]}]
    with pytest.raises(DataError, match=r"49,151, and base knows those below"):
        with_tokenizer(world, tmp_path / "out", rows, {"prompt": chats(1)[0]["messages"][:1]}, **{"as": "tokens"})


def test_text_is_filtered_by_its_tokens_where_a_tokenizer_is_named(world: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = load_tokenizer(world["base"])
    rows = texts(24)
    counts = sorted(len(tokenizer(row["text"], add_special_tokens=False)["input_ids"]) for row in rows)
    most = counts[len(counts) // 2]
    told = with_tokenizer(
        world, tmp_path / "out", rows, **{"as": "text", "filters": {"length": {"unit": "tokens", "max": most}}}
    )
    assert told["rows/train"] == sum(count <= most for count in counts) < 24


def test_a_recipe_names_the_tokenizer_as_any_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.jsonl", texts(3))
    recipe = """\
name: r
base: ./model
data: {t: {source: t.jsonl, as: text, tokenizer: base, filters: {length: {unit: tokens, max: 9}}}}
stages: {more: {kind: pretrain, model: base, data: t, learning_rate: 1e-3}}
"""
    (tmp_path / "r.yaml").write_text(recipe)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    keys = []
    for content in ("{}", '{"other": 1}'):
        (tmp_path / "model" / "tokenizer.json").write_text(content)
        plan = plans.make(load("r.yaml"), Store(tmp_path / ".align"))
        keys.append(plan.steps["t"].key)
    assert len(set(keys)) == 2, "another tokenizer leaves out other rows"
    (tmp_path / "r.yaml").write_text(recipe.replace("tokenizer: base", "tokenizer: bse"))
    with pytest.raises(RecipeError, match=r"data\.t\.tokenizer.*Did you mean base"):
        load("r.yaml")


def test_inspect_shows_ids_as_text_and_says_what_is_not_known(world: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "ids.jsonl", made_elsewhere(world["base"].path))
    source = SourceInput("file", str(tmp_path / "ids.jsonl"), None, None, "")
    told = ask(source, {"folder": str(world["base"].path)})
    assert any("cannot be verified" in finding["found"] for finding in told["findings"])
    assert told["stop"]["answers"] == told["stop"]["trained_stops"] == 24
    (side,) = told["samples"][0]["sides"]
    (answer,) = {row["messages"][1]["content"] for row in chats(24)[:1]}
    assert "".join(piece["text"] for piece in side["pieces"] if piece["trained"]).strip().startswith(answer)
    tokenizer = load_tokenizer(world["base"])
    seen = view.view([(1, {"input_ids": [5, 6]}), (2, {"input_ids": [5, 99_999]})], "tokens", tokenizer)
    assert list(seen.refused.values()) == [[2]] and seen.seen[0][0].mask == [1, 1]
