"""A user's reward function in its own process: what it may return, and every way it can fail."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from align.errors import TrainingError
from align.rollout.engine import Completion
from align.scoring.episode import Episode
from align.scoring.named import Answer
from align.scoring.user_file import Role, UserFile, scores_of


def episodes(*texts: str, reference: str | None = None) -> list[Episode]:
    prompt = [{"role": "user", "content": "Say it."}]
    return [Episode(Answer(prompt, text, 3, True), [1], Completion([2], True), reference) for text in texts]


def scorer(folder: Path, code: str, timeout: float = 20.0) -> UserFile:
    (folder / "rewards.py").write_text(code)
    return UserFile(folder / "rewards.py", "score", timeout)


def test_scores_come_back_in_order_from_one_process(tmp_path: Path) -> None:
    code = "import os\ndef score(prompt, completion):\n    print('noise')\n    return len(completion) + os.getpid() * 1000\n"
    user = scorer(tmp_path, code)
    first, second = user(episodes("a", "bb")), user(episodes("", "dddd"))
    user.close()
    assert [value % 1000 for value in (*first, *second)] == [1, 2, 0, 4]
    assert len({value // 1000 for value in (*first, *second)}) == 1


def test_a_function_of_three_arguments_sees_the_reference(tmp_path: Path) -> None:
    code = "def score(prompt, completion, reference):\n    return completion == reference and prompt[0]['role'] == 'user' and 1\n"
    user = scorer(tmp_path, code.replace("and 1", "and 1 or 0"))
    assert user(episodes("42", "41", reference="42")) == [1.0, 0.0]
    user.close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "completion 1 ('x'): it returned None"),
        ("return [1.0, 2.0]", "of type list"),
        ("return 'high'", "of type str"),
        ("return True", "of type bool"),
        ("raise ValueError('no idea')", "no idea"),
        ("import os; os._exit(3)", "its process died while scoring 2 completions"),
    ],
)
def test_what_is_no_number_is_told_with_its_completion(body: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        scorer(tmp_path, f"def score(prompt, completion):\n    {body}\n")(episodes("x", "y"))
    assert said in str(caught.value) and "reward rewards.py:score" in str(caught.value)


def test_a_function_that_hangs_is_killed_after_its_time(tmp_path: Path) -> None:
    user = scorer(tmp_path, "import time\ndef score(prompt, completion):\n    time.sleep(60)\n", timeout=1.5)
    started = time.monotonic()
    with pytest.raises(TrainingError, match=r"took longer than 1\.5 s.*reward_timeout"):
        user(episodes("x"))
    assert time.monotonic() - started < 10
    assert user._process is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_like_it\n", "nothing_like_it"),
        ("def other(prompt, completion): return 1\n", "score"),
        ("def score(completion): return 1\n", "takes 1 arguments"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_before_anything_is_scored(code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=said):
        scorer(tmp_path, code)(episodes("x"))


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (
            "cat",
            r"suite: scorer rewards\.py:score.*completion 70 \('cat'\): .*ZeroDivisionError.*Correct the file; go on\.",
        ),
        (
            "fox",
            r"suite: scorer rewards\.py:score.*the score of completion 70 \('fox'\) is nan.*Correct the file; go on\.",
        ),
        ("dog", r"took longer than 2 s.*raise scorer_timeout"),
    ],
)
def test_a_completion_that_cannot_be_scored_is_counted_over_all_batches(last: str, said: str, tmp_path: Path) -> None:
    """The 70th stands in the second batch of 64."""
    (tmp_path / "rewards.py").write_text(
        "import time\ndef score(prompt, completion):\n    time.sleep(60 if completion == 'dog' else 0)\n"
        "    return float('nan') if completion == 'fox' else 1 / (completion != 'cat')\n"
    )
    role, done = Role("suite: scorer", "scorer_timeout", "go on."), []
    with pytest.raises(TrainingError, match=f"(?s){said}"):
        scores_of(
            f"file:{tmp_path}/rewards.py:score",
            episodes(*["mat"] * 69, last),
            2.0,
            role,
            lambda *told: done.append(told),
        )
    assert done[0] == (64, 70)
