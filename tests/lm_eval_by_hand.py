"""Runs a recipe with lm-eval's own code, which is too heavy for a test dependency (300 MB), and checks what it tells:

    pip install --target FOLDER --no-deps lm-eval evaluate pytablewriter rouge-score sacrebleu scikit-learn sqlitedict \\
        word2number more_itertools scipy joblib threadpoolctl absl-py nltk defusedxml tabledata dataproperty mbstrdecoder \\
        pathvalidate tcolorpy typepy chardet portalocker colorama lxml tabulate
    python -m tests.lm_eval_by_hand FOLDER
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from align.artifact.store import Store
from align.models.load import load_model
from align.models.tokenizer import load_tokenizer
from tests.tiny import write_base

DOCUMENTS = [
    {"question": "the quick brown", "choices": ["fox", "dog jumps"], "label": 0},
    {"question": "a cat sat on the", "choices": ["mat", "quick fox"], "label": 0},
    {"question": "what is a", "choices": ["lazy dog", "fox"], "label": 0},
    {"question": "the lazy", "choices": ["cat", "dog"], "label": 0},
    {"question": "jumps over the", "choices": ["mat on", "dog"], "label": 1},
]
TASK = """\
task: own
dataset_path: json
dataset_kwargs: {data_files: {test: own.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{label}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
RECIPE = """\
name: tiny
base: BASE
stages:
  evaluate: {kind: evaluate, models: [base], max_length: 64, suites: {public: {kind: benchmark, tasks: [own.yaml]}}}
gates:
  - base.public.own.acc >= 0
"""

HEARD = """\
import json
from tests.subjects import make_subject
from align.evals.contract import Ask
from align.evals.suites import MEASURE
from align.specs.suites import BenchmarkSuite
from dataclasses import replace
heard = []
hear = lambda done, total, fresh=True: heard.append((done, total))
ask = Ask(BenchmarkSuite(tasks=["own.yaml"]), replace(make_subject(), batch_size=2), [], "", lambda: hear, None)
MEASURE["benchmark"](ask)
print(json.dumps(heard))
"""


def main() -> None:
    site = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = write_base(folder / "base")
        (folder / "own.jsonl").write_text("".join(json.dumps(d) + "\n" for d in DOCUMENTS))
        (folder / "own.yaml").write_text(TASK)
        (folder / "tiny.yaml").write_text(RECIPE.replace("BASE", str(base.path)))
        done = align(folder, site, "run", "tiny.yaml")
        print(done.stdout + done.stderr)
        assert done.returncode == 0
        heard = progress(folder, site)
        print("progress", heard)
        assert heard[0] == [1, 10] and heard[-1] == [1, 1] and heard == sorted(heard[:-1]) + heard[-1:]
        told = reported(folder)
        expected = right(base)
        print("accuracy", told["metrics"]["own/acc"]["all"], "by hand", expected)
        assert told["rows"]["values"]["own/acc"] == expected
        for wrong in ("nosuchtask", "arc_easy"):
            failed = align(folder, site, "run", "tiny.yaml", f"stages.evaluate.suites.public.tasks=[{wrong}]")
            print(failed.stdout[-400:] + failed.stderr[-1200:])
            assert failed.returncode == 2 and "Traceback" not in failed.stderr


def align(folder: Path, site: Path, *arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    path = f"{Path(__file__).parents[1]}:{os.environ.get('PYTHONPATH', '')}:{site}"
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    command = [script] if script else ["-m", "align", *arguments]
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env={**os.environ, **offline, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def progress(folder: Path, site: Path) -> list[list[int]]:
    """What is told while lm-eval asks, two requests at a time."""
    (folder / "heard.py").write_text(HEARD)
    done = align(folder, site, script="heard.py")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def reported(folder: Path) -> dict[str, Any]:
    store = Store(folder / ".align")
    kind, _, key = store.last_keys("tiny")["evaluate.base"].partition("-")
    return json.loads((store.open(kind, key).path / "report.json").read_text())["suites"]["public"]


def right(base: Any) -> list[float]:
    """1 where the right choice is the likeliest, by plain transformers."""
    model, tokenizer = load_model(base, torch.float32, torch.device("cpu")), load_tokenizer(base)
    found = []
    for document in DOCUMENTS:
        asked = tokenizer(document["question"])["input_ids"]
        sums = []
        for choice in document["choices"]:
            ids = tokenizer(f"{document['question']} {choice}")["input_ids"]
            with torch.no_grad():
                logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            sums.append(sum(float(logprobs[i - 1, ids[i]]) for i in range(len(asked), len(ids))))
        found.append(float(sums.index(max(sums)) == document["label"]))
    return found


if __name__ == "__main__":
    main()
