"""The command line: it alone prints, parses arguments and exits.

Exit codes: 0 done · 1 our fault, with a traceback · 2 the person can fix it, one paragraph · 3 a gate failed ·
130 Ctrl-C · 143 SIGTERM, both saved and resumable.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import traceback
from typing import Any, NoReturn

from align.errors import AlignError, GateError, RecipeError, Stopped, UserError, of_place, wrapped

COMMANDS = (
    "app",
    "sweep_commands",
    "report_commands",
    "inspection_commands",
    "judging_commands",
    "check_commands",
)
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of `align`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's own flush at exit is silent too
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Carries out one command line and returns its exit code. Errors are told on stderr, and as JSON where asked."""
    for name in COMMANDS:  # each module adds its commands to the root
        importlib.import_module(f"align.cli.{name}")
    from align.cli.arguments import app

    try:
        code = app(arguments, standalone_mode=False, prog_name="align") or 0
        if code != INTERRUPTED:
            return code
        error: BaseException = Stopped(signal.SIGINT)  # typer makes an exit code of Ctrl-C
    except OSError as caught:
        error = of_place(caught)
    except Exception as caught:
        error = caught
    if "--json" in arguments and isinstance(error, AlignError) and not isinstance(error, GateError):
        print(json.dumps({"error": as_json(error)}))
    return _tell(error)


def as_json(error: AlignError) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": type(error).__name__, "message": sentence(error), "exit_code": error.exit_code}
    if isinstance(error, RecipeError):
        told["problems"] = [{"line": p.line, "key": p.key, "message": p.message} for p in error.problems]
    return told


def sentence(error: BaseException) -> str:
    if isinstance(error, Stopped):
        return "Stopped. Finished steps are sealed; run the same command again to go on from here."
    return str(error)


def _fitted(error: BaseException) -> str:
    """What is said of an error; on a terminal broken between words."""
    if not sys.stderr.isatty():
        return sentence(error)
    columns = max(40, shutil.get_terminal_size().columns)
    if isinstance(error, RecipeError):
        return error.told(columns)
    return "\n".join(wrapped(line, columns) for line in sentence(error).splitlines())


def _tell(error: BaseException) -> int:
    usage = getattr(error, "format_message", None)  # of typer, or of click under older versions of typer
    if usage:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(usage())
            return 0
        command = getattr(getattr(error, "ctx", None), "command_path", "align")
        said = usage().rstrip()
        print(f"{said}{'' if said.endswith(('.', '?', '!', ')')) else '.'} See: {command} --help", file=sys.stderr)
        return 2
    if isinstance(error, (UserError, GateError, Stopped)):
        print(_fitted(error), file=sys.stderr)
    elif isinstance(error, AlignError) and error.args and isinstance(error.args[0], str):
        print(f"{error.args[0].rstrip()}\nThis is a fault of align, not yours.", file=sys.stderr)
    else:
        traceback.print_exception(error)
        print("This is a fault of align, not yours.", file=sys.stderr)
    return error.exit_code if isinstance(error, AlignError) else 1
