"""A pass over one set: which rows go and why, and on which side of the split the others stand."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from align.data.leakage.references import Questions
from align.data.leakage.scan import REASONS, Policy, Scan, Verdict
from align.data.split import HOLDOUT, part_of
from align.workloads.chats import questions
from tests.data.leakage.planting import WORDS, problem, question

BRIDGE = (
    "Explain to a retired engineer why medieval bridges were built of stone although timber was cheaper and quicker."
)


def chat(asked: str, said: str = "I would rather not say.", system: str = "") -> dict[str, Any]:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}


def pair(asked: str, chosen: str, rejected: str) -> dict[str, Any]:
    answers = {
        name: [{"role": "assistant", "content": text}] for name, text in (("chosen", chosen), ("rejected", rejected))
    }
    return {"prompt": [{"role": "user", "content": asked}], **answers}


def scanned(folder: Path, rows: list[dict[str, Any]], policy: Policy, **against: list[str]) -> Verdict:
    held = Questions()
    for name, texts in against.items():
        for number, text in enumerate(texts, 1):
            held.add(name, number, text)
    with Scan(policy, held.sealed() if against else None, list(against), folder) as scan:
        for number, row in enumerate(rows, 1):
            scan.add(row, "chats.jsonl", number)
        verdict = scan.finish()
        reasons = [problem.reason for problem, _ in scan.left_out(verdict)]
    assert reasons == [REASONS[reason] for reason in verdict.reason if reason]
    return verdict


def told(verdict: Verdict) -> list[str]:
    return [REASONS[reason] for reason in verdict.reason]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]


def prompts(count: int) -> list[str]:
    rng = random.Random(1)
    return [question(rng) for _ in range(count)]


def touched(text: str, rng: random.Random) -> str:
    said = text.split()
    for place in rng.sample([i for i, word in enumerate(said) if word.isalpha()], 2):
        said[place] = rng.choice(WORDS)
    return " ".join(said)


def test_a_leak_is_set_aside_with_both_sides_as_evidence(tmp_path):
    rows = [chat("What is a fox?"), chat(f"My teacher asks: {BRIDGE}"), chat(BRIDGE.upper())]
    verdict = scanned(tmp_path, rows, Policy(), ifeval=["Name a fruit.", BRIDGE])
    assert told(verdict) == ["", "leaked", "leaked"]
    first, second = lines(tmp_path)
    assert first["row"] == 2 and first["kind"] == "ngram" and second["kind"] == "exact" and not first["kept"]
    assert first["reference"] == "ifeval" and first["reference_row"] == 2
    assert first["question"] == BRIDGE and first["values"] == rows[1]
    (note,) = [note for note in verdict.notes if note.startswith("such as")]
    assert "row 2, which contains row 2 of ifeval" in note and note.count("medieval bridges") == 2


def test_leaks_are_counted_by_kind_and_by_reference(tmp_path):
    rows = [chat(BRIDGE), chat(f"Well: {BRIDGE}"), chat("Name a fruit.")]
    metrics = scanned(tmp_path, rows, Policy(), **{"ifeval": [BRIDGE], "pairs.holdout": ["name a fruit."]}).metrics
    assert metrics["leakage/rows"] == 3 and metrics["leakage/exact"] == 2 and metrics["leakage/ngram"] == 1
    assert metrics["leakage/ifeval/rows"] == 2 and metrics["leakage/pairs/holdout/exact"] == 1
    assert metrics["leakage/near"] == 0


def test_no_leak_writes_no_file_and_counts_nothing(tmp_path):
    verdict = scanned(tmp_path, [chat("What is a fox?")], Policy(), ifeval=[BRIDGE])
    assert verdict.metrics["leakage/rows"] == 0 and not (tmp_path / "quarantine.jsonl").exists()
    assert "no row repeats a question of ifeval" in verdict.notes


def test_leaks_of_all_batches_are_evidence(tmp_path):
    rows = [chat(BRIDGE if n % 700 == 0 else f"Say {n}.") for n in range(3000)]
    scanned(tmp_path, rows, Policy(duplicates="ignore"), ifeval=[BRIDGE])
    assert [line["row"] for line in lines(tmp_path)] == [1, 701, 1401, 2101, 2801]


def test_leaks_that_are_kept_are_still_evidence(tmp_path):
    verdict = scanned(tmp_path, [chat(BRIDGE)], Policy(leaks="keep"), ifeval=[BRIDGE])
    assert told(verdict) == [""] and verdict.metrics["leakage/rows"] == 1 and lines(tmp_path)[0]["kept"]


def test_a_shared_system_turn_is_no_leak(tmp_path):
    rows = [chat("What is a fox?", system=BRIDGE)]
    verdict = scanned(tmp_path, [*rows, chat("hi there", system="be brief")], Policy(), ifeval=["Name a fruit."])
    assert told(verdict) == ["", ""]


def test_one_question_near_many_rows_is_told_as_a_template(tmp_path):
    rng = random.Random(2)
    rows = [chat(touched(BRIDGE, rng)) for _ in range(40)]
    verdict = scanned(tmp_path, rows, Policy(duplicates="ignore"), ifeval=[BRIDGE])
    near = int(verdict.metrics["leakage/near"])
    assert near > 20
    assert f"row 1 of ifeval is near {near} rows: one template with other words, perhaps" in verdict.notes


def test_duplicates_are_counted_and_kept_unless_they_are_to_be_dropped(tmp_path):
    texts = prompts(60)
    rows = [chat(text, text[::-1]) for text in texts] + [chat(texts[7].upper(), texts[7][::-1])]
    rows.append(chat(touched(texts[3], random.Random(0)), texts[3][::-1]))
    counted, dropped = (scanned(tmp_path, rows, Policy(duplicates=how)) for how in ("count", "drop"))
    assert counted.metrics == dropped.metrics == {"duplicates/exact": 1, "duplicates/near": 1}
    assert not counted.reason.any()
    assert told(dropped) == [""] * 60 + ["duplicate", "near_duplicate"]
    assert dropped.like[60:].tolist() == [7, 3]


def test_ignored_duplicates_are_not_looked_for(tmp_path):
    verdict = scanned(tmp_path, [chat(BRIDGE)] * 3, Policy(duplicates="ignore"))
    assert verdict.metrics == {} and not verdict.reason.any() and not verdict.notes


def test_of_a_group_the_first_row_that_is_no_leak_stays(tmp_path):
    rows = [chat(BRIDGE), chat("What is a fox?"), chat("What is a fox?")]
    assert told(scanned(tmp_path, rows, Policy(duplicates="drop"), ifeval=[BRIDGE])) == ["leaked", "", "duplicate"]


def test_the_same_pair_turned_round_is_a_contradiction_and_no_duplicate(tmp_path):
    asked, better, worse = prompts(3)
    rows = [pair(asked, better, worse), pair(asked, worse, better), pair(asked, better, worse)]
    assert told(scanned(tmp_path, rows, Policy(duplicates="drop"))) == ["", "", "duplicate"]


def test_the_same_answer_with_another_label_is_no_duplicate(tmp_path):
    asked, said = prompts(2)
    row = {"prompt": [{"role": "user", "content": asked}], "completion": [{"role": "assistant", "content": said}]}
    rows = [row | {"label": True}, row | {"label": False}, row | {"label": True}]
    assert told(scanned(tmp_path, rows, Policy(duplicates="drop"))) == ["", "", "duplicate"]


def test_other_answers_to_one_prompt_are_no_duplicates(tmp_path):
    texts = prompts(21)
    rows = [pair(texts[0], better, worse) for better, worse in zip(texts[1:11], texts[11:], strict=True)]
    assert not scanned(tmp_path, rows, Policy(duplicates="drop")).reason.any()


@pytest.mark.parametrize("seed", range(3))
def test_nearly_the_same_prompts_fall_on_one_side(tmp_path, seed):
    rng = random.Random(seed)
    texts = prompts(200)
    near = [touched(text, rng) for text in texts]
    rows = [chat(text) for text in texts + near]
    held = scanned(tmp_path, rows, Policy(holdout=0.3)).held_out
    assert (held[:200] == held[200:]).mean() >= 0.97
    alone = [part_of(row, 0.3, 0) == HOLDOUT for row in rows]
    assert sum(a == b for a, b in zip(alone[:200], alone[200:], strict=True)) < 150  # what a split by prompt alone does
    assert 0.2 < held.mean() < 0.4


def test_prompts_of_one_template_with_other_numbers_may_fall_apart(tmp_path):
    rows = [chat(problem(random.Random(5), numbers=random.Random(n))) for n in range(200)]
    held = scanned(tmp_path, rows, Policy(holdout=0.3)).held_out
    assert 0.2 < held.mean() < 0.4


def test_no_order_of_the_rows_moves_a_row(tmp_path):
    rng = random.Random(4)
    texts = prompts(120)
    rows = [chat(text) for text in texts + [touched(text, rng) for text in texts for _ in range(2)]]
    before = scanned(tmp_path, rows, Policy(holdout=0.3)).held_out
    order = rng.sample(range(len(rows)), len(rows))
    after = scanned(tmp_path, [rows[place] for place in order], Policy(holdout=0.3)).held_out
    assert after.tolist() == before[order].tolist()


def test_new_rows_unlike_all_others_move_none_of_them(tmp_path):
    texts = questions(220)
    before = scanned(tmp_path, [chat(text) for text in texts[:200]], Policy(holdout=0.3)).held_out
    after = scanned(tmp_path, [chat(text) for text in texts[::-1]], Policy(holdout=0.3)).held_out
    assert after[::-1][:200].tolist() == before.tolist()


def test_a_prompt_with_no_like_falls_where_the_split_by_prompt_puts_it(tmp_path):
    rows = [chat(f"{text} {n}", system="be brief" if n % 2 else "") for n, text in enumerate(prompts(200))]
    held = scanned(tmp_path, rows, Policy(holdout=0.3, split_seed=3)).held_out
    assert held.tolist() == [part_of(row, 0.3, 3) == HOLDOUT for row in rows]


def test_a_set_with_much_of_one_prompt_is_told(tmp_path):
    rng = random.Random(7)
    rows = [chat(touched(BRIDGE, rng)) for _ in range(30)] + [chat(text) for text in prompts(120)]
    notes = scanned(tmp_path, rows, Policy(holdout=0.3)).notes
    assert any("prompts are nearly the same and fall on one side of the split" in note for note in notes)


def test_nothing_to_look_through_gives_nothing(tmp_path):
    verdict = scanned(tmp_path, [], Policy(holdout=0.5), ifeval=[BRIDGE])
    assert not len(verdict.reason) and verdict.metrics["leakage/rows"] == 0
