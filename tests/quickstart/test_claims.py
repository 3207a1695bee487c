"""What the quickstart claims, and the failures planted in it that its suites have to catch.

The claims are made at three seeds that no setting was chosen on (those were 0, 1, 5, 6 and 8); `QUICKSTART_SEEDS=7` says others,
each a run of the whole recipe. Differences are paired, on the same held-out prompts, with 95 % intervals. The planted variants
are the quickstart with stages added, in the store of a run: pretrain and sft are reused.
"""

from __future__ import annotations

import copy
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from align import quickstart
from align.quickstart.language import answer, understand
from tests.quickstart import runs
from tests.quickstart.runs import RECIPE, Report

pytestmark = pytest.mark.slow

SEEDS = tuple(int(seed) for seed in os.environ.get("QUICKSTART_SEEDS", "10,11,12").split(","))
AT_ONCE = 2  # runs of one thread each: together they do more than one run of two threads

PROBED = {
    "kind": "evaluate",
    "models": ["sft", "twice"],
    "baseline": "sft",
    "suites": {"probes": {"kind": "generation", "data": "probes", "scorers": ["quickstart"], "max_new_tokens": 48}},
}
PLANTED = {
    "data": {
        "few": {"source": "few.jsonl", "as": "messages"},
        "heldout": {"source": "heldout.jsonl", "as": "messages"},
    },
    "stages": {
        "overtrained": {  # many times through very few rows
            "kind": "sft", "model": "sft", "data": "few", "learning_rate": 3e-3, "epochs": 60, "batch_size": 1, "max_length": 256,
        },
        "hacked": {  # paid by the token
            "kind": "ppo", "policy": "sft", "reward": [{"use": "scorer:length", "weight": 0.05}], "prompts": "probes",
            "episodes": 1024, "batch_size": 64, "epochs": 2, "learning_rate": 5e-4, "kl_coef": 0.0, "gae_lambda": 1.0,
            "value_clip_range": None, "value": "policy_head", "max_new_tokens": 48, "samples": 0,
        },
        "evaluate": {
            "kind": "evaluate",
            "models": ["sft", "overtrained", "hacked"],
            "suites": {
                "retention": {"data": "general", "against": "pretrain"},
                "memorisation": {"data": "few", "heldout": "heldout"},
                "health": {
                    "data": "probes", "against": "sft", "proxy": "scorer:length", "gold": "quickstart", "limit": 150,
                    "max_new_tokens": 48,
                },
            },
        },
    },
    "gates": [
        "sft.retention.drop < 2",
        "sft.memorisation.gap < 0.3",
        "sft.memorisation.verbatim_gap < 0.3",
        "sft.health.length_growth < 0.5",
    ],
}  # fmt: skip
CAUGHT = [
    "overtrained.retention.drop < 2",
    "overtrained.memorisation.gap < 0.3",
    "overtrained.memorisation.verbatim_gap < 0.3",
    "hacked.health.length_growth < 0.5",
    "hacked.health.overoptimisation < 0.5",
]


def doubled(folder: Path) -> Path:
    """A recipe of SFT beside an SFT of twice as many steps."""
    recipe = runs.derived("doubled", ("pretrain", "sft"), {"stages": {"evaluate": PROBED}, "gates": []})
    sft = recipe["stages"]["sft"]
    recipe["stages"]["twice"] = copy.deepcopy(sft) | {"epochs": 2 * sft["epochs"]}
    return runs.write(recipe, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("claims")


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[int, tuple[Report, Report]]:
    """Of each seed the closing tables of the quickstart and of `doubled`; run in parts, so that none runs alone at the end."""

    def run(recipe: Path, seed: int, *arguments: str) -> Path:
        runs.run(recipe, folder / f"seed-{seed}", f"seed={seed}", *arguments)
        return folder / f"seed-{seed}"

    def closing(recipe: Path, seed: int) -> Report:
        tuned[seed].result()
        return runs.report(run(recipe, seed), "evaluate", recipe.stem)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tuned = {seed: pool.submit(run, RECIPE, seed, "--until", "sft") for seed in SEEDS}
        whole, twice = ([pool.submit(closing, path, seed) for seed in SEEDS] for path in (RECIPE, doubled(folder)))
        return {seed: (a.result(), b.result()) for seed, a, b in zip(SEEDS, whole, twice, strict=True)}


@pytest.fixture(params=SEEDS)
def reports(request: pytest.FixtureRequest, told: dict[int, tuple[Report, Report]]) -> tuple[Report, Report]:
    return told[request.param]


def values(closing: Report, suite: str, metric: str, part: str = "all") -> dict[str, dict[str, Any]]:
    wanted = (suite, metric, part)
    return next(r["values"] for r in closing["rows"] if (r["suite"], r["metric"], r["slice"]) == wanted)


def test_sft_teaches_the_form_and_the_base_has_none_of_it(reports: tuple[Report, Report]) -> None:
    form = values(reports[0], "probes", "format")
    assert form["pretrain"]["value"] <= 0.1 and form["sft"]["value"] >= 0.9


def test_twice_the_steps_of_sft_gain_next_to_nothing(told: dict[int, tuple[Report, Report]]) -> None:
    """On the mean of the seeds; one seed alone, whose probes cannot tell .02 from 0, must not be sure of more."""
    gains = [values(doubled, "probes", "gold")["twice"]["difference"] for _, doubled in told.values()]
    sure = "value" if len(gains) > 1 else "low"
    assert sum(gain[sure] for gain in gains) / len(gains) < 0.02


def test_dpo_beats_sft_in_preference_accuracy_and_in_gold_score(reports: tuple[Report, Report]) -> None:
    for suite, metric in (("preference", "accuracy"), ("probes", "gold")):
        assert values(reports[0], suite, metric)["dpo"]["difference"]["low"] > 0, metric


def test_ppo_beats_sft_in_gold_score(reports: tuple[Report, Report]) -> None:
    assert values(reports[0], "probes", "gold")["ppo"]["difference"]["low"] > 0


def test_what_is_learnt_reaches_less_far_outside_the_domain(reports: tuple[Report, Report]) -> None:
    near_by, far = (values(reports[0], "probes", "gold", part) for part in ("in_domain", "far"))
    for model in ("sft", "dpo", "ppo"):
        assert near_by[model]["low"] > far[model]["high"], model
    assert values(reports[0], "transfer", "drop_far")["sft"]["low"] > 0


def test_an_over_trained_model_and_a_reward_paid_by_the_token_are_caught_and_plain_sft_passes(
    folder: Path, told: dict[int, tuple[Report, Report]]
) -> None:
    shown = list(quickstart.rows("chat"))
    runs.write_rows(folder / "few.jsonl", shown[:24])
    known = {json.dumps(row["messages"][:-1]) for row in shown}
    fresh = (row for row in quickstart.rows("chat", 1) if json.dumps(row["messages"][:-1]) not in known)
    runs.write_rows(folder / "heldout.jsonl", [row for row, _ in zip(fresh, range(72), strict=False)])
    planted = runs.derived("planted", ("pretrain", "sft"), PLANTED)
    planted["gates"] = [*planted["gates"], *CAUGHT, "hacked.health.proxy_gain > 0"]
    path, seed = runs.write(planted, folder), min(told)
    plan = json.loads(runs.align(path, folder / f"seed-{seed}", f"seed={seed}", "--json", verb="plan").stdout)
    reused = {step["name"] for step in plan["steps"] if step["action"] == "reuse"}
    assert {"pretrain", "sft"} <= reused
    ran = runs.align(path, folder / f"seed-{seed}", f"seed={seed}")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    judged = json.loads(runs.align(path, folder / f"seed-{seed}", f"seed={seed}", "--json", verb="gate").stdout)
    verdicts = {gate["gate"]: gate["verdict"] for gate in judged["gates"]}
    assert [gate for gate, verdict in verdicts.items() if verdict == "fail"] == CAUGHT, judged
    assert all(verdict == "pass" for gate, verdict in verdicts.items() if gate not in CAUGHT), judged


@pytest.mark.parametrize(("planted", "code", "verdict"), [(0, 0, "pass"), (12, 3, "fail")])
def test_probes_among_the_instruction_data_fail_the_leakage_gate(
    planted: int, code: int, verdict: str, tmp_path: Path
) -> None:
    """Of plain questions: a system prompt or a second turn asks something else in words that were trained, by design."""
    held_out = (row for row in quickstart.rows("probes") if row["slice"] != "train")
    probes = [row for row in held_out if row["axis"] == "plain"]
    leaked = [
        {"messages": [*row["prompt"], {"role": "assistant", "content": answer(understand(row["prompt"]))}]}
        for row in probes[:: len(probes) // planted or 1][:planted]
    ] if planted else []  # fmt: skip
    chats = [{"messages": row["messages"]} for row in quickstart.rows("chat") if row["axis"] == "plain"]
    runs.write_rows(tmp_path / "chat.jsonl", [*chats, *leaked])
    runs.write_rows(tmp_path / "heldout.jsonl", [{"prompt": row["prompt"]} for row in probes])
    changes = {
        "data": {
            "probes": {"source": "heldout.jsonl", "as": "prompt"},
            "chat": {"source": "chat.jsonl", "as": "messages", "against": ["probes"]},
        },
        "gates": ["chat.leakage.rows == 0"],
    }
    path = runs.write(runs.derived("contaminated", ("pretrain", "sft"), changes), tmp_path)
    done = runs.align(path, tmp_path / "store", "--only", "chat", "--only", "probes", "--json")
    (gate,) = json.loads(done.stdout)["gates"]
    assert (gate["verdict"], done.returncode) == (verdict, code), done.stdout + done.stderr
    assert (gate["value"] >= planted) if planted else (gate["value"] == 0)
