"""A person's own scorer, `file:PATH.py:FUNCTION`: checked where it is named, without being run, and counted by what it says."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from align.artifact.digests import of_file
from align.errors import did_you_mean

FILE = "file:"


def split_file(use: str) -> tuple[Path, str]:
    """`file:rewards.py:score` -> (rewards.py, score)."""
    path, _, function = use.removeprefix(FILE).rpartition(":")
    return Path(path).expanduser(), function


def checked_file(use: str) -> str:
    """Raises ValueError unless there is such a file that may have such a function."""
    path, function = split_file(use)
    if not function.isidentifier() or path.suffix != ".py":
        raise ValueError(f"{use} names no function; expected file:PATH.py:FUNCTION")
    if not path.is_file():
        raise ValueError(f"there is no file {path.absolute()}")
    _check_function(path, function)
    return use


def _check_function(path: Path, function: str) -> None:
    """Raise ValueError where the file is no Python, or cannot have the function; it is read, not run."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path}, line {getattr(error, 'lineno', None) or 1}: {error.args[0]}") from None
    defined = [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    named |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    if not {function, "*"} & {*defined, *named}:
        raise ValueError(f"{path} has no function {function}. {did_you_mean(function, defined)}")


def by_function(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a step what it is, each user's file by what it says and not by where it lies."""
    return {key: _content(value) for key, value in identity.items()}


def _content(value: Any) -> Any:
    if isinstance(value, list):
        return [_content(each) for each in value]
    if not isinstance(value, str) or not value.startswith(FILE):
        return value
    path, function = split_file(value)
    return f"{FILE}{of_file(path)}:{function}"
