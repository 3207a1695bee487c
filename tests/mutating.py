"""Makes mistakes and runs their tests, each in a fork of a process that has imported and collected everything already.

Where a mistake lies within a function, the function gets the code of the mistake, so that whoever imported it has it: a fifth of
a second. Where it lies elsewhere, or the test passes all the same (it may start processes, or what the function made while it
was imported may stand), the package and its tests are copied, the mistake is written there and everything is imported afresh.
"""

from __future__ import annotations

import compileall
import importlib
import os
import py_compile
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from _pytest.main import pytest_runtestloop as run_items

ROOT = Path(__file__).parents[1]
COPIED = ("align", "tests", "data_schemas", "pyproject.toml")
SECONDS = 60
CAUGHT = (1, -signal.SIGALRM)  # a test that takes longer has caught the mistake, too
OPTIONS = ("-q", "-x", "-s", "--tb=no", "--assert=plain", "-o", "addopts=", "-p", "no:cacheprovider")


def wrong(mistake: Any, text: str) -> str:
    if text.count(mistake.old) != 1:
        raise SystemExit(f"{mistake.name}: {mistake.old!r} stands {text.count(mistake.old)} times in {mistake.file}")
    return text.replace(mistake.old, mistake.new)


def surviving(mistakes: list[Any]) -> tuple[int, list[str]]:
    """(exit code of the tests without any mistake, names of the mistakes that no test fails at)."""
    here = Here(mistakes)
    pytest.main([*OPTIONS, *sorted({m.test for m in mistakes})], plugins=[here])
    if here.baseline != 0 or not here.unsure:
        return here.baseline, []
    return 0, [m.name for m in afresh(here.unsure)]


class Here:
    """A plugin of pytest: runs what was collected many times over, in forks."""

    def __init__(self, mistakes: list[Any]) -> None:
        self.mistakes, self.unsure, self.baseline = mistakes, [], 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined] # one for all forks, removed by this process
        whole = list(session.items)
        if session.testsfailed or not whole:
            return True
        self.baseline = forked(lambda: failed(session, whole), 240)
        for mistake in self.mistakes if self.baseline == 0 else ():
            swap = swapped(mistake)
            items = [i for i in whole if i.nodeid == mistake.test or i.nodeid.startswith(f"{mistake.test}[")]
            if (
                swap is None
                or forked(lambda swap=swap, items=items: swap() or failed(session, items), SECONDS) not in CAUGHT
            ):
                self.unsure.append(mistake)
        return True


def failed(session: pytest.Session, items: list[pytest.Item]) -> int:
    session.items = items
    try:
        run_items(session)
    except session.Failed:
        return 1
    return int(session.testsfailed > 0)


def swapped(mistake: Any) -> Callable[[], None] | None:
    """What gives the functions that the mistake changes their new code; None where it is not all within functions."""
    path = ROOT / mistake.file
    text = path.read_text()
    right, mistaken = (compile(t, str(path), "exec", dont_inherit=True) for t in (text, wrong(mistake, text)))
    module = importlib.import_module(mistake.file.removesuffix(".py").replace("/", "."))
    changes = list(changed(right, mistaken, vars(module)))
    if not changes or None in changes:
        return None

    def swap() -> None:
        for function, code in filter(None, changes):
            function.__code__ = code

    return swap


def changed(
    right: CodeType, mistaken: CodeType, names: dict[str, Any] | Any
) -> Iterator[tuple[FunctionType, CodeType] | None]:
    """The functions of a module or class that differ, each with its new code; None for what else differs."""
    (mine, inner), (theirs, others) = parts(right), parts(mistaken)
    if mine != theirs or len(inner) != len(others):
        yield None
        return
    for old, new in zip(inner, others, strict=True):
        if old == new:
            continue
        found = names.get(old.co_name)
        if isinstance(found, type):
            yield from changed(old, new, vars(found))
        else:
            function = function_of(found, old)
            yield (function, new) if function and old.co_freevars == new.co_freevars else None


def parts(code: CodeType) -> tuple[Any, list[CodeType]]:
    """A body's own instructions and constants; the functions and classes in it."""
    own = [c for c in code.co_consts if not isinstance(c, CodeType)]
    return (code.co_code, own, code.co_names), [c for c in code.co_consts if isinstance(c, CodeType)]


def function_of(found: Any, code: CodeType) -> FunctionType | None:
    """The function of this code, under its decorators."""
    while found is not None:
        if isinstance(found, FunctionType) and found.__code__ == code:
            return found
        found = next(
            (getattr(found, n) for n in ("__wrapped__", "__func__", "fget", "func") if hasattr(found, n)), None
        )
    return None


def afresh(mistakes: list[Any]) -> Iterator[Any]:
    """Those that survive where everything is imported with the mistake in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        sound = compileall.compile_dir(copy, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        assert sound, "a file of the copy does not compile"
        for mistake in mistakes:
            path = copy / mistake.file
            text = path.read_text()
            path.write_text(wrong(mistake, text))
            code = forked(lambda mistake=mistake: imported_from(copy, mistake.test), SECONDS)
            if code not in CAUGHT:
                assert code == 0, f"{mistake.name}: its test could not be run"
                yield mistake
            path.write_text(text)


def imported_from(copy: Path, test: str) -> int:
    os.chdir(copy)
    sys.path[:] = [str(copy), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
    ours = (str(ROOT / "align"), str(ROOT / "tests"))
    for name in [n for n, m in sys.modules.items() if str(getattr(m, "__file__", None)).startswith(ours)]:
        del sys.modules[name]
    code = pytest.main([*OPTIONS, test])
    module = sys.modules.get("align")
    inside = module is not None and str(module.__file__).startswith(str(copy))
    return int(code) if inside or code else 99


def forked(work: Callable[[], int], seconds: int) -> int:
    """Exit code of a fork that does the work in silence."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            signal.alarm(seconds)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            code = work()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
