from hypothesis import given
from hypothesis import strategies as st

from align.data.split import part_of, parts, split_key


def row(text: str, answer: str = "a") -> dict:
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]}


def test_the_share_of_prompts_set_aside_is_about_the_one_asked_for():
    held = sum(part_of(row(f"question {n}"), 0.1, 0) == "holdout" for n in range(5000))
    assert 420 < held < 580


def test_another_seed_sets_other_prompts_aside():
    sides = [[part_of(row(f"question {n}"), 0.5, seed) for n in range(200)] for seed in (0, 1)]
    assert sides[0] != sides[1]
    assert 60 < sum(a == b for a, b in zip(*sides, strict=True)) < 140


@given(st.text(min_size=1), st.text(), st.text(), st.integers(0, 9))
def test_the_answer_does_not_decide(prompt, one, other, seed):
    assert part_of(row(prompt, one), 0.5, seed) == part_of(row(prompt, other), 0.5, seed)


@given(st.text(st.characters(codec="ascii"), min_size=1), st.integers(0, 9))
def test_case_and_white_space_do_not_decide(prompt, seed):
    assert part_of(row(prompt), 0.5, seed) == part_of(row(f"  {prompt.upper()}\n\n"), 0.5, seed)


def test_the_same_prompt_stands_on_one_side_whatever_the_row_type():
    for n in range(100):
        asked = [{"role": "user", "content": f"question {n}"}]
        answer = [{"role": "assistant", "content": "a"}]
        rows = [
            {"prompt": asked},
            {"messages": asked + answer},
            {"prompt": asked, "chosen": answer, "rejected": answer},
            {"messages": asked + answer + [{"role": "user", "content": "and then?"}] + answer},
        ]
        assert len({part_of(row, 0.5, 3) for row in rows}) == 1


def test_a_larger_holdout_keeps_the_rows_of_a_smaller_one():
    for n in range(300):
        if part_of(row(f"{n}"), 0.1, 0) == "holdout":
            assert part_of(row(f"{n}"), 0.3, 0) == "holdout"


def test_system_turn_and_question_make_the_prompt():
    asked = row("hello")["messages"]
    assert split_key({"messages": asked}) != split_key({"messages": [{"role": "system", "content": "s"}, *asked]})
    assert split_key({"text": " Hello\tWorld "}) == "hello world"


def test_without_holdout_everything_is_train():
    assert parts(None) == ("train",)
    assert parts(0.1) == ("train", "holdout")
    assert {part_of(row(f"{n}"), None, 0) for n in range(50)} == {"train"}
