"""A recipe: what a person wrote, checked and frozen. All its problems are shown at once, each with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, PrivateAttr, Tag, ValidationError

from align import gates
from align.errors import Problem, RecipeError, did_you_mean
from align.recipe_problems import explained, without_kind
from align.recipe_yaml import Document, read_document
from align.specs import MADE_OF, STAGES, EvaluateSpec, MixSpec, PrepareSpec, SelectSpec, Settings, Spec

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
RESERVED = ("base", "none")
_SPOKEN = {"model": "a model", "reward": "a reward model", "rows": "rows", "report": "a report"}


def _sound(gate: str) -> str:
    gates.parse(gate)
    return gate


DataEntry = Annotated[
    Annotated[PrepareSpec, Tag("(source)")] | Annotated[MixSpec, Tag("(mix)")] | Annotated[SelectSpec, Tag("(select)")],
    Discriminator(lambda entry: next((f"({key})" for key in MADE_OF if key in entry), "(source)")),
]


class Tracking(Settings):
    """Weights & Biases; `auto` is online when there is an API key, and local files only otherwise."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "align"
    entity: str | None = None


class Recipe(Settings):
    name: str = Field(pattern=NAME)
    seed: int = Field(0, ge=0)
    base: str | None = Field(None, description="hub id (pinned at first run) or folder of the model to start from")
    models: dict[Annotated[str, Field(pattern=NAME)], str] = Field(
        default_factory=dict,
        description="name: hub id, folder or artifact of further models, to measure or to start from",
    )
    data: dict[Annotated[str, Field(pattern=NAME)], DataEntry] = Field(default_factory=dict)
    stages: dict[Annotated[str, Field(pattern=NAME)], Spec] = Field(default_factory=dict)
    gates: list[Annotated[str, AfterValidator(_sound)]] = Field(
        default_factory=list, description="what must hold, e.g. dpo.preference.win_rate > 0.55"
    )
    baseline: str | None = Field(
        None, description="file of align gate --save-baseline, for gates that speak of baseline."
    )
    store: str = ".align"
    tracking: Tracking = Tracking()
    _document: Document = PrivateAttr(default=Document("recipe", {}, {}))

    @property
    def path(self) -> str:
        return self._document.path

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings that were given beside the file, as they were written."""
        return self._document.overrides

    def line_of(self, key: str) -> int:
        """The line a dotted key stands on, or the nearest key above it."""
        return self._document.problem(key, "").line

    def outside(self) -> dict[str, tuple[str, str]]:
        """Models that no step makes, by name: the key that they are written under, and where they are."""
        named = {name: (f"models.{name}", where) for name, where in self.models.items()}
        return {"base": ("base", self.base), **named} if self.base is not None else named

    def steps(self) -> dict[str, Spec]:
        """Every step that a plan of this recipe has, in the order written: data entries first, stages expanded."""
        steps: dict[str, Spec] = dict(self.data)
        grew_from = {name: getattr(spec, spec.trains) for name, spec in self.stages.items() if spec.trains}
        for name, spec in self.stages.items():
            steps |= spec.expand(name, grew_from) if isinstance(spec, EvaluateSpec) else {name: spec}
        return steps


def load(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Reads a recipe file, applies `key=value` overrides and checks it. Raises RecipeError with every problem found."""
    document = read_document(Path(path), overrides or [])
    recipe, problems = _parse(document)
    if recipe and not problems:
        problems = check_edges(recipe, document) + gates.check(recipe)
    if problems or recipe is None:
        raise RecipeError(str(path), problems)
    return recipe


def _parse(document: Document) -> tuple[Recipe | None, list[Problem]]:
    """Settings by kind first, so that a wrong `beta` is told as such and not as `no kind matches`."""
    problems: list[Problem] = []
    raw = dict(document.data)
    stages: dict[str, Spec] = {}
    for name, body in (raw.get("stages") or {}).items() if isinstance(raw.get("stages"), dict) else ():
        place = f"stages.{name}"
        kind = body.get("kind") if isinstance(body, dict) else None
        if not isinstance(kind, str) or kind not in STAGES:
            problems.append(without_kind(place, body, document))
            continue
        try:
            stages[name] = STAGES[kind].model_validate(body)
        except ValidationError as error:
            problems += explained(error, STAGES[kind], place, document)
    try:
        recipe = Recipe.model_validate({**raw, "stages": {}})
        recipe = recipe.model_copy(update={"stages": stages})
        recipe._document = document
    except ValidationError as error:
        return None, problems + explained(error, Recipe, "", document)
    for name in recipe.models:
        if name in (*RESERVED, *recipe.data, *recipe.stages):
            problems.append(document.problem(f"models.{name}", f"the name {name} is taken"))
    for name in [*recipe.data, *recipe.stages]:
        place = f"{'data' if name in recipe.data else 'stages'}.{name}"
        if name in RESERVED or (name in recipe.data and name in recipe.stages):
            problems.append(document.problem(place, f"the name {name} is taken"))
    return recipe, problems


def check_edges(recipe: Recipe, document: Document) -> list[Problem]:
    """Whether every input names something that carries what its end takes, and no step waits for itself."""
    problems: list[Problem] = []
    steps = recipe.steps()
    for name, spec in steps.items():
        for field, (reference, port) in spec.references().items():
            message = _edge_problem(recipe, steps, name, reference, port)
            if message:
                problems.append(document.problem(_written_at(recipe, name, field), message))
    unique = list({(p.key, p.message): p for p in problems}.values())
    return unique or _circle(steps, document)


def _written_at(recipe: Recipe, step: str, field: str) -> str:
    """Where in the recipe an input stands; steps made from one stage point back to it."""
    stage = step if step in recipe.stages or step in recipe.data else step.rsplit(".", 1)[0]
    spec = recipe.stages.get(stage)
    if isinstance(spec, EvaluateSpec):
        if field == "model":
            field = f"models.{spec.models.index(step.rsplit('.', 1)[1])}" if "." in step else "models"
        elif field.startswith("reports"):
            field = "models"
    return f"{'data' if stage in recipe.data else 'stages'}.{stage}.{field}"


def split_reference(reference: str, steps: dict[str, Spec]) -> tuple[str, str | None]:
    """`pairs.holdout` -> (pairs, holdout); a step's own name may hold a dot (`evaluate.sft`)."""
    if reference in steps or "." not in reference:
        return reference, None
    name, part = reference.rsplit(".", 1)
    return name, part


def _edge_problem(recipe: Recipe, steps: dict[str, Spec], step: str, reference: str, port: Any) -> str | None:
    name, part = split_reference(reference, steps)
    if name == "base" and recipe.base is None:
        return "the recipe names no base model. Add a line base: HUB_ID or FOLDER"
    if name in recipe.outside():
        return None if port.takes == "model" else f"{name} is a model, expected {_wanted(port)}"
    if name not in steps:
        known = [*steps, *recipe.models, "base"]
        near = did_you_mean(name, known)
        if not near.startswith("Did"):
            fits = [n for n in known if n not in steps or steps[n].writes == port.takes]
            near = did_you_mean(name, [n for n in fits if n in steps or port.takes == "model"])
        return f'"{reference}" is not a stage, a data entry or base. {near or f"None gives {_wanted(port)}."}'
    target = steps[name]
    if target.writes != port.takes:
        return f"{name} gives {_SPOKEN[target.writes]}, expected {_wanted(port)}"
    if isinstance(target, (PrepareSpec, MixSpec, SelectSpec)):
        if part and part not in target.parts():
            hint = (
                ""
                if not isinstance(target, PrepareSpec) or target.holdout
                else f" Give data.{name} a holdout, e.g. holdout: 0.1"
            )
            return f"{name} has no part {part}; it has {', '.join(target.parts())}.{hint}"
        if not port.admits(target.as_):
            return f"{name} holds {target.as_} rows, expected {_wanted(port)}"
    elif part:
        return f"{name} has no parts, found {reference}"
    return None


def _wanted(port: Any) -> str:
    return f"{' or '.join(port.row_types)} rows" if port.takes == "rows" else _SPOKEN[port.takes]


def _circle(steps: dict[str, Spec], document: Document) -> list[Problem]:
    done: set[str] = set()
    while True:
        ready = [n for n in steps if n not in done and _needs(steps, n) <= done]
        if not ready:
            break
        done |= set(ready)
    stuck = [n for n in steps if n not in done]
    if not stuck:
        return []
    place = f"{'data' if isinstance(steps[stuck[0]], (PrepareSpec, MixSpec)) else 'stages'}.{stuck[0]}"
    return [document.problem(place, f"a circle: {' -> '.join(_walk_circle(steps, stuck))}")]


def _needs(steps: dict[str, Spec], name: str) -> set[str]:
    targets = (split_reference(r, steps)[0] for r, _ in steps[name].references().values())
    return {t for t in targets if t in steps}


def _walk_circle(steps: dict[str, Spec], stuck: list[str]) -> list[str]:
    path = [stuck[0]]
    while True:
        following = next(n for n in sorted(_needs(steps, path[-1])) if n in stuck)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
