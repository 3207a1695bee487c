"""Carries out a plan: one child a step, in order, each judged again when its turn comes; and tells a listener."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from align import asked, errors, gates, power
from align import plan as plans
from align.artifact.store import Store
from align.errors import AlignError, Stopped
from align.gates import Judgement
from align.hub import resolve_commit
from align.job import job_of
from align.launch.server import Server
from align.plan import Plan, Step
from align.recipe import Recipe
from align.sources import COMMIT, Sources, pin_name
from align.specs import PrepareSpec


class Listener:
    """What shows a run to a person or a machine; this one shows nothing."""

    def planned(self, plan: Plan, chosen: list[Step]) -> None: ...
    def reused(self, step: Step) -> None: ...
    def started(self, step: Step) -> None: ...
    def told(self, step: Step, event: dict[str, Any]) -> None: ...
    def sealed(self, step: Step, metrics: dict[str, float], seconds: float) -> None: ...
    def failed(self, step: Step, error: BaseException) -> None: ...
    def refused(self, step: Step, waiting: Step) -> None:
        """A look ahead found that `step` cannot run; `waiting`, which was told as started, has not begun."""


@dataclass(frozen=True)
class Choice:
    """Which steps of a plan to look at: these only, from one on, until one; and which to run whatever the store holds."""

    only: tuple[str, ...] = ()
    start: str | None = None
    until: str | None = None
    force: bool = False
    strict_code: bool = False

    def names(self, recipe: Recipe) -> list[str]:
        """The chosen step names in order. A stage's name stands for all its steps. Raises UserError on an unknown one."""
        steps = plans.order(recipe)
        groups = {name: [name] for name in steps}
        groups |= {stage: [n for n in steps if n == stage or n.startswith(f"{stage}.")] for stage in recipe.stages}
        for name in (*self.only, self.start, self.until):
            if name is not None and name not in groups:
                raise errors.UserError(name, "there is no such step", "", errors.did_you_mean(name, groups))
        wanted = {n for name in self.only for n in groups[name]} or set(steps)
        first = min(map(steps.index, groups[self.start])) if self.start else 0
        last = max(map(steps.index, groups[self.until])) if self.until else len(steps)
        chosen = [n for place, n in enumerate(steps) if n in wanted and first <= place <= last]
        if not chosen:
            raise errors.UserError(recipe.path, "--only, --from and --until together choose no step")
        return chosen


@dataclass
class Outcome:
    """What a run did: the plan as it stands afterwards, the names of the steps that ran, and the gates as judged."""

    plan: Plan
    ran: list[str] = field(default_factory=list)
    gates: Judgement = field(default_factory=Judgement)


def resolve_pins(recipe: Recipe, store: Store) -> None:
    """Asks the hub, once, which commit each unpinned hub source of a recipe means, and writes it into the store."""
    wanted: list[tuple[str, str, str, str | None]] = [
        (key, place, "model", None) for key, place in recipe.outside().values()
    ]
    wanted += [
        (f"data.{n}.source", s.source, "dataset", s.revision)
        for n, s in recipe.data.items()
        if isinstance(s, PrepareSpec)
    ]
    sources = Sources(store)
    for where, location, repo, revision in wanted:
        found = sources.locate(where, location, repo, None, revision)
        if found.kind == "hub" and not found.digest and not (revision and COMMIT.fullmatch(revision)):
            store.pin(pin_name(repo, location, revision), resolve_commit(where, location, repo, revision))
    sources.save()


def run(recipe: Recipe, store: Store, choice: Choice, listener: Listener) -> Outcome:
    """Runs what a plan says must run, among the chosen steps. Raises the error of the first step that fails.

    A step whose input lies outside the choice and is not sealed raises UserError.
    """
    gates.open_baseline(recipe)  # one that is missing is told before the work, not after it
    resolve_pins(recipe, store)
    names = choice.names(recipe)
    forced = set(names) if choice.force else set()

    def look() -> Plan:
        plan = plans.make(recipe, store, frozenset(forced), choice.strict_code)
        asked.check(plan)  # a slice that no row has is told once its rows are prepared, before anything trains
        return plan

    outcome = Outcome(look())
    listener.planned(outcome.plan, [outcome.plan.steps[n] for n in names])
    server: Server | None = None
    looked = False
    for name in names:
        if outcome.ran:
            outcome.plan = look()  # what ran since may have changed an input's content, or left it as it was
        step = outcome.plan.steps[name]
        if step.action == "reuse":
            store.remember(recipe.name, name, step.kind, step.key)
            listener.reused(step)
            continue
        _require_inputs(outcome.plan, step)
        server = server or Server()
        listener.started(step)
        for can_show in power.of_step(outcome.plan, step, store):
            listener.told(step, {"event": "note", "text": str(can_show)})
        try:
            problem = None
            if not looked and step.spec.trains:
                looked = True
                problem = _look_ahead(server, outcome.plan, step, names, store, listener)
            if problem is None:
                _carry_out(server, outcome.plan, step, store, listener)
        except BaseException as error:
            listener.failed(step, error)
            raise
        if problem:
            listener.refused(_named_in(problem.where, outcome.plan, names, step), step)
            raise problem
        forced.discard(name)
        outcome.ran.append(name)
        store.remember(recipe.name, name, step.kind, step.key)
    if outcome.ran:
        outcome.plan = look()
    outcome.gates = gates.judge(recipe, outcome.plan.steps)
    return outcome


def _require_inputs(plan: Plan, step: Step) -> None:
    for edge in step.edges.values():
        if edge.step and plan.steps[edge.step].action == "run":
            raise errors.UserError(
                step.name,
                f"its input {edge.step} is not there ({plan.steps[edge.step].reason})",
                "",
                f"run {edge.step} first",
            )


def _look_ahead(
    server: Server, plan: Plan, first: Step, names: list[str], store: Store, listener: Listener
) -> errors.DataError | None:
    """Looks at every stage still to train before the first of them does: warnings are told, a problem is given back.

    A sample says too little of how many rows max_length would cut: that is left to the stage.
    """
    jobs = [job_of(plan, step, str(store.root)).to_json() for step in plan.steps.values()]
    waiting = [step.name for step in plan.to_run() if step.name in names]
    request = {"recipe": plan.recipe.name, "jobs": jobs, "to_run": waiting, "store": str(store.root)}
    problems: list[dict[str, Any]] = []
    with server.look_ahead(request) as (_, wire):
        for event in _heard(wire):
            finding = event.get("finding", {})
            if finding.get("state") == "problem" and "max_length" not in finding["found"]:
                problems.append(finding)
            elif finding.get("state") == "warning":
                listener.told(
                    _named_in(finding["subject"], plan, names, first),
                    {"event": "note", "text": f"{finding['found']}. {finding['remedy']}".strip()},
                )
    if not problems:
        return None
    told, *others = problems
    more = f"; {len(others)} more: align check {plan.recipe.path}" if others else ""
    return errors.DataError(told["subject"], told["found"], told["remedy"], f"Nothing was trained{more}")


def _named_in(subject: str, plan: Plan, names: list[str], otherwise: Step) -> Step:
    """The step that a finding is about: of `stages.evaluate.suites.NAME` the first model's; `otherwise` where it names none."""
    thing = subject.partition(".")[2].partition(",")[0]
    stage = max((name for name in names if f"{thing}.".startswith(f"{name}.")), key=len, default=otherwise.name)
    models = [name for name in names if name.startswith(f"{stage}.") and stage != thing]
    return plan.steps[models[0] if models else stage]


def _heard(wire: Connection) -> Iterator[dict[str, Any]]:
    """A child's events until it is done or gone."""
    while True:
        try:
            event = wire.recv()
        except (EOFError, OSError):
            return
        if event["event"] == "done":
            return
        yield event


def _carry_out(server: Server, plan: Plan, step: Step, store: Store, listener: Listener) -> None:
    def tell(event: dict[str, Any]) -> None:
        listener.told(step, event)

    with server.start(job_of(plan, step, str(store.root))) as (process, wire), _Interrupts(process, tell) as interrupts:
        last = _listen(wire, tell)
        process.join()
        if last.get("event") == "sealed":
            listener.sealed(step, last["metrics"], last["seconds"])
        elif last.get("event") == "failed":
            error = _error_of(last)
            if isinstance(error, Stopped) and interrupts.received:
                error = Stopped(interrupts.received)
            raise error
        else:
            raise _death(process.exitcode, step)
    if interrupts.received:
        raise Stopped(interrupts.received)


def _listen(wire: Connection, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Passes a child's events on until it says how it ended, or is gone."""
    while True:
        try:
            event = wire.recv()
        except (EOFError, OSError):
            return {}
        if event["event"] in ("sealed", "failed"):
            return event
        tell(event)


def _error_of(event: dict[str, Any]) -> BaseException:
    """The child's error as one of ours; an unexpected one carries its traceback as text."""
    kind = getattr(errors, event["class"], None)
    if kind is None:
        return AlignError(event["args"][0])
    return kind(*event["args"])


def _death(code: int | None, step: Step) -> AlignError:
    """A child that ended without a word: killed from outside, or out of memory."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = "the machine may have run out of memory: lower micro_batch_size" if name == "SIGKILL" else "see its log"
        return errors.ResourceError(
            step.name, f"its process was ended by {name}", "", f"{hint}; run again to go on from its checkpoint"
        )
    return AlignError(f"{step.name}: its process ended with exit code {code} and no message")


class _Interrupts:
    """Turns Ctrl-C and SIGTERM into a request to the child to save and end; a second one does not hurry it."""

    def __init__(self, process: BaseProcess, tell: Callable[[dict[str, Any]], None]) -> None:
        self._process, self._tell = process, tell
        self.received = 0

    def __enter__(self) -> _Interrupts:
        self._before = {n: signal.signal(n, self._ask) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        """Once asked to stop, this process only ends: a second signal must not turn its exit code into a death."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self.received else handler)

    def _ask(self, number: int, _: object) -> None:
        if not self.received and self._process.is_alive():
            self._process.terminate()
            self._tell({"event": "stopping"})
        self.received = self.received or number
