"""What the quickstart claims, at seeds that its settings were not chosen on: each seed is a run of the whole recipe.

Differences are paired, on the same held-out prompts, with 95 % intervals. Run by hand, since three seeds take about ten minutes
on 2 cores: `pytest -n 0 -m slow tests/quickstart/claims.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from align import recipe
from align.artifact.store import Store

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
SEEDS = (2, 3, 4)
AT_ONCE = 2  # runs of one thread each: together they do more than one run of two threads

Report = dict[str, Any]


def align_run(store: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "align", "run", str(RECIPE), f"store={store}", *arguments],
        cwd=store.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def report(store: Path, step: str) -> Report:
    kind, _, key = Store(store).last_keys("quickstart")[step].partition("-")
    return json.loads((Store(store).open(kind, key).path / "report.json").read_text())


def told_by(folder: Path, seed: int) -> tuple[Report, Report]:
    """The closing table of this seed, and the report on an SFT of twice as many steps."""
    store = folder / f"seed-{seed}"
    align_run(store, f"seed={seed}")
    closing = report(store, "evaluate")
    epochs = 2 * getattr(recipe.load(RECIPE).stages["sft"], "epochs", 0)
    align_run(store, f"seed={seed}", f"stages.sft.epochs={epochs}", "--only", "sft", "--only", "evaluate.sft")
    return closing, report(store, "evaluate.sft")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Report, Report]]:
    folder = tmp_path_factory.mktemp("claims")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(SEEDS, pool.map(lambda seed: told_by(folder, seed), SEEDS), strict=True))


@pytest.fixture(params=SEEDS)
def reports(request: pytest.FixtureRequest, told: dict[int, tuple[Report, Report]]) -> tuple[Report, Report]:
    return told[request.param]


def values(closing: Report, suite: str, metric: str, part: str = "all") -> dict[str, dict[str, Any]]:
    wanted = (suite, metric, part)
    return next(r["values"] for r in closing["rows"] if (r["suite"], r["metric"], r["slice"]) == wanted)


def test_sft_teaches_the_form_and_the_base_has_none_of_it(reports: tuple[Report, Report]) -> None:
    form = values(reports[0], "probes", "format")
    assert form["pretrain"]["value"] <= 0.1 and form["sft"]["value"] >= 0.9


def test_twice_the_steps_of_sft_gain_next_to_nothing(reports: tuple[Report, Report]) -> None:
    closing, doubled = reports
    gold = doubled["suites"]["probes"]["metrics"]["gold"]["all"]["value"]
    assert gold - values(closing, "probes", "gold")["sft"]["value"] < 0.02


def test_dpo_beats_sft_in_preference_accuracy_and_in_gold_score(reports: tuple[Report, Report]) -> None:
    for suite, metric in (("preference", "accuracy"), ("probes", "gold")):
        assert values(reports[0], suite, metric)["dpo"]["difference"]["low"] > 0, metric


def test_ppo_beats_sft_in_gold_score(reports: tuple[Report, Report]) -> None:
    assert values(reports[0], "probes", "gold")["ppo"]["difference"]["low"] > 0


def test_what_is_learnt_reaches_less_far_outside_the_domain(reports: tuple[Report, Report]) -> None:
    near_by, far = (values(reports[0], "probes", "gold", part) for part in ("in_domain", "far"))
    for model in ("sft", "dpo", "ppo"):
        assert near_by[model]["low"] > far[model]["high"], model
