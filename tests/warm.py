"""A Python whose imports are done: `python()` names a program that is used as sys.executable is, and starts in 0.05 s.

A process started with torch, transformers and TRL spends 6 s of computing on their imports, and the slow suite starts about
a hundred. The program named is a small script that hands its arguments, folder, environment and open files to a server,
which has imported all of it and has computed nothing; the server forks, the fork runs the module or file as Python would,
and the script ends as the fork ended. What a process does is untouched: `align run` in such a Python starts its own server
of steps (by the same program), with the runner's own code. A killed script takes its fork along; signals that can be caught
are not passed on, and what libraries read from the environment while they are imported is as it was when the server
started: tests of either use sys.executable.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import gc
import importlib
import json
import multiprocessing
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

IMPORTED = ("align.step", "align.cli.app", "align.preflight.service", "align.rank", "align.workloads.training")
FIRST_FREE = 128  # open files are moved to numbers from here on, while the numbers that they have to get are made free
LEASE, FORK = b"L", b"F"
SCRIPT = """\
#!{python} -IS
import json, os, signal, socket, sys
files = []
for name in os.listdir("/dev/fd"):
    try:
        os.fstat(int(name))
        files.append(int(name))
    except OSError:
        pass
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
told = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ), "files": files}}
socket.send_fds(server, [{fork!r}], files)
server.sendall(json.dumps(told).encode() + b"\\n")
code = int(server.makefile().read())
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@functools.cache
def python(**environment: str) -> str:
    """The program's path. The workers of a test run share one server, which ends with the last of them.

    `environment` is what libraries have to see while they are imported: another one, another server.
    """
    whose = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")
    whose += f"-{zlib.crc32(repr(sorted(environment.items())).encode())}" if environment else ""
    folder = Path(tempfile.gettempdir()) / f"warm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    address, script = str(folder / f"{whose}.socket"), folder / f"{whose}.python"
    with locked(folder):
        lease = connected(address)
        if lease is None:
            script.write_text(SCRIPT.format(python=sys.executable, address=address, fork=FORK))
            script.chmod(0o755)
            lease = started(address, script, environment)
    atexit.register(lease.close)
    return str(script)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def connected(address: str) -> socket.socket | None:
    """A lease, None where no server gives one (any more)."""
    lease = socket.socket(socket.AF_UNIX)
    with suppress(OSError):
        lease.connect(address)
        lease.sendall(LEASE)
        if lease.recv(1) == LEASE:
            return lease
    lease.close()
    return None


def started(address: str, script: Path, environment: dict[str, str]) -> socket.socket:
    root = str(Path(__file__).parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", address, str(script)],
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths} | environment,
        start_new_session=True,
    )
    while (lease := connected(address)) is None:
        assert server.poll() is None, "the server did not start"
        time.sleep(0.02)
    return lease


class Server:
    """Forks for whoever asks; ends when nobody holds a lease any more."""

    def __init__(self, address: str, script: str) -> None:
        self._script = script
        self._forks: dict[socket.socket, int] = {}  # process ids
        self._leases: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        Path(address).unlink(missing_ok=True)
        self._listener.bind(address)
        self._listener.listen(64)
        self._address, self._made = Path(address), Path(address).stat().st_ino
        self._waiting = selectors.DefaultSelector()
        self._ended, wake = os.pipe()
        for end in (self._ended, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        for file in (self._listener, self._ended):
            self._waiting.register(file, selectors.EVENT_READ)

    def serve(self) -> None:
        """Then removes what it is known by, unless another server has taken its place."""
        self._serve()
        self._listener.close()
        with locked(self._address.parent), suppress(OSError):
            if self._address.stat().st_ino == self._made:
                self._address.unlink()
                Path(self._script).unlink()

    def _serve(self) -> None:
        while True:
            for key, _ in self._waiting.select():
                if key.fileobj is self._listener:
                    self._answer(self._listener.accept()[0])
                elif key.fileobj == self._ended:
                    os.read(self._ended, 4096)
                    self._tell_the_ended()
                elif key.fileobj in self._leases:
                    self._leases.discard(key.fileobj)  # type: ignore[arg-type]
                    self._waiting.unregister(key.fileobj)
                    if not self._leases:
                        return
                elif key.fileobj in self._forks:
                    self._kill(key.fileobj)

    def _answer(self, client: socket.socket) -> None:
        asked, files, _, _ = socket.recv_fds(client, 1, 250)
        if asked == LEASE:
            client.sendall(LEASE)
            self._leases.add(client)
        elif asked == FORK:
            told = json.loads(client.makefile().readline())
            process = os.fork()
            if process == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                become(told, files, self._script)
            for file in files:
                os.close(file)
            self._forks[client] = process
        else:
            client.close()
            return
        self._waiting.register(client, selectors.EVENT_READ)

    def _tell_the_ended(self) -> None:
        while self._forks:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            client = next(c for c, p in self._forks.items() if p == process)
            del self._forks[client]
            with suppress(KeyError):  # its script was killed
                self._waiting.unregister(client)
            with suppress(OSError):
                client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            client.close()

    def _kill(self, client: Any) -> None:
        """A script sends nothing more: that it can be read means that it is gone."""
        self._waiting.unregister(client)
        try:
            os.killpg(self._forks[client], signal.SIGKILL)
        except ProcessLookupError:  # it has not made its group yet
            os.kill(self._forks[client], signal.SIGKILL)


def become(told: dict[str, Any], files: list[int], script: str) -> None:
    """Turns this fork into the process that was asked for, and ends it."""
    os.setsid()
    place(files, told["files"])
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        opened = open_text(number)
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)
    sys.executable = script
    multiprocessing.set_executable(script)
    random.seed()
    code = 1
    try:
        code = ended(told["arguments"])
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
    finally:
        os._exit(code)


def ended(arguments: list[str]) -> int:
    """The exit code of what is run."""
    try:
        run(arguments)
        return 0
    except SystemExit as exit:
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
        return exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1


def place(files: list[int], numbers: list[int]) -> None:
    """Gives the open files the numbers that they had in the asking process, and closes all others."""
    high = [fcntl.fcntl(file, fcntl.F_DUPFD, FIRST_FREE) for file in files]
    os.closerange(3, FIRST_FREE)
    for file, number in zip(high, numbers, strict=True):
        os.dup2(file, number)
    os.closerange(FIRST_FREE, 2 * FIRST_FREE)


def open_text(number: int) -> TextIOWrapper:
    """A standard stream, as Python opens it."""
    binary = open(number, "rb" if number == 0 else "wb", closefd=False)  # noqa: SIM115
    errors = "backslashreplace" if number == 2 else "strict"
    return TextIOWrapper(binary, "utf-8", errors, line_buffering=number == 2 or binary.isatty())


def run(arguments: list[str]) -> None:
    """As `python ARGUMENTS`: options, then -c CODE, -m MODULE or a file."""
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-c", "-m"):
        rest.pop(0)
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, named), *(path for path in sys.path if path and path not in named)]
    if rest[0] in ("-c", "-m"):
        how, what, *others = rest
        sys.path.insert(0, str(Path.cwd()) if how == "-m" else "")
        sys.argv = [how, *others]
        if how == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            main = type(sys)("__main__")
            main.__spec__ = None
            sys.modules["__main__"] = main
            exec(what, main.__dict__)  # noqa: S102
    else:
        sys.path.insert(0, str(Path(rest[0]).parent))
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    Server(*sys.argv[1:]).serve()
