"""One runner a step: an advisory lock that ends with its holder, so that a dead process leaves nothing to clean up."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from align.errors import BusyError


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Holds `path` as a lock for the body. Raises BusyError naming the holder when another process has it.

    The kernel frees an flock when its process ends, however it ends; the JSON inside only says who holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                what,
                f"another run is working on this step ({_holder(path)})",
                "",
                "wait for it, or stop it, and run again",
            ) from None
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%H:%M:%S")}, file)
        file.flush()
        yield


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text())
        return f"process {who['pid']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its holder has not written its name yet"
