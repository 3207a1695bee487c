"""YAML with line numbers and nothing surprising: YAML 1.2 booleans and numbers, no aliases, no duplicate keys, a size limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from align.errors import Problem, RecipeError, UserError

LIMIT_BYTES = 1 << 20

_MEANT = {
    "'\\t' that cannot start": "a tab; lines are indented by spaces",
    "that cannot start any token": "a value that begins with such a character stands in quotes",
    "<block mapping start>": "this line is indented more or less than those it belongs to",
    "expected ',' or": "a bracket or brace that was opened before is not closed",
    "mapping values are not allowed here": "a second colon: a value that holds one stands in quotes",
}


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's core scalars: PyYAML's own reads `2e-5` as text and `on` as true."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - replaces the parent's table, which this class must not share


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9][0-9_]*$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class Document:
    """A recipe's plain data, and the line each dotted key stands on (0: given as an override)."""

    path: str
    data: dict[str, Any]
    lines: dict[str, int]
    overrides: tuple[str, ...] = ()

    def problem(self, key: str, message: str) -> Problem:
        """A problem at a key, with the line of the nearest key above that the file has."""
        at = key
        while at and at not in self.lines:
            at = at.rpartition(".")[0]
        return Problem(self.lines.get(at, 1), key, message)


def read_document(path: Path, overrides: list[str]) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        shipped = "list and copy the recipes that come with align: align init"
        raise UserError(str(path), "there is no such recipe", "", shipped) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(str(path), f"the recipe cannot be read ({error})") from None
    if len(text) > LIMIT_BYTES:
        raise UserError(str(path), f"the recipe is {len(text):,} bytes", f"at most {LIMIT_BYTES:,}")
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    try:
        if alias := next((e for e in yaml.parse(text, Loader=_Loader) if isinstance(e, yaml.AliasEvent)), None):
            raise RecipeError(str(path), [Problem(alias.start_mark.line + 1, "", "aliases (*name) are not allowed")])
        node = yaml.compose(text, Loader=_Loader)
        data = _plain(node, "", lines, problems) if node else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = _explained(str(getattr(error, "problem", None) or error))
        raise RecipeError(str(path), [Problem(mark.line + 1 if mark else 1, "", message)]) from None
    if not problems and not isinstance(data, dict):
        problems.append(Problem(1, "", "a recipe is a mapping: name, data, stages ..."))
    if problems:
        raise RecipeError(str(path), problems)
    for override in overrides:
        _apply(override, data, lines)
    return Document(str(path), data, lines, tuple(overrides))


def _explained(problem: str) -> str:
    """What PyYAML says of text that is no YAML; where that is hard to understand, what it mostly means."""
    return f"not YAML: {next((meant for said, meant in _MEANT.items() if said in problem), problem)}"


def _plain(node: yaml.Node, place: str, lines: dict[str, int], problems: list[Problem]) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(place, line)
    if node.tag and node.tag.startswith("!"):
        problems.append(Problem(line, place, f"the tag {node.tag} is not allowed in a recipe"))
        return None
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            inner = f"{place}.{key}" if place else key
            if key in out:
                problems.append(Problem(key_node.start_mark.line + 1, inner, "stands here twice"))
            lines[inner] = key_node.start_mark.line + 1
            out[key] = _plain(value_node, inner, lines, problems)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, f"{place}.{i}", lines, problems) for i, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_object(node)
    finally:
        loader.dispose()


def _apply(override: str, data: dict[str, Any], lines: dict[str, int]) -> None:
    """Sets `stages.dpo.beta=0.05`. Raises UserError when it is no KEY=VALUE or its path leads through a plain value."""
    key, equals, text = override.partition("=")
    keys = key.split(".")
    if not equals or not all(keys):
        raise UserError(override, "this is no override", "expected KEY=VALUE, e.g. stages.dpo.beta=0.05")
    try:
        node = yaml.compose(text, Loader=_Loader)
        value = _plain(node, key, {}, []) if node else None
    except yaml.YAMLError:
        value = text
    at = data
    for step in keys[:-1]:
        at = at.setdefault(step, {})
        if not isinstance(at, dict):
            raise UserError(override, f"{step} holds no keys", "expected a path such as stages.dpo.beta")
    at[keys[-1]] = value
    for parent in (".".join(keys[:count]) for count in range(1, len(keys))):
        lines.setdefault(parent, 0)
    for known in [k for k in lines if k == key or k.startswith(key + ".")]:
        del lines[known]
    lines[key] = 0
