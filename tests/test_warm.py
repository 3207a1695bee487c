"""The Python whose imports are done behaves as Python does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import warm

PRINTED = (
    "import os, sys; print(sys.argv, os.getcwd(), os.environ['TOLD'], sys.stdin.read()); print('x', file=sys.stderr)"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", PRINTED, "an argument", "ü"],
        ["-B", "-m", "told", "--more"],
        ["told.py", "-m"],
        ["-c", "raise SystemExit(3)"],
        ["-c", "raise SystemExit('a reason')"],
        ["-c", "import os; os.kill(os.getpid(), 9)"],
        ["-c", "import os; os.write({passed}, b'through a file that was passed on')"],
    ],
    ids=str,
)
def test_it_ends_and_says_what_a_plain_python_does(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(f"{PRINTED}; print(__name__, __spec__ and __spec__.name)")
    found = []
    for python in (sys.executable, warm.python()):
        into, passed = os.pipe()
        done = subprocess.run(
            [python, *(a.replace("{passed}", str(passed)) for a in arguments)],
            cwd=tmp_path, env={**os.environ, "TOLD": "here", "OMP_NUM_THREADS": "1"}, input="asked", capture_output=True,
            text=True, check=False, pass_fds=[passed],
        )  # fmt: skip
        os.close(passed)
        with os.fdopen(into) as written:
            found.append((done.returncode, done.stdout, done.stderr, written.read()))
    assert found[0] == found[1]


def test_what_it_starts_ends_when_it_is_killed() -> None:
    sleeping = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([warm.python(), "-c", sleeping], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        slept = Path(f"/proc/{int(process.stdout.readline())}/stat")
        process.kill()
    deadline = time.monotonic() + 10
    while slept.exists() and slept.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
