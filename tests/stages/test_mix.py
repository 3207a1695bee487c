from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from align import plan, recipe
from align.artifact.inputs import Inputs, RowsInput
from align.artifact.store import Store
from align.data.store_rows import RowWriter, part_file, read_rows
from align.errors import DataError, RecipeError
from align.specs import MixSpec
from align.stages import mix
from tests.tiny import Recorder


@pytest.fixture
def mixed(tmp_path: Path):
    """Mixes text rows `a0`, `a1` ...; gives their texts in order and what was told."""

    def run(there: dict[str, int], amounts: dict[str, float], name: str = "out", **settings):
        inputs = {}
        for index, (entry, rows) in enumerate(there.items()):
            folder = tmp_path / f"{name}-{entry}"
            folder.mkdir()
            with RowWriter(folder, "text") as writer:
                for row in range(rows):
                    writer.write("train", {"text": f"{entry}{row}"})
            inputs[f"mix.{index}"] = RowsInput(entry, (part_file(folder, "train"),), "text", rows, "d")
        out = tmp_path / name
        out.mkdir()
        recorder = Recorder()
        spec = MixSpec.model_validate({"mix": amounts, "as": "text", **settings})
        told = mix.run(spec, Inputs(inputs, tmp_path), out, recorder)
        return [row["text"] for row in read_rows([part_file(out, "train")], "text")], told, recorder

    return run


def shares(texts: list[str]) -> Counter[str]:
    return Counter(text[0] for text in texts)


def test_shares_are_exact_and_no_row_is_taken_twice(mixed) -> None:
    texts, told, recorder = mixed({"a": 1000, "b": 1000}, {"a": 0.8, "b": 0.2})
    assert shares(texts) == {"a": 1000, "b": 250}  # all of a; a fifth of the whole is b
    assert len(set(texts)) == 1250
    assert (told["rows/train"], told["mixed/a"], told["mixed/b"]) == (1250, 1000, 250)
    assert "b: 250 of 1,000 rows, 20.0% of the mixture" in recorder.notes


def test_entries_are_laid_together_and_not_one_after_another(mixed) -> None:
    texts, _, _ = mixed({"a": 600, "b": 600}, {"a": 0.5, "b": 0.5})
    firsts = shares(texts[:300])["a"]
    assert firsts == pytest.approx(150, abs=35)  # 4 deviations of a fair draw
    kept = [int(text[1:]) for text in texts if text[0] == "a"]
    assert kept == sorted(kept)


def test_every_row_is_as_likely_as_any_other(mixed) -> None:
    picked: Counter[str] = Counter()
    for seed in range(60):
        picked.update(mixed({"a": 30}, {"a": 10}, name=f"s{seed}", mix_seed=seed)[0])
    assert sum(picked.values()) == 600 and len(picked) == 30
    assert max(abs(count - 20) for count in picked.values()) < 15  # 20 expected, deviation 3.7


def test_the_seed_alone_decides(mixed, tmp_path: Path) -> None:
    bytes_of = []
    for name, seed in (("x", 0), ("y", 0), ("z", 1)):
        mixed({"a": 300, "b": 100}, {"a": 50, "b": 50}, name=name, mix_seed=seed)
        bytes_of.append(part_file(tmp_path / name, "train").read_bytes())
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_counts_are_taken_as_they_are_and_rows_set_the_total_of_shares(mixed) -> None:
    assert shares(mixed({"a": 30, "b": 30}, {"a": 7, "b": 2}, name="counts")[0]) == {"a": 7, "b": 2}
    assert shares(mixed({"a": 30, "b": 30}, {"a": 0.7, "b": 0.3}, name="rows", rows=10)[0]) == {"a": 7, "b": 3}
    third = {"a": 1 / 3, "b": 2 / 3}
    assert shares(mixed({"a": 30, "b": 30}, third, name="rounded", rows=10)[0]) == {"a": 3, "b": 7}


def test_too_few_rows_are_refused_unless_they_may_repeat(mixed) -> None:
    with pytest.raises(DataError, match=r"b: the mixture wants 25 of its rows, and it has 10.*repeat: true"):
        mixed({"a": 30, "b": 10}, {"a": 25, "b": 25}, name="refused")
    texts, told, recorder = mixed({"a": 30, "b": 10}, {"a": 25, "b": 25}, name="again", repeat=True)
    times = Counter(text for text in texts if text[0] == "b")
    assert len(times) == 10 and set(times.values()) == {2, 3}
    assert told["repeated/b"] == 15 and any("15 of them taken again" in note for note in recorder.notes)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mix": {"a": 0.8, "b": 0.3}}, "the shares sum to 1.1, not to 1"),
        ({"mix": {"a": 0.0, "b": 1.0}}, "a needs a share or count above 0"),
        ({"mix": {"a": 5, "b": 5}, "rows": 3}, "mix already says how many rows of each, 10 in all"),
        ({"mix": ["a", "b"]}, "mix is written as"),
    ],
)
def test_mixtures_that_cannot_be_meant_are_refused(settings, told) -> None:
    with pytest.raises(ValidationError, match=told):
        MixSpec.model_validate({**settings, "as": "text"})


RECIPE = """\
name: mixing
base: base
data:
  chat: {source: quickstart:chat, as: messages, holdout: 0.1}
  pairs: {source: quickstart:pairs, as: preference}
  both: {mix: {chat: 0.5, chat.holdout: 0.5}, as: messages}
stages:
  sft: {kind: sft, model: base, data: both, learning_rate: 1e-5}
"""


def loaded(tmp_path: Path, text: str, *overrides: str) -> recipe.Recipe:
    (tmp_path / "mixing.yaml").write_text(text)
    return recipe.load(tmp_path / "mixing.yaml", list(overrides))


def test_a_mixture_is_an_entry_like_others_and_rests_on_its_parts(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    written = RECIPE.replace("base: base", f"base: {tmp_path / 'base'}")
    steps = plan.make(loaded(tmp_path, written), Store(tmp_path / "store")).steps
    assert (steps["both"].kind, steps["both"].edges["mix.1"].part) == ("mix", "holdout")
    changed = plan.make(loaded(tmp_path, written, "data.chat.limit=50"), Store(tmp_path / "store")).steps
    assert changed["both"].key != steps["both"].key and changed["sft"].key != steps["sft"].key


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        ("chat.holdout: 0.5", "pairs: 0.5", "data.both.mix.1", "pairs holds preference rows, expected messages rows"),
        ("chat.holdout: 0.5", "chta: 0.5", "data.both.mix.1", '"chta" is not a stage, a data entry or base. Did you mean chat?'),
        ("chat.holdout: 0.5", "both: 0.5", "data.both", "a circle: both -> both"),
        ("0.5}, as", "0.5}, row: 5, as", "data.both.row", "unknown key. Did you mean rows?"),
        ("data: both", "data: both.holdout", "stages.sft.data", "both has no part holdout; it has train."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_mixture_is_told_with_its_place(tmp_path: Path, old, new, place, told) -> None:
    with pytest.raises(RecipeError) as caught:
        loaded(tmp_path, RECIPE.replace(old, new))
    assert {p.key: p.message for p in caught.value.problems} == {place: told}
