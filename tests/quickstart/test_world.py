"""The tiny world: facts, columns, and what is kept out of which data."""

import itertools

import pytest

from align import quickstart
from align.quickstart.language import HARMS, VERBS, understand
from align.quickstart.world import DOMAINS, FACTS, VALUES, group, probed


@pytest.fixture(scope="module")
def world() -> dict[str, list[dict]]:
    return {name: list(quickstart.rows(name)) for name in quickstart.SOURCES}


def units(prompts) -> set[tuple[str, str]]:
    """(skill, concept) of the requests these prompts end in."""
    asked = [understand(prompt) for prompt in prompts]
    return {(request.skill, concept) for request in asked for concept in request.concepts}


def test_every_word_has_one_meaning():
    words = list(itertools.chain(FACTS, *VALUES.values()))
    assert len(words) == len(set(words))


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(world):
    for name in quickstart.SOURCES:
        assert list(quickstart.rows(name, 0)) == world[name]
        assert list(quickstart.rows(name, 1)) != world[name]


def test_general_text_is_not_in_the_corpus(world):
    corpus = {row["text"] for row in world["corpus"]}
    assert not corpus & {row["text"] for row in world["general"]}


def test_corpus_tells_all_concepts_and_half_of_its_lines_are_question_like(world):
    lines = [line for row in world["corpus"][:2000] for line in row["text"].split("\n")]
    assert all(any(f"about {concept}:" in line for line in lines) for concept in FACTS)
    assert 0.45 < sum(not line.startswith("about ") for line in lines) / len(lines) < 0.55


def test_probes_cover_four_columns_and_four_axes(world):
    held_out = [row for row in world["probes"] if row["slice"] != "train"]
    assert {row["slice"] for row in world["probes"]} == {"train", "in_domain", "near", "far"}
    assert {row["axis"] for row in held_out} == {"plain", "system", "two_turn", "unsafe"}
    assert len(held_out) >= 400
    assert len({str(row["prompt"]) for row in held_out}) == len(held_out)


def test_instruction_data_sees_no_near_or_far_concept_and_no_held_out_request(world):
    trained = units(row["messages"][:-1] for row in world["chat"])
    trained |= units(row["messages"][:1] for row in world["chat"] if row["axis"] == "two_turn")
    assert all(group(concept) == "seen" for _, concept in trained)
    assert not any(probed(skill, concept) for skill, concept in trained)


def test_no_held_out_probe_is_asked_in_chat_or_pairs_in_any_wording(world):
    held_out = units(row["prompt"] for row in world["probes"] if row["slice"] != "train")
    assert not held_out & units(row["prompt"] for row in world["pairs"])
    assert not held_out & units(row["messages"][:-1] for row in world["chat"])


def test_train_probes_ask_what_was_trained(world):
    train = units(row["prompt"] for row in world["probes"] if row["slice"] == "train")
    assert train <= units(row["messages"][:-1] for row in world["chat"])


def test_columns_follow_the_concept(world):
    for row in world["probes"]:
        request = understand(row["prompt"])
        where = {group(concept) for concept in request.concepts}
        assert where == ({"seen"} if row["slice"] in ("train", "in_domain") else {row["slice"]})


def test_every_skill_is_held_out_somewhere():
    for skill in (*VERBS, "tag", *HARMS):
        assert {group(concept) for concept in FACTS if probed(skill, concept)} >= {"seen"}
    assert len(DOMAINS) == 5


def test_unknown_source_is_named():
    with pytest.raises(KeyError, match="corpus"):
        next(quickstart.rows("corpse"))
