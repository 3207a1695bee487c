"""The settings of ppo: what a reward may be, what has to divide, and what enters the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from align.specs import PpoSpec
from tests.rewarding import settings


def test_stages_in_a_reward_are_inputs_and_programs_are_not(tmp_path: Path) -> None:
    (tmp_path / "r.py").write_text("def score(prompt, completion): return 1")
    file = f"file:{tmp_path}/r.py:score"
    spec = settings(reward=[{"use": "rm"}, {"use": "scorer:stops", "weight": 0.5}, {"use": file}, {"use": "rm2"}])
    inputs = {name: value for name, (value, _) in spec.references().items()}
    assert inputs == {"policy": "sft", "prompts": "p", "reward.0.use": "rm", "reward.3.use": "rm2"}
    assert settings(reward="rm").reward == settings(reward=[{"use": "rm", "weight": 1.0}]).reward


def test_a_users_file_counts_by_what_it_says_not_by_where_it_lies(tmp_path: Path) -> None:
    for name, code in (("a", "score = 1"), ("b", "score = 1"), ("c", "score = 2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "r.py").write_text(code)
    files = [f"file:{tmp_path}/{name}/r.py:score" for name in "abc"]
    one, same, other = (settings(reward=file, gold=file) for file in files)
    assert one.identity() == same.identity() != other.identity()
    assert str(tmp_path) not in str(one.identity())


def test_runtime_settings_stay_out_of_the_key() -> None:
    runtime = {"micro_batch_size": 3, "rollout_batch_size": 5, "log_every": 2, "save_every": 9, "reward_timeout": 5.0}
    assert settings(**runtime, engine="portable", compile=True).identity() == settings().identity()
    assert settings(kl_coef=0.1).identity() != settings().identity()


def test_settings_survive_the_way_to_the_process_that_uses_them() -> None:
    spec = settings(reward=[{"use": "rm"}, {"use": "scorer:stops", "weight": 0.5}], lora={"r": 4})
    assert PpoSpec.model_validate(spec.model_dump(by_alias=True, mode="json")) == spec


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"episodes": 100, "batch_size": 64},
            "episodes 100 is not a multiple of batch_size 64; the nearest that is: 128",
        ),
        ({"episodes": 64, "batch_size": 64, "minibatches": 3}, "batch_size 64 is not a multiple of minibatches 3"),
        ({"missing_eos_penalty": 1.0, "missing_eos_score": -1.0}, "missing_eos_penalty .* or missing_eos_score"),
        ({"lora": {"dropout": 0.1}}, "lora.dropout must be 0"),
        ({"reward": "scorer:nothing"}, "scorer:nothing is no scorer"),
        ({"reward": "file:nowhere.py:score"}, "/nowhere.py"),
        ({"reward": "file:rewards.py"}, "names no function"),
        ({"reward": "file:rewards.py:scor"}, r"rewards.py has no function scor. Did you mean score\?"),
        ({"reward": "file:broken.py:score"}, "broken.py, line 2: "),
        ({"reward": []}, "at least 1 item"),
        ({"gold": "rm"}, "gold is scorer:NAME or file"),
        ({"value": "reward", "reward": "scorer:stops"}, "value: reward needs a reward model"),
        ({"temperature": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    changed: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rewards.py").write_text("def score(prompt, completion):\n    return 1.0\n")
    (tmp_path / "broken.py").write_text("def score(prompt, completion):\nreturn 1.0\n")
    with pytest.raises(ValidationError, match=said):
        settings(**changed)
