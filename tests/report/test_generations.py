from __future__ import annotations

import base64
import itertools
import json
import random
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from align import words
from align.artifact.store import Store
from align.errors import ArtifactError
from align.plan import Plan
from align.report import generations, page
from align.report.collect import collect
from align.report.generations import Said, Suite
from tests.report.conftest import SAID, SCORES


def unpacked(text: str) -> dict[str, Any]:
    return json.loads(zlib.decompress(base64.b64decode(text), -15))


def test_models_are_joined_on_their_prompts_with_the_scores_of_every_row(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    (suite,) = generations.read(collect(plan, store))
    assert (suite.stage, suite.name, suite.baseline, suite.better) == ("evaluate", "probes", "sft", {"gold": 1})
    assert suite.prompts[3] == [["user", "question 3"]] and suite.slices[:2] == ["far", "near"]
    assert {s.model: s.texts for s in suite.said} == SAID
    assert {s.model: s.scores["gold"] for s in suite.said} == SCORES


def test_what_is_packed_is_what_was_said_and_holds_no_markup(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    packed = generations.packed("small", generations.read(collect(plan, store)))
    assert not set(packed) & set("<>&'\"\u2028")
    (suite,) = unpacked(packed)["suites"]
    assert suite["texts"] == [SAID["sft"], SAID["dpo"]] and suite["models"] == ["sft", "dpo"]
    gold = next(m for m in suite["metrics"] if m["name"] == "gold")
    assert gold["better"] == 1 and gold["values"] == [SCORES["sft"], SCORES["dpo"]]
    assert packed in page.write(plan, collect(plan, store), store, words.Commands("small.yaml"), packed)


def test_rows_changed_after_sealing_are_refused(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    seen = collect(plan, store)
    name = "evaluate.sft"
    sealed = seen[name].sealed
    assert sealed
    files = {**sealed.manifest.files, "rows-probes.parquet": {"sha256": "0" * 64, "size": 1}}
    forged = replace(sealed, manifest=replace(sealed.manifest, files=files))
    with pytest.raises(ArtifactError, match="does not match the hash"):
        generations.read({**seen, name: replace(seen[name], sealed=forged)})


def big(rows: int, words: int, models: int = 2) -> Suite:
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(5000)]
    said = [
        Said(f"model {m}", "d", [" ".join(rng.choices(vocabulary, k=words)) for _ in range(rows)],
             {"gold": [rng.random() for _ in range(rows)]})
        for m in range(models)
    ]  # fmt: skip
    prompts = [[["user", f"question {i}"]] for i in range(rows)]
    return Suite("evaluate", "probes", "model 0", prompts, [None] * rows, said, {"gold": 1}, rows)


def test_ten_thousand_samples_fit_whole_and_pack_in_seconds() -> None:
    suite = big(10_000, 40)
    began = time.process_time()
    packed = generations.packed("small", [suite])
    assert len(packed) < generations.MOST_BYTES and time.process_time() - began < 10
    assert len(unpacked(packed)["suites"][0]["prompts"]) == 10_000


def test_what_would_not_fit_is_an_even_share_of_the_rows_and_is_told() -> None:
    suite = big(2000, 40)
    packed = generations.packed("small", [suite], most=200_000)
    (told,) = unpacked(packed)["suites"]
    kept = [int(p[0][1].split()[1]) for p in told["prompts"]]
    assert len(packed) <= 200_000 and told["rows"] == 2000 and 200 < len(kept) < 2000
    steps = {b - a for a, b in itertools.pairwise(kept)}
    assert kept[0] == 0 and max(steps) - min(steps) <= 1
    assert told["texts"][1][7] == suite.said[1].texts[kept[7]]
    assert told["metrics"][0]["values"][1][7] == pytest.approx(suite.said[1].scores["gold"][kept[7]], rel=1e-3)


def test_the_answers_of_a_policy_along_the_way_are_shown_by_update(tmp_path: Path) -> None:
    rows = [
        {"prompt": [{"role": "user", "content": f"q{i}"}], "completion": [{"role": "assistant", "content": f"a{i} {u}"}],
         "score": u + i / 10, "slice": f"update-{u}", "source": "reward"}
        for u in (0, 5) for i in range(3)
    ]  # fmt: skip
    from tests.report.finished import finish

    plan, store = finish(tmp_path, SAID, SCORES)
    file = generations._File(collect(plan, store)["dpo"], generations.SAMPLES, "samples")
    suite = generations._along_the_way(file, rows)
    assert [s.model for s in suite.said] == ["update 0", "update 5"] and len(suite.prompts) == 3
    assert suite.said[1].texts == ["a0 5", "a1 5", "a2 5"] and suite.said[1].scores["reward"][2] == 5.2


def test_scores_that_are_no_numbers_are_told_as_missing() -> None:
    said = [Said("m", "d", ["a", "b"], {"gold": [float("nan"), None]})]
    told = unpacked(generations.packed("r", [Suite("e", "s", "m", [[["user", "x"]]] * 2, [None] * 2, said, {}, 2)]))
    assert told["suites"][0]["metrics"][0]["values"] == [[None, None]]
