"""A data set with evaluation questions in it, through the command line: the gate fails, and passes without them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from align import quickstart
from tests.test_pipeline import align

RECIPE = """\
name: leak
data:
  probes: {source: quickstart:probes, as: prompt, limit: 20}
  chat:   {source: chat.jsonl, as: messages, against: [probes]}
gates:
  - data.leakage.rows == 0
"""


def conversations(planted: int) -> list[dict]:
    """Thirty harmless ones, and some whose question is a probe's, word for word."""
    questions = [
        f"how many {thing} are {n} {thing}?" for n in range(10) for thing in ("violins", "lanterns", "harbours")
    ]
    probes = [row["prompt"][-1]["content"] for row, _ in zip(quickstart.rows("probes"), range(planted), strict=False)]
    answer = {"role": "assistant", "content": "some number of them"}
    return [{"messages": [{"role": "user", "content": q}, answer]} for q in [*questions, *probes]]


@pytest.mark.slow
@pytest.mark.parametrize(("planted", "code", "verdict"), [(0, 0, "pass"), (3, 3, "fail")])
def test_evaluation_questions_among_training_rows_fail_the_leakage_gate(
    planted: int, code: int, verdict: str, tmp_path: Path
) -> None:
    (tmp_path / "leak.yaml").write_text(RECIPE)
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in conversations(planted)))
    done = align(tmp_path, "run", "leak.yaml", "--json")
    (gate,) = json.loads(done.stdout)["gates"]
    assert (gate["verdict"], gate["value"], done.returncode) == (verdict, planted, code), done.stderr
