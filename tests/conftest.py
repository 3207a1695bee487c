"""Every test is hermetic: no socket leaves the loopback, no hub, no tracking service, a store of its own."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Iterator
from multiprocessing import spawn
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false", WANDB_MODE="disabled"
)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: test workers share the cores
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # one, as each step sees
os.environ.pop("WANDB_API_KEY", None)

import pytest


def pytest_collection_finish() -> None:
    """What is imported stays; each trainer collects garbage as it starts, and would spend half a second on all of it."""
    gc.collect()
    gc.freeze()


_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: object) -> object:
    host = address[0] if isinstance(address, tuple) else None
    if self.family in (socket.AF_INET, socket.AF_INET6) and host not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"tests do not reach the network: {address}")
    return _connect(self, address)


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)
    monkeypatch.delenv("ALIGN_STORE", raising=False)


@pytest.fixture
def warm_python(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the test starts by sys.executable, or as a child of multiprocessing, has its imports done (tests/warm.py)."""
    from tests import warm

    monkeypatch.setattr(sys, "executable", warm.python())
    before = spawn.get_executable()
    spawn.set_executable(sys.executable)
    yield
    spawn.set_executable(before)


@pytest.fixture(scope="session")
def subject() -> Any:
    """A small random model with what is needed to measure it (align.evals.asking.Subject)."""
    from tests.subjects import make_subject

    return make_subject()
