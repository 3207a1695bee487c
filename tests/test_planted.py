"""Failures planted in a recipe, and the gates that have to catch them while the model beside them passes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from align import quickstart

RECIPE = """\
name: planted
data:
  corpus:  {source: quickstart:corpus, as: text, limit: 1500}
  chat:    {source: quickstart:chat, as: messages, limit: 600}
  few:     {source: few.jsonl, as: messages}
  heldout: {source: heldout.jsonl, as: messages}
  general: {source: quickstart:general, as: text, limit: 40}
  probes:  {source: quickstart:probes, as: prompt, limit: 80}
stages:
  pretrain:
    kind: pretrain
    data: corpus
    tokenizer_data: [chat]
    architecture: {layers: 2, width: 64, heads: 4, vocab_size: 600, context: 256, chat_template: quickstart}
    learning_rate: 4e-3
    max_steps: 120
    batch_size: 8
    max_length: 128
  sft:
    {kind: sft, model: pretrain, data: chat, learning_rate: 2e-3, epochs: 3, batch_size: 16, max_length: 128, drop_budget: 1.0}
  overtrained:    # many times through very few rows
    {kind: sft, model: pretrain, data: few, learning_rate: 3e-3, epochs: 40, batch_size: 8, max_length: 128, drop_budget: 1.0}
  hacked:         # paid by the token
    {kind: ppo, policy: sft, reward: [{use: "scorer:length", weight: 0.05}], prompts: probes, episodes: 768, batch_size: 64,
     epochs: 2, learning_rate: 5e-4, kl_coef: 0.0, gae_lambda: 1.0, value_clip_range: null, max_new_tokens: 48,
     value: policy_head, samples: 0}
  evaluate:
    kind: evaluate
    models: [sft, overtrained, hacked]
    max_length: 256
    suites:
      retention:    {data: general, against: pretrain}
      memorisation: {data: few, heldout: heldout}
      health:       {data: probes, against: sft, proxy: "scorer:length", gold: quickstart, max_new_tokens: 48}
gates:
  - sft.retention.drop < 0.85
  - overtrained.retention.drop < 0.85
  - sft.memorisation.gap < 0.5
  - overtrained.memorisation.gap < 0.5
  - sft.memorisation.verbatim_gap < 0.25
  - sft.health.length_growth < 0.5
  - hacked.health.length_growth < 0.5
  - hacked.health.proxy_gain > 0
  - hacked.health.overoptimisation < 0.5
"""
CAUGHT = [
    "overtrained.retention.drop < 0.85",
    "overtrained.memorisation.gap < 0.5",
    "hacked.health.length_growth < 0.5",
    "hacked.health.overoptimisation < 0.5",
]


def align(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "align", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.slow
def test_an_over_trained_model_and_a_reward_paid_by_the_token_are_caught_and_plain_sft_passes(tmp_path: Path) -> None:
    chats = list(itertools.islice(quickstart.rows("chat"), 700, 800))  # none of them among sft's rows
    for name, rows in (("few", chats[:24]), ("heldout", chats[24:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "planted.yaml").write_text(RECIPE)
    ran = align(tmp_path, "run", "planted.yaml")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    told = json.loads(align(tmp_path, "gate", "planted.yaml", "--json").stdout)
    verdicts = {g["gate"]: g["verdict"] for g in told["gates"]}
    assert [gate for gate, verdict in verdicts.items() if verdict == "fail"] == CAUGHT, told
    assert all(verdict == "pass" for gate, verdict in verdicts.items() if gate not in CAUGHT), told
