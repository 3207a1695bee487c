from __future__ import annotations

from pathlib import Path

import pytest

from align import recipe
from align.errors import RecipeError, UserError
from align.specs import MADE_OF, STEPS, LoRA, RewardTerm, elsewhere
from align.specs.pretrain import Architecture
from align.specs.suites import SUITES

GOOD = """\
name: small
seed: 3
data:
  chat:  {source: quickstart:chat, as: messages}
  pairs: {source: quickstart:pairs, as: preference, holdout: 0.2}
base: org/model
stages:
  sft: {kind: sft, model: base, data: chat, learning_rate: 2e-5}
  dpo: {kind: dpo, policy: sft, data: pairs, eval_data: pairs.holdout, learning_rate: 5e-7}
  evaluate:
    kind: evaluate
    models: [sft, dpo]
    suites:
      preference: {data: pairs.holdout, against: sft}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str, *overrides: str) -> dict[str, tuple[int, str]]:
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path, text), list(overrides))
    return {p.key: (p.line, p.message) for p in caught.value.problems}


def test_a_good_recipe_expands_into_steps_in_the_order_written(tmp_path: Path) -> None:
    read = recipe.load(write(tmp_path, GOOD))
    assert list(read.steps()) == ["chat", "pairs", "sft", "dpo", "evaluate.sft", "evaluate.dpo", "evaluate"]


def test_a_ranking_can_be_learnt_from_and_answers_judged_alone_cannot(tmp_path: Path) -> None:
    text = GOOD.replace("as: preference", "as: ranking")
    assert "pairs" in recipe.load(write(tmp_path, text)).steps()
    found = problems(tmp_path, GOOD.replace("as: preference", "as: unpaired_preference"))
    assert found["stages.dpo.data"][1] == "pairs holds unpaired_preference rows, expected preference rows"


def test_a_format_that_does_not_give_the_rows_wanted_is_told_with_those_that_do(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD, "data.pairs.format=alpaca")
    assert "format alpaca: preference rows are read from pairs, hh" in found["data.pairs"][1]


def test_numbers_read_as_yaml_1_2(tmp_path: Path) -> None:
    """PyYAML alone reads 2e-5 as text."""
    assert recipe.load(write(tmp_path, GOOD)).stages["sft"].learning_rate == 2e-5  # type: ignore[attr-defined]


def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace("policy: sft", "policy: sft, betta: 1").replace("2e-5", "fast").replace("seed: 3", "sede: 3")
    found = problems(tmp_path, text)
    assert found["sede"] == (2, "unknown key. Did you mean seed?")
    assert found["stages.sft.learning_rate"][0] == 8 and "expected a number" in found["stages.sft.learning_rate"][1]
    assert found["stages.dpo.betta"] == (9, "unknown key. Did you mean beta?")


@pytest.mark.parametrize(
    ("old", "new", "key", "line", "told"),
    [
        ("policy: sft", "policy: stf", "stages.dpo.policy", 9, 'not a stage, a data entry or base. Did you mean sft?'),
        ("data: chat", "data: pairs", "stages.sft.data", 8, "pairs holds preference rows, expected messages or tokens rows"),
        ("model: base", "model: chat", "stages.sft.model", 8, "chat gives rows, expected a model"),
        ("eval_data: pairs.holdout", "eval_data: pairs.test", "stages.dpo.eval_data", 9, "no part test; it has train, holdout"),
        ("base: org/model\n", "", "stages.sft.model", 7, "names no base model"),
        ("policy: sft", "policy: dpo", "stages.dpo", 9, "a circle: dpo -> dpo"),
        ("kind: dpo", "kind: dop", "stages.dpo.kind", 9, "unknown kind dop. Did you mean dpo?"),
        ("as: messages", "as: message", "data.chat.as", 4, "found 'message'"),
        ("data: chat,", "", "stages.sft.data", 8, "is missing"),
        ("name: small", "name: a/b", "name", 1, "cannot be a name"),
        ("learning_rate: 5e-7", "learning_rate: 5e-7, trainer: {output_dir: x}", "stages.dpo", 9, "output_dir is decided"),
        ("learning_rate: 5e-7", "learning_rate: 5e-7, trainer: {adam_bta1: 1}", "stages.dpo", 9, "adam_bta1 is not a setting"),
        ("learning_rate: 5e-7", "learning_rate: 5e-7, batch_size: 10, micro_batch_size: 4", "stages.dpo", 9, "not a multiple"),
        ("learning_rate: 5e-7", "learning_rate: 5e-7, keep: best", "stages.dpo.keep", 9, "expected last or best(METRIC)"),
        ("models: [sft, dpo]", "models: [sft, dop]", "stages.evaluate.models.1", 12, "Did you mean dpo?"),
        ("preference: {data", "taste: {data", "stages.evaluate.suites.taste.kind", 14, "is missing"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, old: str, new: str, key: str, line: int, told: str) -> None:
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert key in found, found
    assert found[key][0] == line
    assert told in found[key][1]


@pytest.mark.parametrize(
    ("old", "new", "key", "told"),
    [
        ("learning_rate: 5e-7", "learning_rat: 5e-7", "stages.dpo.learning_rat", "learning_rate, which is missing?"),
        ("learning_rate: 5e-7", "lr: 5e-7", "stages.dpo.lr", "learning_rate, which is missing?"),
        ("policy: sft", "model: sft", "stages.dpo.model", "policy, which is missing?"),
        ("kind: dpo", "knid: dpo", "stages.dpo.knid", "kind, which is missing?"),
        ("{data: pairs.h", "{date: pairs.h", "stages.evaluate.suites.preference.date", "data, which is missing?"),
        ("name: small", "nmae: small", "nmae", "name, which is missing?"),
        ("source: quickstart:chat", "sorce: quickstart:chat", "data.chat.sorce", "source, which is missing?"),
    ],
)  # fmt: skip
def test_a_misspelt_key_that_was_needed_is_one_problem(tmp_path: Path, old: str, new: str, key: str, told: str) -> None:
    assert problems(tmp_path, GOOD.replace(old, new, 1)).keys() == {key}
    assert problems(tmp_path, GOOD.replace(old, new, 1))[key][1] == f"unknown key. Did you mean {told}"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("kind: dpo", "kind:dpo", "a colon needs a space behind it, as in kind: dpo"),
        ("2e-5", "'2e-5'", "found '2e-5'; expected a number: leave the quotes out"),
        ("2e-5", "-1", "found -1; expected more than 0"),
        ("[sft, dpo]", "sft", "found 'sft'; expected a list, as in [sft]"),
        ("learning_rate: 2e-5", "learning_rate: 2e-5, lora: true", "found true; expected keys and values, of {r, alpha"),
        ("learning_rate: 2e-5", "learning_rate: 2e-5, epochs:", "found nothing; expected a number"),
        ("preference: {data", "prefs: {data", "is missing, and prefs is none by itself. Did you mean preference?"),
        ("  dpo: {", "\tdpo: {", "not YAML: a tab; lines are indented by spaces"),
        ("  dpo: {", "   dpo: {", "not YAML: this line is indented more or less than those it belongs to"),
        ("learning_rate: 5e-7}", "learning_rate: 5e-7", "not YAML: a bracket or brace that was opened before is not closed"),
        ("data: pairs, eval", "data: parts, eval", "Did you mean pairs?"),
        ("chat, as: messages", "chat", "is missing (the row type wanted: text, tokens, messages, "),
        ("preference: {data", "frontier: {data", "is missing (what was optimised: a reward stage, scorer:NAME or file:"),
        ("models: [s", "max_new_tokens: 9\n    models: [s", "It is one of a suite, as in suites."),
        ("data: pairs, eval", "data: xyz, eval", '"xyz" is not a stage, a data entry or base. Known: chat, pairs.'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_the_words_of_a_recipes_writer(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert any(told in message for _, message in problems(tmp_path, GOOD.replace(old, new, 1)).values())


def test_two_keys_missing_and_one_misspelt_are_two_problems(tmp_path: Path) -> None:
    found = problems(
        tmp_path, GOOD.replace("data: pairs, eval", "eval").replace("learning_rate: 5e-7", "learning_rat: 1")
    )
    assert {key: message for key, (_, message) in found.items()} == {
        "stages.dpo.learning_rat": "unknown key. Did you mean learning_rate, which is missing?",
        "stages.dpo.data": "is missing",
    }


def test_what_other_toolkits_call_a_setting_is_translated(tmp_path: Path) -> None:
    text = GOOD.replace("learning_rate: 5e-7", "learning_rate: 5e-7, max_seq_length: 99, gradient_checkpointing: true")
    found = problems(tmp_path, text)
    assert found["stages.dpo.max_seq_length"][1] == "unknown key. Did you mean max_length?"
    assert found["stages.dpo.gradient_checkpointing"][1] == "unknown key. Did you mean checkpoint_activations?"


def test_every_translation_is_into_a_setting_that_there_is() -> None:
    nested = [RewardTerm, LoRA, Architecture, *MADE_OF.values(), *STEPS.values(), *SUITES.values(), recipe.Recipe]
    there = {field.alias or name for spec in nested for name, field in spec.model_fields.items()}
    assert set(elsewhere.OURS) <= there


def test_a_passed_trainer_setting_is_accepted(tmp_path: Path) -> None:
    read = recipe.load(write(tmp_path, GOOD), ["stages.dpo.trainer.adam_beta2=0.99"])
    assert read.stages["dpo"].trainer == {"adam_beta2": 0.99}  # type: ignore[attr-defined]


def test_an_override_is_checked_like_the_file(tmp_path: Path) -> None:
    assert recipe.load(write(tmp_path, GOOD), ["stages.dpo.beta=0.3"]).stages["dpo"].beta == 0.3  # type: ignore[attr-defined]
    assert problems(tmp_path, GOOD, "stages.dpo.beta=much")["stages.dpo.beta"][0] == 0
    with pytest.raises(UserError, match="no override"):
        recipe.load(write(tmp_path, GOOD), ["stages.dpo.beta"])


def test_duplicate_keys_aliases_and_tags_are_refused(tmp_path: Path) -> None:
    assert "twice" in problems(tmp_path, GOOD + "name: again\n")["name"][1]
    assert "aliases" in problems(tmp_path, "a: &x 1\nb: *x\n")[""][1]
    assert (
        "tag"
        in problems(tmp_path, "name: !!python/name:os.system\n".replace("!!python/name:os.system", "!run x"))["name"][1]
    )


def test_what_is_not_yaml_names_the_line(tmp_path: Path) -> None:
    line, message = problems(tmp_path, "name: x\ndata: {a: [}\n")[""]
    assert line == 2 and message.startswith("not YAML")


def test_a_missing_recipe_says_where_recipes_come_from(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="align init"):
        recipe.load(tmp_path / "none.yaml")


def test_batch_sizes_that_do_not_divide_name_one_that_does(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD, "stages.sft.batch_size=30", "stages.sft.micro_batch_size=8")
    assert "the nearest that is: 32" in found["stages.sft"][1]


REWARD = (
    GOOD
    + """\
  rm:  {kind: reward, model: sft, data: pairs, eval_data: pairs.holdout, demonstrations: chat, learning_rate: 1e-5}
  ppo: {kind: ppo, policy: sft, reward: rm, prompts: pairs, episodes: 64, learning_rate: 1e-6}
"""
)


def test_a_reward_model_goes_where_a_reward_is_wanted_and_nowhere_else(tmp_path: Path) -> None:
    assert "rm" in recipe.load(write(tmp_path, REWARD)).stages
    swapped = problems(
        tmp_path, REWARD.replace("reward: rm", "reward: dpo").replace("policy: sft, reward", "policy: rm, reward")
    )
    assert swapped["stages.ppo.reward.0.use"][1] == "dpo gives a model, expected a reward model"
    assert swapped["stages.ppo.policy"][1] == "rm gives a reward model, expected a model"
    found = problems(
        tmp_path, REWARD.replace("models: [sft, dpo]", "models: [sft, rm]").replace("reward: rm", "reward: base")
    )
    assert found["stages.evaluate.models.1"][1] == "rm gives a reward model, expected a model"
    assert found["stages.ppo.reward.0.use"][1] == "base is a model, expected a reward model"
    rows = problems(tmp_path, REWARD.replace("eval_data: pairs.holdout, demonstrations: chat", "eval_data: chat"))
    assert rows["stages.rm.eval_data"][1] == "chat holds messages rows, expected preference rows"
