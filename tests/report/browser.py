"""Chromium without a window, spoken to through chromedriver's WebDriver protocol on the loopback."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
]  # fmt: skip
BROWSERS = ("chromium", "google-chrome", "chromium-browser")
KEYS = {"left": "\ue012", "right": "\ue014", "up": "\ue013", "down": "\ue015", "enter": "\ue007", "tab": "\ue004"}


class Page:
    """One page in a browser."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, path: Path) -> None:
        self._ask("POST", "url", {"url": path.absolute().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body gives, once a promise it returns is settled."""
        return self._ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str, seconds: float = 10) -> Any:
        """The first true value of an expression."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(f"return {script}")):
            assert time.monotonic() < deadline, f"never true: {script}\n{self.complaints()}"
            time.sleep(0.05)
        return found

    def click(self, selector: str) -> None:
        found = self._ask("POST", "element", {"using": "css selector", "value": selector})
        self._ask("POST", f"element/{found[ELEMENT]}/click", {})

    def press(self, *keys: str) -> None:
        """Keys one after another, to whatever has the focus."""
        typed = [KEYS.get(k, k) for k in keys]
        actions = [{"type": kind, "value": k} for k in typed for kind in ("keyDown", "keyUp")]
        self._ask("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def devtools(self, command: str, **arguments: Any) -> Any:
        """What a command of the Chrome DevTools Protocol gives."""
        return self._ask("POST", "goog/cdp/execute", {"cmd": command, "params": arguments})

    def complaints(self) -> list[str]:
        """What the console was told since the last time, of warnings and errors."""
        return [entry["message"] for entry in self._ask("POST", "se/log", {"type": "browser"})]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        return _ask(method, f"{self._session}/{path}", body)


@contextlib.contextmanager
def chromium(folder: Path, *more: str) -> Iterator[Page]:
    """A browser with a profile of its own in `folder`; downloads go there too."""
    driver, browser = shutil.which("chromedriver"), next(filter(None, map(shutil.which, BROWSERS)), None)
    assert driver and browser, "install them: apt-get install -y chromium chromium-driver"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = f"http://127.0.0.1:{port}"
    try:
        _until_ready(root)
        asked = {
            "goog:chromeOptions": {
                "binary": browser,
                "args": [*ARGUMENTS, f"--user-data-dir={folder / 'profile'}", *more],
                "prefs": {"download.default_directory": str(folder), "download.prompt_for_download": False},
            },
            "goog:loggingPrefs": {"browser": "WARNING"},
            "unhandledPromptBehavior": "accept",
        }
        told = _ask("POST", f"{root}/session", {"capabilities": {"alwaysMatch": asked}})
        session = f"{root}/session/{told['sessionId']}"
        try:
            yield Page(session)
        finally:
            _ask("DELETE", session, None)
    finally:
        process.terminate()
        process.wait(10)


def _until_ready(root: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError):
            if _ask("GET", f"{root}/status", None)["ready"]:
                return
        assert time.monotonic() < deadline, "chromedriver did not start"
        time.sleep(0.05)


def _ask(method: str, address: str, body: dict[str, Any] | None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(json.load(error)["value"]["message"]) from None
