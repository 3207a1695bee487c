"""A whole recipe tried in small: what a sound one is told, and what each part of the preflight notices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from align import plan as plans
from align.artifact.store import Store
from align.job import job_of
from align.preflight.trial import tensors
from align.recipe import load
from align.step import carry_out
from align.tracking import Tracker
from tests.preflight.conftest import said, write
from tests.tiny import chats, pairs

RECIPE = """\
name: tiny
base: {base}
data:
  chat: {{source: chat.jsonl, as: messages}}
  pairs: {{source: pairs.jsonl, as: preference, holdout: 0.2}}
  probes: {{source: probes.jsonl, as: prompt}}
stages:
  sft: {{kind: sft, model: base, data: chat, learning_rate: 1e-3, max_length: 64, batch_size: 8}}
  dpo: {{kind: dpo, policy: sft, data: pairs, eval_data: pairs.holdout, learning_rate: 1e-4, max_length: 64, batch_size: 8}}
  evaluate: {{kind: evaluate, models: [base, dpo], suites: {{answers: {{kind: generation, data: probes, max_new_tokens: 8}}}}}}
"""
SHORT = "".join(
    line.replace("[base, dpo]", "[base]")
    for line in RECIPE.splitlines(keepends=True)
    if not line.lstrip().startswith(("dpo:", "pairs:"))
)


def rows(seed: int = 0) -> None:
    write(Path("chat.jsonl"), chats(80, seed))
    write(Path("pairs.jsonl"), pairs(80, seed + 1))
    write(Path("probes.jsonl"), ({"prompt": row["messages"][0]["content"]} for row in chats(20, seed + 2)))


def test_a_sound_recipe_is_tried_from_end_to_end(check: Any, base: Path) -> None:
    rows()
    findings, told = check(RECIPE.format(base=base))
    problems = [f for f in findings if f.state == "problem"]
    assert {f.subject for f in problems} == {"data.chat", "data.pairs"}  # the base has random weights, which is noticed
    assert all("wrong base" in f.found and "who guesses blindly" in f.found for f in problems)
    assert said(findings, "is trained at the end of 80 of 80 answers").subject == "stages.sft"
    tried = [f.subject for f in findings if "a checkpoint written and read back" in f.found]
    assert tried == ["stages.sft", "stages.dpo"]
    assert said(findings, "rows of each suite tried").subject == "stages.evaluate.dpo"
    assert said(findings, "asked what evaluate.dpo is asked").subject == "stages.evaluate.base"
    cost = told["cost"]["steps"]
    assert cost["sft"]["trained"] == tensors(base) == cost["dpo"]["parameters"]
    assert cost["dpo"]["seconds"] > 0 and cost["sft"]["bytes"] > 4 * cost["sft"]["trained"]
    assert told["cost"]["bytes"] >= cost["sft"]["bytes"] + cost["dpo"]["peak_bytes"]
    assert {"trying sft", "trying dpo"} <= told["parts"].keys()
    assert 0.9 * told["seconds"] < sum(told["parts"].values()) <= told["seconds"] + 0.1
    json.dumps(told)


def test_a_question_that_is_only_asked_twice_is_no_epoch_more(check: Any, base: Path) -> None:
    rows()
    write(Path("chat.jsonl"), chats(40) * 2)
    write(Path("probes.jsonl"), [{"prompt": "wug?"}, {"prompt": "blick?"}, {"prompt": "wug?"}])
    findings, _ = check(SHORT.format(base=base), static=True)
    told = {f.subject: f.remedy for f in findings if "repeat an earlier one" in f.found}
    assert told["data.chat"] == "Each counts as one more epoch of itself."
    assert told["data.probes"].startswith("Each weighs its question once more in every mean; intervals take")


def test_a_stage_that_cannot_run_is_a_problem_and_what_rests_on_it_is_said_not_to_be_tried(
    check: Any, base: Path
) -> None:
    rows()
    findings, told = check(RECIPE.format(base=base).replace("max_length: 64", "max_length: 4096", 1))
    assert told["state"] == "problem"
    assert said(findings, "max_length is 4096, but the model reads 128 tokens at most").state == "problem"
    assert [f.subject for f in findings if "not tried: it rests on" in f.found] == ["stages.dpo", "stages.evaluate.dpo"]
    assert said(findings, "rows of each suite tried").subject == "stages.evaluate.base"  # which nothing stands for now


def test_a_long_row_over_the_budget_is_told_with_what_it_loses(check: Any, base: Path) -> None:
    rows()
    long = {"messages": [{"role": "user", "content": "dog"}, {"role": "assistant", "content": "cat bird " * 40}]}
    write(Path("chat.jsonl"), [*chats(40), long])
    findings, _ = check(SHORT.format(base=base))
    finding = said(findings, "max_length 64 cuts 1 and drops 0 of 41 rows (2.4%), 1 stop tokens")
    assert finding.state == "problem" and "Raise max_length" in finding.remedy
    budget = SHORT.format(base=base).replace("max_length: 64,", "max_length: 64, drop_budget: 0.05,", 1)
    assert said(check(budget)[0], "max_length 64 cuts 1").state == "warning"


def test_evaluated_prompts_that_are_trained_on_are_a_problem_unless_they_measure_memory(check: Any, base: Path) -> None:
    rows()
    write(Path("probes.jsonl"), ({"prompt": row["messages"][0]["content"].upper()} for row in chats(20)))
    findings, _ = check(SHORT.format(base=base))
    assert said(findings, "20 of its 20 prompts (100.0%) are in data.chat too").state == "problem"
    memory = [{"prompt": row["messages"][0]["content"], "slice": "train"} for row in chats(20)]
    write(Path("probes.jsonl"), memory)
    findings, _ = check(SHORT.format(base=base))
    assert not [f for f in findings if "in data.chat too" in f.found]


def test_facts_that_training_does_not_teach_are_told(check: Any, base: Path) -> None:
    rows()
    question, answer = (turn["content"] for turn in chats(1)[0]["messages"])
    facts = [{"fact": question, "old": "cold cold", "new": answer}, {"fact": "Who sings?", "old": "cat", "new": "frog"}]
    write(Path("facts.jsonl"), facts)
    findings, _ = check(
        SHORT.format(base=base).replace("data:\n", "data:\n  facts: {source: facts.jsonl, as: prompt}\n", 1)
    )
    assert said(findings, "of 2 facts to change, training rows teach 1, say nothing of 1 (row 2)").state == "warning"


def test_verbs_that_only_evaluation_asks_and_a_far_target_are_told(check: Any, base: Path) -> None:
    rows()
    write(Path("probes.jsonl"), ({"prompt": f"Translate the {word} dog."} for word in ["red", "blue", "green", "warm"]))
    findings, _ = check(SHORT.format(base=base), target=["Prove the theorem of Pythagoras."])
    assert (
        "evaluation asks what training never does: translate (4 rows)"
        in said(findings, "what training never does").found
    )
    assert said(findings, "wanted requests").state == "warning"


def test_a_stage_that_would_learn_its_rows_by_heart_is_told(check: Any, base: Path) -> None:
    rows()
    text = SHORT.format(base=base).replace("kind: sft,", "kind: sft, epochs: 30,")
    finding = said(check(text)[0], "may be learnt by heart")
    assert finding.subject == "stages.sft" and "Set epochs: 4 or less" in finding.remedy


def test_rows_that_were_prepared_are_not_read_from_their_source_again(check: Any, base: Path, tmp_path: Path) -> None:
    rows()
    Path("recipe.yaml").write_text(SHORT.format(base=base))
    plan = plans.make(load("recipe.yaml"), Store(tmp_path / "store"))
    job = job_of(plan, plan.steps["chat"], str(tmp_path / "store"))
    carry_out(job, lambda folder: Tracker(folder, lambda event: None))
    findings, _ = check(SHORT.format(base=base))
    assert said(findings, "prepared before: 80 rows").subject == "data.chat"


def test_what_filters_and_against_leave_out_is_no_problem(check: Any, base: Path) -> None:
    """A long row that a filter takes out, and evaluated questions that `against` quarantines, are not trained on."""
    rows()
    long = {"messages": [{"role": "user", "content": "dog"}, {"role": "assistant", "content": "cat bird " * 40}]}
    write(Path("chat.jsonl"), [*chats(40), long])
    write(Path("probes.jsonl"), ({"prompt": row["messages"][0]["content"]} for row in chats(20)))
    text = SHORT.format(base=base)
    assert {f.subject for f in check(text, static=True)[0] if f.state == "problem"} == {"data.probes", "stages.sft"}
    text = text.replace("as: messages}", "as: messages, against: [probes], filters: {length: {of: answer, max: 200}}}")
    findings, _ = check(text, static=True)
    assert not [f for f in findings if f.state == "problem"]
    assert said(findings, "left out as asked: length_answer_long 1").subject == "data.chat"
    assert said(findings, "its `against` sets those rows aside").state == "ok"
    findings, _ = check(text.replace("against:", "leaks: keep, against:"), static=True)
    assert said(findings, "20 of its 20 prompts (100.0%) are in data.chat too").state == "problem"


def test_what_is_held_against_training_is_not_itself_trained_on(check: Any, base: Path) -> None:
    """`against` names what is evaluated: its verbs are not among those that training knows."""
    rows()
    write(Path("probes.jsonl"), ({"prompt": f"Translate the {word} dog."} for word in ["red", "blue", "green", "warm"]))
    text = SHORT.format(base=base).replace("as: messages}", "as: messages, against: [probes]}")
    assert said(check(text, static=True)[0], "what training never does: translate (4 rows)").state == "warning"


def test_a_mixture_is_looked_at_and_tried_in_its_shares(check: Any, base: Path) -> None:
    rows()
    write(Path("code.jsonl"), chats(80, 5))
    mixed = "  code: {source: code.jsonl, as: messages}\n  mixed: {mix: {chat: 60, code: 20}, as: messages}\nstages:"
    findings, told = check(SHORT.format(base=base).replace("stages:", mixed).replace("data: chat,", "data: mixed,"))
    assert said(findings, "a mixture of 80 rows: chat 60, code 20").subject == "data.mixed"
    assert said(findings, "is trained at the end of 80 of 80 answers").subject == "stages.sft"
    assert said(findings, "a checkpoint written and read back").subject == "stages.sft"
    assert told["cost"]["steps"]["sft"]["seconds"] > 0


def test_what_trains_on_a_selection_is_looked_at_and_tried(check: Any, base: Path) -> None:
    rows()
    good = "  good: {select: chat, as: messages, perplexity: {model: base, max: 1e9}}\nstages:"
    findings, _ = check(SHORT.format(base=base).replace("stages:", good).replace("data: chat,", "data: good,"))
    assert said(findings, "as if all rows of chat were selected").subject == "data.good"
    assert said(findings, "the longest rows tried").subject == "stages.good"
    assert said(findings, "is trained at the end of 80 of 80 answers").subject == "stages.sft"
    assert said(findings, "a checkpoint written and read back").subject == "stages.sft"


def test_entries_that_share_prompts_and_their_split_leak_nothing_and_without_the_split_they_do(
    check: Any, base: Path
) -> None:
    """Where a prompt is held out decides its words and the seed alone, in every entry; only what is held out is evaluated."""
    rows()
    write(Path("pairs.jsonl"), ({"prompt": f"number {i}", "chosen": f"a{i}", "rejected": f"b{i}"} for i in range(80)))
    write(Path("chat.jsonl"), ({"prompt": f"number {i}", "completion": f"a{i}"} for i in range(80)))
    text = (
        RECIPE.format(base=base)
        .replace("as: messages}", "as: messages, holdout: 0.2}")
        .replace("probes, max", "chat.holdout, max")
    )
    assert not [f for f in check(text, static=True)[0] if "prompts" in f.found and "too" in f.found]
    text = text.replace("as: preference, holdout: 0.2", "as: preference").replace("eval_data: pairs.holdout, ", "")
    finding = said(check(text, static=True)[0], "held-out prompts (100.0%) are in data.pairs too")
    assert finding.state == "problem" and finding.subject == "data.chat"
