"""Is this machine fit? Checks that run side by side, each with a time limit; none imports a machine-learning library here."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil
from packaging.requirements import Requirement

from align import credentials, words
from align.artifact.store import free_bytes

SECONDS_NETWORK = 5
SECONDS_TORCH = 12
SECONDS_ALL = 14
WANTED_BYTES = 5e9

State = Literal["ok", "note", "problem"]
PROBE = """
import json, torch
gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps({
    "cuda": torch.version.cuda, "built": torch.__version__, "threads": torch.get_num_threads(),
    "bfloat16": bool(gpus) and torch.cuda.is_bf16_supported(),
    "gpus": [[g.name, g.total_memory] for g in gpus],
}))
"""


@dataclass(frozen=True)
class Finding:
    """What one check found. `note`: works, with a limit worth knowing; `problem`: align cannot work so."""

    check: str
    state: State
    found: str
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def examine(store: Path) -> list[Finding]:
    """Every check at the same time, in a fixed order."""
    checks: dict[str, Callable[[], list[Finding]]] = {
        "python": _python, "libraries": _libraries, "torch": _torch, "memory": _memory,
        "disk": lambda: _disk(store), "hub": _hub, "wandb": _wandb,
    }  # fmt: skip

    found: dict[str, list[Finding]] = {}

    def carry_out(name: str) -> None:
        try:
            found[name] = checks[name]()
        except Exception as error:  # a check that fails is a finding, never the end of the others
            found[name] = [Finding(name, "note", f"could not be checked: {error}")]

    threads = {name: threading.Thread(target=carry_out, args=(name,), daemon=True) for name in checks}
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + SECONDS_ALL
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer within {SECONDS_ALL} s"  # asking for an address may hang longer than any limit of ours
    return [f for name in checks for f in found.get(name, [Finding(name, "note", late)])]


def verdict(findings: list[Finding]) -> tuple[State, str]:
    problems = [f.check for f in findings if f.state == "problem"]
    notes = [f.check for f in findings if f.state == "note"]
    if problems:
        return "problem", f"not ready: {', '.join(problems)}"
    if notes:
        return "note", f"ready, with limits: {', '.join(notes)}"
    return "ok", "ready"


def _python() -> list[Finding]:
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return [Finding("python", "ok" if fits else "problem", found, "" if fits else "use Python 3.11 to 3.13")]


def _libraries() -> list[Finding]:
    """The installed versions against those that align asks for."""
    wrong, told = [], []
    for line in metadata.requires("align") or []:
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} {version} is not {wanted.specifier}")
        if wanted.name in ("torch", "transformers", "trl", "peft", "datasets"):
            told.append(f"{wanted.name} {version}")
    if wrong:
        return [Finding("libraries", "problem", "; ".join(wrong), "install align again: pip install -e .")]
    return [Finding("libraries", "ok", ", ".join(told))]


def _torch() -> list[Finding]:
    """torch and the GPUs it sees, asked in a process of its own: a broken driver can hang or kill it."""
    try:
        ask = [sys.executable, "-c", PROBE]
        probed = subprocess.run(ask, capture_output=True, text=True, timeout=SECONDS_TORCH)
    except subprocess.TimeoutExpired:
        hint = "a slow disk at the first import, or a GPU driver that hangs: try nvidia-smi"
        return [Finding("torch", "problem", f"did not start within {SECONDS_TORCH} s", hint)]
    if probed.returncode:
        last = (probed.stderr.strip().splitlines() or ["no message"])[-1]
        return [Finding("torch", "problem", f"cannot be imported: {last}", "install it again: pip install torch")]
    told = json.loads(probed.stdout.splitlines()[-1])
    started = Finding("torch", "ok", f"{told['built']}, {words.plural(told['threads'], 'thread')}")
    if told["gpus"]:
        names = ", ".join(f"{name} ({memory / 1e9:.0f} GB)" for name, memory in told["gpus"])
        bf16 = told["bfloat16"]
        gpu = Finding("gpu", "ok" if bf16 else "note", names, "" if bf16 else "no bfloat16: training runs in float32")
    elif told["cuda"] is None:
        card = _has_card()
        hint = (
            "this torch has no CUDA: install one from pytorch.org"
            if card
            else "fine for the quickstart; use a GPU for more"
        )
        gpu = Finding(
            "gpu", "problem" if card else "note", "a card is there but torch cannot use it" if card else "none", hint
        )
    else:
        hint = "torch has CUDA but sees no GPU: is the driver loaded (nvidia-smi), is CUDA_VISIBLE_DEVICES empty?"
        gpu = Finding("gpu", "note", "none", hint)
    return [started, gpu]


def _has_card() -> bool:
    return Path("/proc/driver/nvidia/version").exists()


def _memory() -> list[Finding]:
    free = psutil.virtual_memory()
    found = f"{free.available / 1e9:.0f} of {free.total / 1e9:.0f} GB free, {os.cpu_count()} cores"
    small = free.available < 3e9
    return [Finding("memory", "note" if small else "ok", found, "the quickstart needs 3 GB" if small else "")]


def _disk(store: Path) -> list[Finding]:
    free = free_bytes(store.absolute())
    found = f"{free / 1e9:.0f} GB free at {store}"
    there = next(p for p in (store.absolute(), *store.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return [Finding("disk", "problem", f"{there} cannot be written to: {error.strerror}", "give another --store")]
    low = free < WANTED_BYTES
    hint = "a 1B model with its checkpoints takes about 20 GB; put the store elsewhere with --store" if low else ""
    return [Finding("disk", "note" if low else "ok", found, hint)]


def _hub() -> list[Finding]:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return [Finding("hub", "note", "offline, as HF_HUB_OFFLINE says", "only what is in its cache can be used")]
    base = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    failure, seconds = _reach(f"{base}/api/models?limit=1")
    token = "logged in" if _hub_token() else "not logged in (gated models need it: hf auth login)"
    if failure:
        return [
            Finding("hub", "note", f"{base} cannot be reached ({failure})", "local folders and files work without it")
        ]
    return [Finding("hub", "ok", f"reached in {seconds:.1f} s, {token}")]


def _hub_token() -> bool:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return bool(os.environ.get("HF_TOKEN")) or Path(os.environ.get("HF_TOKEN_PATH") or home / "token").is_file()


def _wandb() -> list[Finding]:
    mode = credentials.wandb_mode("auto")
    if mode == "disabled":
        why = "switched off by the environment" if credentials.wandb_key() else "no API key"
        return [Finding("wandb", "ok", f"{why}; curves are kept in local files", "to use it: wandb login")]
    if mode == "offline":
        return [Finding("wandb", "ok", "offline, as WANDB_MODE says", "send the runs later: wandb sync")]
    base = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    failure, seconds = _reach(f"{base}/healthz")
    if failure:
        return [Finding("wandb", "note", f"{base} cannot be reached ({failure})", "training goes on without it")]
    return [Finding("wandb", "ok", f"reached in {seconds:.1f} s, with an API key")]


def _reach(address: str) -> tuple[str, float]:
    """Why an address does not answer (empty when it does), and after how long. Any answer will do, also a refusal."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=SECONDS_NETWORK):
            pass
    except urllib.error.HTTPError as error:
        return (f"it answers {error.code}" if error.code >= 500 else ""), time.monotonic() - began
    except (OSError, ValueError) as error:
        reason: Any = getattr(error, "reason", error)
        return getattr(reason, "strerror", None) or str(reason) or type(error).__name__, time.monotonic() - began
    return "", time.monotonic() - began
