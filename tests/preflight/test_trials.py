"""The trials of reward and ppo: on the longest rows, told with time and memory, and they stop what could not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from align.data.render import render_preference
from align.data.store_rows import read_rows
from align.models.tokenizer import load_tokenizer
from align.preflight import trial
from tests.data.test_token_rows import made_elsewhere
from tests.preflight.conftest import break_weights, context_of, said, write
from tests.tiny import chats, pairs, write_base, write_rows

RECIPE = """\
name: tiny
base: {base}
data:
  chat: {{source: chat.jsonl, as: messages}}
  pairs: {{source: pairs.jsonl, as: preference}}
stages:
  reward: {{kind: reward, model: base, data: pairs, demonstrations: chat, learning_rate: 1e-3, max_length: 64, batch_size: 8}}
  ppo: {{kind: ppo, policy: base, reward: reward, prompts: chat, episodes: 640, batch_size: 16, minibatches: 2,
         learning_rate: 1e-5, max_new_tokens: 24}}
"""
PROGRAM = RECIPE.replace("reward: reward, prompts", "reward: file:rewards.py:score, prompts")
PPO_ALONE = "".join(line for line in PROGRAM.splitlines(keepends=True) if not line.lstrip().startswith("reward:"))
SCORE = """
def score(prompt, completion):
    with open({path!r}, "a") as told:
        told.write(prompt[-1]["content"] + "\\n")
    return float(len(completion))
"""


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("chat.jsonl"), chats(80))
    write(Path("pairs.jsonl"), pairs(80, 1))


def tried(
    text: str, step: str, tmp_path: Path, tell: Callable[[dict[str, Any]], None] = lambda event: None
) -> trial.Trial:
    """One step's trial by itself, on rows as check reads them."""
    return trial.run(context_of(text, tmp_path, tell), step)


def test_reward_and_ppo_are_tried_and_told_with_time_and_memory(check: Any, base: Path) -> None:
    findings, told = check(RECIPE.format(base=base))
    assert not [f for f in findings if f.state == "problem" and f.subject.startswith("stages.")]
    reward = said(findings, "3 steps on the longest rows, a checkpoint written and read back")
    ppo = said(findings, "two updates on the longest prompts tried in")
    assert (reward.subject, ppo.subject) == ("stages.reward", "stages.ppo")
    assert "s a step" in reward.found and "s an episode" in ppo.found
    assert all("GiB of memory" in each.found for each in (reward, ppo))
    assert said(findings, "every prompt leaves room for 24 new tokens").subject == "stages.ppo"
    cost = told["cost"]["steps"]
    assert all(cost[step]["memory"] > 1e8 and cost[step]["bytes"] > 1e5 for step in ("reward", "ppo"))
    assert cost["reward"]["trained"] > cost["ppo"]["trained"] * 0.5 > 0
    each = cost["ppo"]["seconds"] / 640
    assert 0 < each < 1 and told["cost"]["seconds"] >= cost["ppo"]["seconds"]


def test_the_reward_trial_is_the_longest_batches_first(base: Path, tmp_path: Path) -> None:
    """Tokens of 3 batches of the longest pairs; 64 shorter ones are in the sample too."""
    data = write_rows(tmp_path / "rows", "preference", pairs(80, 1))
    found = list(render_preference(read_rows(data.files, "preference"), load_tokenizer(base)))
    sizes = [2 * len(pair.prompt_ids) + len(pair.chosen_ids) + len(pair.rejected_ids) for pair in found]
    characters = [
        sum(len(turn["content"]) for side in ("prompt", "chosen", "rejected") for turn in row[side])
        for row in pairs(80, 1)
    ]
    longest = sorted(range(80), key=lambda i: -characters[i])[: 3 * 8]
    done = tried(RECIPE.format(base=base), "reward", tmp_path)
    assert done.metrics["tokens"] == sum(sizes[i] for i in longest)
    assert done.checkpoint_bytes > 2 * done.model_bytes > 0 and done.step_seconds > 0


def test_of_two_stages_that_save_the_same_one_writes_a_checkpoint_and_both_count_its_bytes(
    check: Any, base: Path
) -> None:
    twice = RECIPE.format(base=base).replace("  ppo:", "  again: {kind: reward, model: base, data: pairs, "
                                             "learning_rate: 1e-3, max_length: 64, batch_size: 8}\n  ppo:")  # fmt: skip
    findings, told = check(twice)
    tried = {f.subject: f.found for f in findings if f.found.startswith("3 steps on the longest rows")}
    assert "a checkpoint written" in tried["stages.reward"] and "checkpoint" not in tried["stages.again"]
    cost = told["cost"]["steps"]
    assert cost["again"]["peak_bytes"] == pytest.approx(cost["reward"]["peak_bytes"], rel=0.01)
    assert cost["again"]["peak_bytes"] > 3 * cost["again"]["bytes"] > 0


def test_a_trial_tells_each_of_its_steps(base: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    tried(
        RECIPE.format(base=base),
        "reward",
        tmp_path,
        lambda event: told.append((event.get("done", 0), event.get("total", 0))),
    )
    assert [pair for pair in told if pair[1] == trial.STEPS] == [(1, 3), (2, 3), (3, 3)]


def test_the_ppo_trial_asks_the_longest_prompts(base: Path, tmp_path: Path) -> None:
    Path("rewards.py").write_text(SCORE.format(path=str(tmp_path / "asked.txt")))
    done = tried(PROGRAM.format(base=base), "ppo", tmp_path)
    asked = (tmp_path / "asked.txt").read_text().splitlines()
    longest = sorted(chats(80), key=lambda row: -sum(len(turn["content"]) for turn in row["messages"]))[:16]
    assert sorted(asked) == sorted(row["messages"][0]["content"] for row in longest for _ in range(2))
    assert done.metrics["episodes"] == 32 and done.metrics["updates"] == 2


def test_prompts_without_room_are_a_problem_though_the_trial_samples_less(check: Any, base: Path) -> None:
    Path("rewards.py").write_text("def score(prompt, completion):\n    return 1.0\n")
    text = PPO_ALONE.format(base=base).replace("max_new_tokens: 24", "max_new_tokens: 110")
    for static in (False, True):
        finding = said(check(text, static=static)[0], "no room for 110 new tokens behind")
        assert finding.state == "problem" and finding.subject == "stages.ppo"
        assert "the model reads 128" in finding.found and "Lower max_new_tokens" in finding.remedy


def test_a_reward_that_breaks_is_a_problem_of_ppo(check: Any, base: Path) -> None:
    Path("rewards.py").write_text("def score(prompt, completion):\n    return 1 / 0\n")
    findings, told = check(PPO_ALONE.format(base=base))
    finding = said(findings, "ZeroDivisionError")
    assert finding.state == told["state"] == "problem" and finding.subject == "stages.ppo"


def test_a_reward_model_that_goes_astray_stops_and_ppo_is_not_tried(check: Any, base: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("demonstrations: chat, learning_rate: 1e-3", "learning_rate: 1e-3")
    write_base(tmp_path / "broken")
    break_weights(tmp_path / "broken")
    findings, _ = check(text.format(base=tmp_path / "broken"))
    assert said(findings, "a finite number").subject == "stages.reward"
    assert said(findings, "not tried: it rests on reward").subject == "stages.ppo"


def test_pairs_that_the_reward_model_leaves_out_are_told_as_left_out(check: Any, base: Path) -> None:
    long = {"prompt": "red dog", "chosen": "warm " * 60, "rejected": "cold"}
    write(Path("pairs.jsonl"), [*pairs(80, 1), long])
    finding = said(check(RECIPE.format(base=base), static=True)[0], "max_length 64 cuts 0 and drops 1 of 81 rows")
    assert finding.state == "problem" and finding.subject == "stages.reward" and "0 stop tokens" in finding.found


def test_check_looks_at_stages_that_train_on_ids(check: Any, base: Path) -> None:
    write(Path("ids.jsonl"), made_elsewhere(base))
    recipe = f"""
name: ids
base: {base}
data:
  ids: {{source: ids.jsonl, as: tokens, holdout: 0.2}}
stages:
  sft: {{kind: sft, model: base, data: ids, eval_data: ids.holdout, learning_rate: 1e-3, max_length: 64, batch_size: 4}}
  more: {{kind: pretrain, model: sft, data: ids, learning_rate: 1e-3, max_length: 64, batch_size: 4}}
"""
    findings, told = check(recipe)
    assert told["state"] != "problem", [f for f in findings if f.state == "problem"]
    assert said(findings, "whether language and base fit each other is not judged").subject == "data.ids"
    assert said(findings, "is trained at the end of").subject == "stages.sft"
    write(Path("ids.jsonl"), [*made_elsewhere(base), {"input_ids": [5, 99_999], "labels": [5, 99_999]}] * 2)
    assert check(recipe, static=True)[1]["state"] == "problem"
