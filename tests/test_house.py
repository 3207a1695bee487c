"""The laws of the house, held by reading the source."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from align.specs import STEPS

ROOT = Path(__file__).parents[1]
# fmt: off
LIGHT = [
    "errors", "quantiles", "estimates", "paired", "findings", "importing", "serving", "credentials", "schema", "artifact",
    "quickstart", "specs", "words", "gates", "hub", "sources", "recipe_yaml", "recipe_problems", "recipe", "plan", "asked",
    "job", "shipped",
]
HEAVY = [
    "tracking", "wandb_runs", "plots", "objectives", "models", "data", "loop", "rollout", "scoring", "policy", "evals", "stages",
    "ranks", "workloads", "step", "rank", "answer", "transcripts", "inspection", "preflight",
]
AROUND = ["launch", "power", "runner", "lineage", "versus", "cells", "report", "sweep", "seeds", "face", "doctor", "bench", "cli"]
# fmt: on
ROOMS = [*LIGHT, *HEAVY, *AROUND]
TOP = {"pyproject.toml", "align", "recipes", "tests", "data_schemas", "README.md", "LICENSE"}
MAX_LINES, MAX_FUNCTION = 350, 80


def sources() -> list[Path]:
    return sorted((ROOT / "align").rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "align").parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "align":
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("align."):
            yield node.lineno, (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, a.name.split(".")[1]) for a in node.names if a.name.startswith("align."))


def test_every_room_has_its_place() -> None:
    assert {room_of(p) for p in sources()} - {"__init__", "__main__", "_shipped"} <= set(ROOMS)


def test_a_file_imports_only_from_earlier_rooms_and_groups_above() -> None:
    wrong = []
    for path in sources():
        room = room_of(path)
        if room in ("__init__", "__main__"):
            continue
        group = next(g for g in (LIGHT, HEAVY, AROUND) if room in g)
        allowed = set(group[: group.index(room) + 1]) | set(LIGHT)
        wrong += [
            f"{path.relative_to(ROOT)}:{line} imports {to}" for line, to in imported_rooms(path) if to not in allowed
        ]
    assert not wrong


def test_imports_stand_at_the_top_but_in_the_command_line() -> None:
    wrong = []
    for path in sources():
        if room_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inside = [n for n in ast.walk(node) if isinstance(n, (ast.Import, ast.ImportFrom))]
                wrong += [f"{path.relative_to(ROOT)}:{n.lineno}" for n in inside]
    assert not wrong


def test_files_and_functions_stay_small() -> None:
    wrong = []
    for path in sources():
        text = path.read_text()
        if text.count("\n") > MAX_LINES:
            wrong.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > MAX_FUNCTION:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines")
    assert not wrong


def test_no_room_is_a_drawer_for_everything() -> None:
    names = {p.stem for p in sources()} | {p.parent.name for p in sources()}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


def test_the_light_rooms_import_no_machine_learning_library() -> None:
    modules = [
        f"align.{'.'.join(p.relative_to(ROOT / 'align').with_suffix('').parts)}"
        for p in sources()
        if room_of(p) in LIGHT
    ]
    code = "import sys, importlib\n" + "".join(
        f"importlib.import_module({m.removesuffix('.__init__')!r})\n" for m in modules
    )
    code += "print([m for m in sys.modules if m in ('torch', 'transformers', 'trl', 'datasets', 'peft', 'numpy', 'pyarrow')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("library", "only"), [("wandb", "wandb_runs")])
def test_a_library_has_one_importer(library: str, only: str) -> None:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == library for name in names):
                assert room_of(path) == only, f"{path} imports {library}"


def test_only_the_command_line_prints_and_exits() -> None:
    wrong = []
    for path in sources():
        if room_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit", "exit", "quit"):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not wrong


def test_no_pickle_passes_between_stages() -> None:
    wrong = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "torch.save",
                "torch.load",
                "pickle.load",
                "pickle.dump",
            ):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not wrong


def test_a_stage_is_a_spec_a_stage_a_test_and_a_recipe_that_uses_it() -> None:
    written = "".join(p.read_text() for p in (ROOT / "recipes").glob("*.yaml"))
    for kind in STEPS:
        assert (ROOT / "align" / "stages" / f"{kind}.py").is_file()
        assert (ROOT / "tests" / "stages" / f"test_{kind}.py").is_file(), f"tests/stages/test_{kind}.py is missing"
        if kind not in (
            "prepare",
            "mix",
            "select",
            "measure",
            "compare",
        ):  # these come from data entries and evaluate stages
            assert f"kind: {kind}" in written, f"no recipe uses {kind}"
    assert "kind: evaluate" in written


def test_every_schema_says_what_it_is_and_gives_examples() -> None:
    for path in (ROOT / "data_schemas").glob("*.json"):
        schema = json.loads(path.read_text())
        assert schema.get("title") and schema.get("examples"), path.name


def test_the_visible_top_level_is_what_was_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    visible = {Path(name).parts[0] for name in listed if name and not name.startswith(".")}
    assert not visible or visible <= TOP, visible - TOP


def test_every_test_file_has_a_name_of_its_own() -> None:
    """pytest knows files of folders that are no packages by their names alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)
