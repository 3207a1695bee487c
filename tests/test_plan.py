from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from align import plan as plans
from align import recipe
from align.artifact.store import Store
from align.errors import RecipeError
from align.plan import Plan
from tests.sealing import seal_step

RECIPE = """\
name: small
data:
  chat:  {source: CHAT, as: messages}
  pairs: {source: quickstart:pairs, as: preference, holdout: 0.2}
stages:
  pretrain: {kind: pretrain, data: corpus, learning_rate: 1e-3, architecture: {layers: 1, width: 16, heads: 2, vocab_size: 300}}
  sft: {kind: sft, model: pretrain, data: chat, learning_rate: 2e-5}
  dpo: {kind: dpo, policy: sft, data: pairs, learning_rate: 5e-7}
  evaluate: {kind: evaluate, models: [sft, dpo], suites: {preference: {data: pairs.holdout}}}
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make(tmp_path: Path, store: Store, *overrides: str) -> Plan:
    chat = tmp_path / "chat.jsonl"
    if not chat.exists():
        chat.write_text("{}\n")
    path = tmp_path / "r.yaml"
    path.write_text(
        RECIPE.replace("CHAT", str(chat)).replace(
            "data:\n", "data:\n  corpus: {source: quickstart:corpus, as: text}\n", 1
        )
    )
    return plans.make(recipe.load(path, list(overrides)), store)


def build_all(tmp_path: Path, store: Store, *overrides: str) -> Plan:
    plan = make(tmp_path, store, *overrides)
    for name in plan.steps:
        seal_step(store, plan, name)
    return make(tmp_path, store, *overrides)


def running(plan: Plan) -> dict[str, str]:
    return {s.name: s.reason for s in plan.to_run()}


def test_nothing_built_means_everything_runs(tmp_path: Path, store: Store) -> None:
    plan = make(tmp_path, store)
    assert set(running(plan).values()) == {"never built"}
    assert len(plan.steps) == 9


def test_everything_sealed_means_nothing_runs(tmp_path: Path, store: Store) -> None:
    plan = build_all(tmp_path, store)
    assert not running(plan)
    assert plan.steps["sft"].artifact is not None and plan.steps["sft"].about == {"loss": 1.5}


def test_changed_beta_reruns_dpo_but_reuses_sft(tmp_path: Path, store: Store) -> None:
    build_all(tmp_path, store)
    assert running(make(tmp_path, store, "stages.dpo.beta=0.3")) == {
        "dpo": "beta 0.1 -> 0.3",
        "evaluate.dpo": "input dpo changed",
        "evaluate": "input evaluate.dpo changed",
    }


def test_going_back_to_old_settings_reuses_the_old_artifacts(tmp_path: Path, store: Store) -> None:
    build_all(tmp_path, store)
    build_all(tmp_path, store, "stages.dpo.beta=0.3")
    assert not running(make(tmp_path, store))


def test_a_changed_source_file_is_told_by_name(tmp_path: Path, store: Store) -> None:
    build_all(tmp_path, store)
    (tmp_path / "chat.jsonl").write_text('{"more": 1}\n')
    reasons = running(make(tmp_path, store))
    assert reasons["chat"] == "chat.jsonl changed"
    assert reasons["sft"] == "input chat changed"
    assert "pairs" not in reasons and "pretrain" not in reasons


def test_a_moved_source_with_the_same_content_is_reused(tmp_path: Path, store: Store) -> None:
    build_all(tmp_path, store)
    moved = tmp_path / "elsewhere.jsonl"
    (tmp_path / "chat.jsonl").rename(moved)
    assert not running(make(tmp_path, store, f"data.chat.source={moved}"))


def test_a_new_seed_retrains_and_reshuffles_no_data(tmp_path: Path, store: Store) -> None:
    build_all(tmp_path, store)
    reasons = running(make(tmp_path, store, "seed=1"))
    assert reasons["pretrain"] == "seed 0 -> 1"
    assert not {"corpus", "chat", "pairs"} & set(reasons)


def test_a_stages_own_seed_wins_over_the_recipes(tmp_path: Path, store: Store) -> None:
    build_all(tmp_path, store)
    assert running(make(tmp_path, store, "stages.dpo.seed=7"))["dpo"] == "seed 0 -> 7"
    assert not running(make(tmp_path, store, "stages.dpo.seed=0"))


@pytest.mark.parametrize("runtime", ["micro_batch_size=2", "log_every=1", "save_every=5", "devices=2", "compile=true"])
def test_runtime_fields_stay_out_of_the_key(tmp_path: Path, store: Store, runtime: str) -> None:
    build_all(tmp_path, store)
    assert not running(make(tmp_path, store, f"stages.sft.{runtime}"))


def test_a_parent_rebuilt_with_other_content_reruns_its_children(tmp_path: Path, store: Store) -> None:
    plan = build_all(tmp_path, store)
    seal_step(store, plan, "sft", content="other weights")
    reasons = running(make(tmp_path, store))
    assert reasons["dpo"] == "sft was rebuilt with other content"
    assert "sft" not in reasons


def test_a_parent_rebuilt_with_the_same_content_reruns_nothing(tmp_path: Path, store: Store) -> None:
    plan = build_all(tmp_path, store)
    seal_step(store, plan, "sft")
    assert not running(make(tmp_path, store))


def test_the_other_part_of_a_split_is_another_key(tmp_path: Path, store: Store) -> None:
    build_all(tmp_path, store)
    assert running(make(tmp_path, store, "stages.dpo.data=pairs.holdout"))["dpo"] == "input pairs changed"


def test_an_unpinned_hub_model_has_no_key_yet(tmp_path: Path, store: Store) -> None:
    plan = make(tmp_path, store, "base=org/model", "stages.sft.model=base")
    assert plan.steps["sft"].key == "" and plan.steps["sft"].reason == "org/model was never resolved"
    assert {s["name"]: s["key"] for s in plan.to_json()["steps"]}["dpo"] is None  # rests on what has no key
    store.pin("model:org/model@main", "a" * 40)
    assert make(tmp_path, store, "base=org/model", "stages.sft.model=base").steps["sft"].key


def test_a_step_whose_artifact_was_deleted_says_so(tmp_path: Path, store: Store) -> None:
    build_all(tmp_path, store)
    plan = make(tmp_path, store)
    shutil.rmtree(store.folder("dpo", plan.steps["dpo"].key))
    assert running(make(tmp_path, store))["dpo"] == "its artifact is gone"


def test_a_measurement_that_was_stopped_is_not_told_as_never_built(tmp_path: Path, store: Store) -> None:
    plan = build_all(tmp_path, store, "stages.evaluate.models=[sft]")
    begun = make(tmp_path, store).steps["evaluate.dpo"]
    (store.partial(begun.kind, begun.key) / "job.json").parent.mkdir()
    (store.partial(begun.kind, begun.key) / "job.json").write_text("{}")
    assert "evaluate.dpo" not in plan.steps
    assert running(make(tmp_path, store))["evaluate.dpo"] == "was interrupted; answers so far are kept"


def test_all_missing_sources_are_told_at_once_with_their_lines(tmp_path: Path, store: Store) -> None:
    (tmp_path / "chatter.jsonl").write_text("{}\n")
    with pytest.raises(RecipeError) as caught:
        changed = [f"data.chat.source={tmp_path}/chater.jsonl", "data.pairs.source=quickstart:pears", "base=./nowhere"]
        make(tmp_path, store, *changed, "stages.sft.model=base")
    told = {p.key: p.message for p in caught.value.problems}
    assert "Did you mean" in told["data.chat.source"] and "chatter.jsonl" in told["data.chat.source"]
    assert "Did you mean quickstart:pairs?" in told["data.pairs.source"]
    assert "./nowhere does not exist" in told["base"]


def test_a_source_that_lies_beside_the_recipe_is_told_when_align_is_called_elsewhere(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chat.jsonl").write_text("{}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(RecipeError, match=f"beside the recipe, .* cd {tmp_path}"):
        make(tmp_path, store, "data.chat.source=chat.jsonl")


def test_an_edited_reward_file_is_told_by_short_digests(tmp_path: Path, store: Store) -> None:
    assert plans.show(f"file:{'ab' * 32}:score") == "file:abababab:score" and plans.show("facade" * 5) == "facade" * 5


def test_other_code_is_told_and_strict_code_reruns(tmp_path: Path, store: Store) -> None:
    plan = build_all(tmp_path, store)  # sealed with an empty code hash, as by another version of align
    assert plan.steps["dpo"].reason.endswith("align has changed since")
    strict = plans.make(plan.recipe, store, strict_code=True)
    assert strict.steps["dpo"].action == "run"


def test_planning_imports_no_machine_learning_library(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from align import plan, recipe; from align.artifact.store import Store;"
        f"plan.make(recipe.load('{Path(__file__).parents[1]}/recipes/quickstart.yaml'), Store(Path('{tmp_path}')));"
        "print([m for m in sys.modules if m in ('torch', 'transformers', 'trl', 'datasets', 'pyarrow', 'numpy', 'wandb')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
