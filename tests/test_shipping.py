"""What leaves this folder: the recipes, the wheel, and the chained workflow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from align import plan as plans
from align import recipe
from align.artifact.store import Store
from tests import warm

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
SMALL = (
    "data.corpus.limit=80 data.chat.limit=60 data.pairs.limit=60 data.pairs.holdout=0.3 data.general.limit=5 "
    "stages.pretrain.max_steps=3 stages.sft.max_steps=3 stages.dpo.max_steps=2 stages.reward.max_steps=2 "
    "stages.ppo.episodes=8 stages.ppo.batch_size=4 stages.ppo.max_new_tokens=4 stages.evaluate.suites.probes.limit=8 "
    "stages.evaluate.suites.probes.max_new_tokens=4 stages.evaluate.suites.kl.limit=8 stages.evaluate.suites.kl.max_new_tokens=4 "
    "stages.evaluate.suites.transfer.max_new_tokens=4 stages.evaluate.suites.preference.limit=8 "
    "stages.evaluate.suites.preference.max_new_tokens=4 stages.evaluate.suites.health.limit=8 "
    "stages.evaluate.suites.health.max_new_tokens=4 stages.evaluate.suites.wins.limit=8 "
    "stages.evaluate.suites.wins.max_new_tokens=4 gates=[]"
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_plans_and_says_what_it_needs(path: Path, tmp_path: Path) -> None:
    plan = plans.make(recipe.load(path), Store(tmp_path))
    assert {s.action for s in plan.steps.values()} == {"run"}
    head = path.read_text()[:600]
    assert head.startswith("# ") and "Needs" in head


@pytest.mark.slow
def test_the_wheel_in_an_empty_environment_plans_the_quickstart_away_from_the_checkout(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    wheel = next(tmp_path.glob("*.whl"))
    assert {
        "align/_shipped/recipes/quickstart.yaml",
        "align/_shipped/data_schemas/text.schema.json",
        "align/report/assets/page.html",
        "align/report/assets/report.css",
        "align/report/assets/reader.js",
    } <= set(zipfile.ZipFile(wheel).namelist())
    environment, away = tmp_path / "environment", tmp_path / "away"
    away.mkdir()
    venv.create(environment)
    pip = [sys.executable, "-m", "pip", "--python", str(environment), "--disable-pip-version-check", "install", "-q"]
    pip += ["--no-compile"]
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    subprocess.run([*pip, *_needed_to_plan(wheel)], check=True)
    done = subprocess.run(
        [str(environment / "bin" / "align"), "plan", "quickstart", "--json"],
        cwd=away,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [s["name"] for s in json.loads(done.stdout)["steps"]][-1] == "evaluate"
    assert not list(environment.glob("lib/*/site-packages/torch"))


def _needed_to_plan(wheel: Path) -> list[str]:
    """What the wheel itself asks for, less the libraries that train: a plan does without them."""
    heavy = {"torch", "trl", "transformers", "peft", "datasets", "accelerate", "wandb", "pyarrow", "safetensors", "tokenizers",
             "numpy", "matplotlib", "rensa", "scipy", "langdetect", "zstandard", "huggingface-hub"}  # fmt: skip
    with zipfile.ZipFile(wheel) as archive:
        told = next(name for name in archive.namelist() if name.endswith("METADATA"))
        asked = re.findall(r"^Requires-Dist: (.*)$", archive.read(told).decode(), re.M)
    return [need for need in asked if "extra ==" not in need and re.split(r"[<>=!~ ]", need)[0] not in heavy]


def jobs() -> list[tuple[str, list[dict[str, Any]]]]:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "quickstart.yml").read_text())
    return [(name, job["steps"]) for name, job in workflow["jobs"].items()]


def test_each_job_of_the_chained_workflow_waits_for_the_one_before() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "quickstart.yml").read_text())
    names = list(workflow["jobs"])
    assert [workflow["jobs"][n].get("needs") for n in names] == [None, *names[:-1]]


def folder_with_recipes(path: Path) -> Path:
    path.mkdir()
    shutil.copytree(ROOT / "recipes", path / "recipes")
    return path


def shell(command: str, folder: Path) -> None:
    scripts = folder.parent / "scripts"
    scripts.mkdir(exist_ok=True)
    (scripts / "align").write_text(f'#!/bin/sh\nexec {warm.python()} -m align "$@"\n')
    (scripts / "align").chmod(0o755)
    environment = {**os.environ, "OVERRIDES": SMALL, "PATH": f"{scripts}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def digests(folder: Path) -> dict[str, str]:
    store = Store(folder / ".align")
    found = {}
    for step, name in store.last_keys("quickstart").items():
        kind, _, key = name.partition("-")
        found[step] = store.open(kind, key).manifest.digest
    return found


@pytest.mark.slow
def test_the_chained_workflow_ends_with_the_digests_of_a_plain_run(tmp_path: Path) -> None:
    """Carries out the workflow's shell steps in order, each job in a folder of its own; up- and downloads are copies."""
    handed: dict[str, Path] = {}
    last = tmp_path
    for name, steps in jobs():
        last = folder_with_recipes(tmp_path / name)
        for step in steps:
            if "run" in step and not step["run"].startswith("pip install"):
                shell(step["run"], last)
            elif "upload-artifact" in step.get("uses", ""):
                handed[step["with"]["name"]] = last / step["with"]["path"]
            elif "download-artifact" in step.get("uses", ""):
                shutil.copytree(handed[step["with"]["name"]], last / step["with"]["path"])
    plain = folder_with_recipes(tmp_path / "plain")
    shell("align run recipes/quickstart.yaml $OVERRIDES", plain)
    assert digests(last) == digests(plain)
    assert len(digests(plain)) == 15
