"""Whole runs through the command line, on a world so small that a step takes about a second.

The run that all others are held against, one that is killed, and those that are stopped by a signal to all of their processes
are started as a person starts them; the others by a Python whose imports are done (tests/warm.py).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from align.artifact.store import Store
from align.specs.told import meant
from tests import warm

RECIPE = """\
name: tiny
data:
  corpus: {source: quickstart:corpus, as: text, limit: 60}
  chat:   {source: quickstart:chat, as: messages, limit: 40}
  pairs:  {source: quickstart:pairs, as: preference, limit: 40, holdout: 0.3}
  probes: {source: quickstart:probes, as: prompt, limit: 12}
stages:
  pretrain:
    kind: pretrain
    data: corpus
    tokenizer_data: [chat, pairs]
    architecture: {layers: 1, width: 16, heads: 2, vocab_size: 400, context: 320, chat_template: quickstart}
    learning_rate: 3e-3
    max_steps: 8
    batch_size: 4
    max_length: 64
    save_every: 2
    log_every: 1
  sft:
    {kind: sft, model: pretrain, data: chat, learning_rate: 1e-3, max_steps: 8, batch_size: 4, max_length: 128,
     save_every: 2, log_every: 1, drop_budget: 1.0}
  dpo:
    {kind: dpo, policy: sft, data: pairs, learning_rate: 1e-3, max_steps: 8, batch_size: 4, max_length: 256,
     save_every: 2, log_every: 1, drop_budget: 1.0}
  evaluate:
    kind: evaluate
    models: [sft, dpo]
    suites:
      preference: {data: pairs.holdout, against: sft}
      probes: {kind: generation, data: probes, scorers: [quickstart, stops], max_new_tokens: 8}
"""
SEEN = """\
import os
def score(prompt, completion):
    open({path!r}, "w").write(os.environ["CUDA_VISIBLE_DEVICES"])
    return float(len(completion) % 7)
"""
STEPS = ["corpus", "chat", "pairs", "probes", "pretrain", "sft", "dpo", "evaluate.sft", "evaluate.dpo", "evaluate"]


def align(
    folder: Path, *arguments: str, python: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python or warm.python(), "-m", "align", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return align(folder, "run", "tiny.yaml", *arguments, **environment)


def digests(folder: Path) -> dict[str, str]:
    store = Store(folder / ".align")
    last = store.last_keys("tiny")
    found = {}
    for step, name in last.items():
        kind, _, key = name.partition("-")
        found[step] = store.open(kind, key).manifest.digest
    return found


def home(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "tiny.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = home(tmp_path_factory.mktemp("pipeline"), "undisturbed")
    done = align(folder, "run", "tiny.yaml", python=sys.executable)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def test_a_recipe_runs_from_end_to_end_and_seals_every_step(undisturbed: Path) -> None:
    assert list(digests(undisturbed)) == sorted(STEPS)


def test_no_metric_that_a_step_tells_is_taken_for_a_misspelt_one(undisturbed: Path) -> None:
    store = Store(undisturbed / ".align")
    for name in store.last_keys("tiny").values():
        kind, _, key = name.partition("-")
        told = store.open(kind, key).manifest.metrics
        assert [metric for metric in told if meant(kind, metric.replace("/", "."))] == [], kind


def test_the_second_run_runs_nothing(undisturbed: Path) -> None:
    before = digests(undisturbed)
    began = time.monotonic()
    again = align(undisturbed, "run", "tiny.yaml", "--json", python=sys.executable)
    seconds = time.monotonic() - began
    assert again.returncode == 0, again.stderr
    assert {s["action"] for s in json.loads(again.stdout)["steps"]} == {"reuse"}
    assert digests(undisturbed) == before
    assert seconds < 4  # about half a second on an idle machine


def test_an_override_runs_only_what_it_affects(undisturbed: Path) -> None:
    planned = json.loads(align(undisturbed, "plan", "tiny.yaml", "stages.dpo.beta=0.3", "--json").stdout)
    assert {s["name"]: s["reason"] for s in planned["steps"] if s["action"] == "run"} == {
        "dpo": "beta 0.1 -> 0.3",
        "evaluate.dpo": "input dpo changed",
        "evaluate": "input evaluate.dpo changed",
    }


@pytest.mark.parametrize(
    ("gates", "code", "verdicts"),
    [
        ("[dpo.probes.stops < 0.9, data.rows.dropped == 0, dpo.preference.accuracy - sft.preference.accuracy > -1]", 0,
         ["pass", "pass", "pass"]),
        ("[sft.loss < 0.001, dpo.probes.stops < 0.9]", 3, ["fail", "pass"]),
        ("[dpo.preference.accuracy - sft.preference.accuracy > 0]", 3, ["inconclusive"]),
        ("[dpo.preference.accuracy - sft.preference.accuracy > 0 or inconclusive]", 0, ["inconclusive"]),
    ],
)  # fmt: skip
def test_gates_are_judged_also_when_everything_is_reused(
    undisturbed: Path, gates: str, code: int, verdicts: list[str]
) -> None:
    done = run(undisturbed, f"gates={gates}", "--json")
    told = json.loads(done.stdout)
    assert told["ran"] == []
    assert ([g["verdict"] for g in told["gates"]], done.returncode) == (verdicts, code)


def test_the_table_of_the_evaluation_has_every_model_suite_and_interval(undisturbed: Path) -> None:
    store = Store(undisturbed / ".align")
    kind, _, key = store.last_keys("tiny")["evaluate"].partition("-")
    report = json.loads((store.open(kind, key).path / "report.json").read_text())
    assert report["models"] == ["sft", "dpo"] and report["baseline"] == "sft"
    rows = {(r["suite"], r["metric"]): r["values"] for r in report["rows"] if r["slice"] == "all"}
    assert {"accuracy", "reward_accuracy"} <= {m for s, m in rows if s == "preference"}
    assert {"gold", "format", "stops"} <= {m for s, m in rows if s == "probes"}
    for values in rows.values():
        for found in values.values():
            assert found["low"] <= found["value"] <= found["high"] and found["n"] > 0


def kill_during(folder: Path, step: str, python: str) -> None:
    """Starts a run and kills it, runner and step together, once `step` has a checkpoint."""
    process = subprocess.Popen(
        [python, "-m", "align", "run", "tiny.yaml"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list((folder / ".align").glob(f"{step}-*.partial/checkpoints/checkpoint-*")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["pretrain", "sft", "dpo"])
def test_a_killed_run_goes_on_and_ends_with_the_same_digests(undisturbed: Path, tmp_path: Path, step: str) -> None:
    folder = home(tmp_path, "killed")
    kill_during(folder, step, sys.executable if step == "sft" else warm.python())
    planned = json.loads(align(folder, "plan", "tiny.yaml", "--json").stdout)
    reason = next(s["reason"] for s in planned["steps"] if s["name"] == step)
    assert reason == "was interrupted; goes on from its last checkpoint"
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert digests(folder) == digests(undisturbed)


@pytest.mark.slow
def test_two_undisturbed_runs_have_equal_digests(undisturbed: Path, tmp_path: Path) -> None:
    folder = home(tmp_path, "again")
    assert run(folder).returncode == 0
    assert digests(folder) == digests(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after-partial", "before-manifest", "before-rename", "after-rename"])
def test_a_step_killed_at_a_named_point_is_finished_by_the_next_run(
    undisturbed: Path, tmp_path: Path, point: str
) -> None:
    folder = home(tmp_path, "crashed")
    crashed = run(folder, "--only", "chat", ALIGN_CRASH_AT=point)
    assert crashed.returncode == 2 and "SIGKILL" in crashed.stderr and "Traceback" not in crashed.stderr
    assert run(folder, "--only", "chat").returncode == 0
    assert digests(folder)["chat"] == digests(undisturbed)["chat"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_saves_ends_with_its_code_and_goes_on(
    undisturbed: Path, tmp_path: Path, number: int, code: int
) -> None:
    folder = home(tmp_path, "stopped")
    process = subprocess.Popen(
        [sys.executable, "-m", "align", "run", "tiny.yaml", "stages.sft.max_steps=4000", "--until", "sft"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list((folder / ".align").glob("sft-*.partial/checkpoints/checkpoint-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, number)  # as a terminal does: to the runner, the server and the step
    time.sleep(0.05)
    os.killpg(process.pid, number)  # a second one, during the save, does no harm
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    deadline = time.monotonic() + 5
    while left := subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=False).stdout:
        assert time.monotonic() < deadline, f"children outlived the run: {left}"
        time.sleep(0.05)
    planned = json.loads(align(folder, "plan", "tiny.yaml", "stages.sft.max_steps=4000", "--json").stdout)
    assert "goes on from its last checkpoint" in next(s["reason"] for s in planned["steps"] if s["name"] == "sft")


def test_a_second_runner_on_the_same_step_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    folder = home(tmp_path, "busy")
    first = subprocess.Popen(
        [warm.python(), "-m", "align", "run", "tiny.yaml", "stages.pretrain.max_steps=100000", "--until", "pretrain"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not list((folder / ".align").glob("pretrain-*.partial/log.txt")):
            assert first.poll() is None
            time.sleep(0.01)
        second = run(folder, "stages.pretrain.max_steps=100000", "--until", "pretrain")
        assert second.returncode == 2
        assert "another run is working on this step (process" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def test_an_input_edited_after_sealing_is_found_by_its_hash(undisturbed: Path, tmp_path: Path) -> None:
    folder = home(tmp_path, "edited")
    subprocess.run(["cp", "-r", str(undisturbed / ".align"), str(folder / ".align")], check=True)
    weights = next((folder / ".align").glob("sft-*/model/model.safetensors"))
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    done = run(folder, "stages.dpo.beta=0.4", "--only", "dpo")
    assert done.returncode == 2
    assert "does not match the hash" in done.stderr and "model.safetensors" in done.stderr


def test_a_step_whose_input_was_never_built_says_what_to_run_first(tmp_path: Path) -> None:
    done = run(home(tmp_path, "early"), "--only", "sft")
    assert done.returncode == 2
    assert "run pretrain first" in done.stderr.lower() or "run chat first" in done.stderr.lower()


def test_a_step_on_one_device_sees_one_gpu_of_several(undisturbed: Path, tmp_path: Path) -> None:
    """Told by a reward of one's own, whose process gets the step's environment."""
    folder = home(tmp_path, "gpus")
    subprocess.run(["cp", "-r", str(undisturbed / ".align"), str(folder / ".align")], check=True)
    ppo = """\
  ppo: {kind: ppo, policy: sft, prompts: probes, reward: "file:seen.py:score", learning_rate: 1e-4, episodes: 4, batch_size: 4,
        minibatches: 1, max_new_tokens: 4}
"""
    (folder / "tiny.yaml").write_text(RECIPE.replace("  evaluate:\n", ppo + "  evaluate:\n"))
    (folder / "seen.py").write_text(SEEN.format(path=str(folder / "seen.txt")))
    done = run(folder, "--only", "ppo", CUDA_VISIBLE_DEVICES="3,5")
    assert done.returncode == 0, done.stderr
    assert (folder / "seen.txt").read_text() == "3"


@pytest.mark.slow
def test_two_devices_train_as_one_and_are_sealed_once(undisturbed: Path, tmp_path: Path) -> None:
    """Devices stay out of the key; the loss on held-out pairs is the same up to the order of sums."""
    folder = home(tmp_path, "two")
    subprocess.run(["cp", "-r", str(undisturbed / ".align"), str(folder / ".align")], check=True)
    less = "stages.sft.max_steps=3"  # within one epoch: at its end an uneven batch is filled up with other rows
    assert run(folder, less, "--only", "sft").returncode == 0
    alone = sealed_metrics(folder, "sft")
    again = run(folder, less, "stages.sft.devices=2", "stages.sft.micro_batch_size=2", "--only", "sft", "--force")
    assert again.returncode == 0, again.stderr
    both = sealed_metrics(folder, "sft")
    assert both["steps"] == alone["steps"] and both["tokens"] == alone["tokens"]
    assert both["loss"] == pytest.approx(alone["loss"], abs=2e-3)
    said = re.search(r"(\d+) rows for 2 devices: each pass over them trains (\d+)", again.stdout + again.stderr)
    assert said, again.stdout
    assert (int(said[1]) + int(said[2])) % 4 == 0 < int(said[2]) < 4


def sealed_metrics(folder: Path, step: str) -> dict[str, float]:
    store = Store(folder / ".align")
    kind, _, key = store.last_keys("tiny")[step].partition("-")
    return store.open(kind, key).manifest.metrics


@pytest.mark.slow
def test_a_killed_rank_ends_the_step_in_bounded_time(undisturbed: Path, tmp_path: Path) -> None:
    folder = home(tmp_path, "rank")
    subprocess.run(["cp", "-r", str(undisturbed / ".align"), str(folder / ".align")], check=True)
    more = ["stages.sft.devices=2", "stages.sft.micro_batch_size=2", "stages.sft.max_steps=5000", "--only", "sft"]
    process = subprocess.Popen(
        [warm.python(), "-m", "align", "run", "tiny.yaml", *more],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((folder / ".align").glob("sft-*.partial/checkpoints/checkpoint-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    ranks = subprocess.run(
        ["pgrep", "-f", f"align.rank .*{folder}"], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(ranks[-1]), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert "a rank was ended" in err and "Traceback" not in err
    assert not list((folder / ".align").glob("sft-*.partial/manifest.json"))
