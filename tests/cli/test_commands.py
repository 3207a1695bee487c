"""What people type and what they get: help, plans, exit codes, JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from align import runner, shipped
from align.artifact.store import Store
from align.errors import AlignError, Problem, RecipeError, Stopped
from align.plan import Plan
from tests.cli.conftest import RECIPE, Align

COMMANDS = ["init", "validate", "plan", "run", "show", "report", "votes", "card", "chat", "export", "doctor"]
HEAVY = ("torch", "transformers", "trl", "datasets", "pyarrow", "peft", "wandb", "numpy")


def test_every_command_has_help_with_examples(align: Align) -> None:
    for command in COMMANDS:
        told = align(command, "--help")
        assert told.code == 0 and "Examples:" in told.out and f"align {command}" in told.out, command


def test_light_commands_import_nothing_heavy(here: Path, sealed: Callable[..., Plan]) -> None:
    sealed()
    code = f"""
import sys
from align import cli
for line in (["--help"], ["plan", "small.yaml"], ["validate", "small.yaml"], ["show"], ["show", "small:sft"],
             ["run", "small.yaml"], ["init"]):
    assert cli.run(line) == 0, line
found = [m for m in {HEAVY!r} if m in sys.modules]
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_align_imports_nothing() -> None:
    code = "import sys, align; print([m for m in sys.modules if m.startswith('align.') or m == 'pydantic'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_plan_says_what_runs_and_why(here: Path, align: Align, sealed: Callable[..., Plan]) -> None:
    sealed()
    told = align("plan", "small.yaml", "stages.dpo.beta=0.3")
    lines = {line.split()[0]: line for line in told.out.splitlines() if line.strip()}
    assert "reuse" in lines["sft"] and "loss 1.5" in lines["sft"]
    assert "run" in lines["dpo"] and "beta 0.1 -> 0.3" in lines["dpo"] and "~ 1 s" in lines["dpo"]
    assert "1,982 rows" in lines["chat"]
    assert max(map(len, told.out.splitlines())) <= 80 + len("align run small.yaml stages.dpo.beta=0.3")


def test_a_plan_of_many_steps_breaks_no_line_and_tells_once_that_align_has_changed(
    here: Path, align: Align, sealed: Callable[..., Plan]
) -> None:
    sealed()
    told = align("plan", "small.yaml").out
    lines = {line.split()[0]: line for line in told.splitlines() if line.strip()}
    assert told.count("align has changed") == 1 and "align has changed since 6 steps ran" in told
    assert all("reuse" in lines[name] and "ago" in lines[name] for name in ("pretrain", "sft", "pairs"))


def test_json_is_one_object_and_nothing_else(here: Path, align: Align, sealed: Callable[..., Plan]) -> None:
    plan = sealed()
    assert json.loads(align("plan", "small.yaml", "--json").out) == plan.to_json() | {"detectable": []}
    assert json.loads(align("show", "--json").out)["recipes"].keys() == {"small"}
    assert json.loads(align("show", "small:dpo", "--json").out)["lineage"]["parents"]
    ran = json.loads(align("run", "small.yaml", "--json").out)
    assert ran["ran"] == [] and {s["action"] for s in ran["steps"]} == {"reuse"}
    assert (
        json.loads(align("run", "small.yaml", "--dry-run", "--only", "sft", "--json").out)["steps"][0]["name"] == "sft"
    )


def test_errors_too_are_one_json_object_where_asked(here: Path, align: Align) -> None:
    told = align("plan", "small.yaml", "stages.dpo.betta=1", "--json")
    error = json.loads(told.out)["error"]
    assert told.code == error["exit_code"] == 2 and error["problems"][0]["key"] == "stages.dpo.betta"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["plan", "small.yaml", "stages.dpo.betta=1"], "Did you mean beta?"),
        (["plan", "smal.yaml"], "Did you mean small.yaml?"),
        (["run", "small.yaml", "--only", "dpoo"], "dpoo"),
        (["show", "small:dpoo"], "small"),
        (["pln"], "plan"),
        (["plan"], "RECIPE"),
        (["run", "small.yaml", "--nly", "x"], "--only"),
        (["export", "nothing:here", "out"], "nothing"),
        (["init", "no-such-thing"], "no such recipe"),
    ],
)
def test_a_persons_mistake_is_one_paragraph_and_exit_code_2(
    line: list[str], said: str, here: Path, align: Align
) -> None:
    told = align(*line)
    assert told.code == 2 and said in told.err and "Traceback" not in told.err and told.out == ""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("plan", "small.yaml", "dpo.beta=0.3"), "override  dpo   unknown key. Did you mean stages.dpo.beta?"),
        (("plan", "small.yaml", "beta=0.3"), "override  beta   unknown key. Did you mean stages.dpo.beta?"),
        (("plan", "small.yaml", "stages.dop.beta=0.3"), "there is no such stage. Did you mean stages.dpo?"),
        (("run", "small.yaml", "--only", "dop"), "there is no such step. Did you mean dpo?"),
        (
            ("run", "small.yaml", "--only", "dpo", "--until", "sft"),
            "--only, --from and --until together choose no step",
        ),
        (
            ("inspect", "small.yaml"),
            "this is a recipe. Inspect one of its data entries: small.yaml:chat, small.yaml:pairs",
        ),
        (("bench", "sfft"), "there is no work sfft. Did you mean sft?"),
        (("bench", "nothing"), "prepare, dedup."),
        (("pln", "small.yaml"), "No such command 'pln'. Did you mean 'plan'? See: align --help"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_with_what_was_meant(
    command: tuple[str, ...], said: str, here: Path, align: Align
) -> None:
    told = align(*command)
    assert told.code == 2 and said in told.err and "Traceback" not in told.err


@pytest.mark.parametrize(
    "command",
    [
        ("run", "small.yaml", "--store", "taken"),
        ("show", "--store", "taken"),
        ("init", "quickstart", "taken/quickstart.yaml"),
        ("report", "small.yaml", "-o", "taken/report.html"),
        ("export", "small:dpo", "taken/model"),
        ("card", "small:dpo", "-o", "taken/README.md"),
        ("gate", "small.yaml", "gates=[sft.loss < 9]", "--junit", "taken/gates.xml"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_without_a_traceback(
    command: tuple[str, ...], here: Path, align: Align, sealed: Callable[..., Plan]
) -> None:
    sealed()
    (here / "taken").write_text("a file where a folder is wanted")
    told = align(*command)
    assert told.code == 2 and "taken" in told.err and "Traceback" not in told.err


def test_without_a_command_there_is_help_and_no_complaint(align: Align) -> None:
    told = align()
    assert told.code == 0 and "align init quickstart" in told.out.splitlines()[-1] and not told.err


def test_a_plan_with_hub_ids_says_when_they_are_looked_up(here: Path, align: Align) -> None:
    assert "a hub id is looked up when it first runs" in align("plan", "sft_lora").out
    assert "looked up" not in align("plan", "small.yaml").out
    assert "1 data entry, 2 stages, 5 steps." in align("validate", "sft_lora").out


def test_recipes_are_listed_within_the_terminal(here: Path, align: Align) -> None:
    assert max(map(len, align("init").out.splitlines())) <= 80


def test_on_a_terminal_problems_are_broken_between_words_below_their_keys() -> None:
    problems = [
        Problem(3, "stages.sft.learning_rat", "unknown key. Did you mean learning_rate, which is missing?"),
        Problem(9, "gates.0", "short"),
    ]
    told = RecipeError("small.yaml", problems).told(60).splitlines()
    assert max(map(len, told)) <= 60
    assert told[2].strip() == "line 3    stages.sft.learning_rat" and told[3].startswith(" " * 12 + "unknown key. Did")
    assert told[-1].split() == ["line", "9", "gates.0", "short"]


def test_the_steps_of_a_run_stand_on_a_line_each(here: Path, align: Align, sealed: Callable[..., Plan]) -> None:
    sealed()
    lines = align("show", "small").out.splitlines()
    for name in ("chat", "sft", "dpo"):
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert "ago" in line and line.split()[-2:] in (["1,982", "rows"], ["loss", "1.5"])


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_a_stopped_run_says_how_to_go_on(
    number: int, code: int, here: Path, align: Align, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise Stopped(number)

    monkeypatch.setattr(runner, "run", stop)
    told = align("run", "small.yaml")
    assert told.code == code and "go on" in told.err and "Traceback" not in told.err


def test_ctrl_c_outside_a_step_is_130_without_a_traceback(
    here: Path, align: Align, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupt)
    told = align("run", "small.yaml")
    assert told.code == 130 and told.err.startswith("Stopped")


@pytest.mark.parametrize("error", [ZeroDivisionError("seven"), AlignError("Traceback of the child\nseven")])
def test_our_own_fault_is_exit_code_1_with_a_traceback(
    error: Exception, here: Path, align: Align, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(runner, "run", fail)
    told = align("run", "small.yaml")
    assert told.code == 1 and "Traceback" in told.err and "seven" in told.err and "fault of align" in told.err


def test_a_closed_pipe_is_silent(here: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "from align.cli import main; main()", "plan", "small.yaml"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""


def test_nothing_to_do_is_said_at_once(here: Path, align: Align, sealed: Callable[..., Plan]) -> None:
    sealed()
    began = time.monotonic()
    told = align("run", "small.yaml")
    assert told.code == 0 and "nothing to do" in told.out and "align show small" in told.out
    assert time.monotonic() - began < 2


def test_the_store_is_the_one_given_then_the_recipes_then_the_environments(
    here: Path, align: Align, sealed: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed()
    Path(".align").rename("elsewhere")
    actions = lambda *a: {s["action"] for s in json.loads(align("plan", "small.yaml", "--json", *a).out)["steps"]}  # noqa: E731
    assert actions() == {"run"}
    assert actions("--store", "elsewhere") == actions("store=elsewhere") == {"reuse"}
    monkeypatch.setenv("ALIGN_STORE", "elsewhere")
    assert actions() == {"reuse"} and actions("store=.align") == {"run"} and actions("--store", "empty") == {"run"}


def test_shipped_recipes_are_listed_copied_and_used_by_name(
    here: Path, align: Align, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here / "shipped"
    folder.mkdir()
    (folder / "chain.yaml").write_text(RECIPE)
    monkeypatch.setattr(shipped, "folder", lambda: folder)
    assert "chain  A small chain" in align("init").out
    told = align("plan", "chain", "--json")
    assert told.code == 0 and json.loads(told.out)["recipe"] == "small"
    for name in ("chain", "chain.yaml", "recipes/chain.yaml"):
        assert "using the shipped recipe" in align("validate", name).err
    assert align("init", "chain").code == 0 and Path("chain.yaml").read_text() == RECIPE
    assert "exists already" in align("init", "chain").err
    assert "using the shipped" not in align("validate", "chain.yaml").err
    assert align("init", "chain", "deep/mine").code == 0 and Path("deep/mine.yaml").is_file()
    assert align("init", "chian").code == 2


def test_an_export_is_the_sealed_model_and_a_changed_one_is_refused(
    here: Path, align: Align, sealed: Callable[..., Plan]
) -> None:
    plan = sealed()
    assert align("export", "small:sft", "out").code == 0
    assert Path("out/model.safetensors").read_text() == "weights"
    assert "exists already" in align("export", "small:sft", "out").err
    artifact = Store(Path(".align")).find("sft", plan.steps["sft"].key)
    assert artifact
    (artifact.path / "model" / "model.safetensors").write_text("WEIGHTS")
    told = align("export", "small:sft", "again")
    assert told.code == 2 and "hash" in told.err and not Path("again").exists()


@pytest.mark.parametrize("kind", ["SequenceClassification", "CausalLM"])
def test_an_export_says_with_which_class_it_is_loaded(kind: str, here: Path, align: Align) -> None:
    (here / "model").mkdir()
    (here / "model" / "config.json").write_text(json.dumps({"architectures": [f"LlamaFor{kind}"]}))
    (here / "model" / "model.safetensors").write_text("weights")
    told = align("export", "./model", "out")
    assert told.code == 0 and f'AutoModelFor{kind}.from_pretrained("out")' in told.out


def test_report_writes_one_file_and_says_what_is_missing(here: Path, sealed: Callable[..., Plan], align: Align) -> None:
    told = align("report", "small.yaml")
    assert told.code == 2 and "nothing of it has run" in told.err and "align run small.yaml" in told.err
    sealed("chat", "pairs", "corpus", "pretrain", "sft")
    told = align("report", "small.yaml", "-o", "out/r.html")
    assert told.code == 0 and "1 step of 6 still to run" in told.out
    assert "<!doctype html>" in Path("out/r.html").read_text()
    told = align("report", "small.yaml", "-o", "out")
    assert told.code == 2 and "it is a folder" in told.err
