"""A hub on the loopback: enough of the real one's HTTP for huggingface_hub and datasets to find, miss, wait and be moved on.

hub = Hub(); hub.add("model", "someone/tiny", folder)
with hub.serving() as url: ... HF_ENDPOINT=url ...
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

APIS = {"models": "model", "datasets": "dataset"}


@dataclass
class Hub:
    """Repositories by (kind, id), each with the files of its one commit; `moved` forwards old ids; `delay` seconds a request."""

    port: int = 0  # any that is free
    repositories: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    seen: list[str] = field(default_factory=list)

    def add(self, kind: str, name: str, folder: Path) -> None:
        files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        self.repositories[kind, name] = files

    def commit(self, kind: str, name: str) -> str:
        """A new commit hash for new content, as git gives."""
        whole = hashlib.sha1(f"{kind} {name}".encode())
        for path, data in self.repositories[kind, name].items():
            whole.update(path.encode() + data)
        return whole.hexdigest()

    @contextmanager
    def serving(self) -> Iterator[str]:
        server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Handler", (_Handler,), {"hub": self}))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes = b"") -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.seen.append(f"{self.command} {path}")
        time.sleep(self.hub.delay)
        for old, new in self.hub.moved.items():
            if f"/{old}/" in f"/{path}/":
                self._send(307, b"", Location=f"/{path.replace(old, new)}")
                return
        parts = path.split("/")
        if parts[0] == "api" and len(parts) >= 4 and parts[1] in APIS:
            self._api(APIS[parts[1]], "/".join(parts[2:4]), parts[4:], body)
            return
        kind = "dataset" if parts[0] == "datasets" else "model"
        parts = parts[1:] if kind == "dataset" else parts
        if len(parts) > 4 and parts[2] == "resolve":
            self._file(kind, "/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._missing("EntryNotFound")

    def _api(self, kind: str, name: str, rest: list[str], body: bytes) -> None:
        files = self.hub.repositories.get((kind, name))
        if files is None:
            self._missing("RepoNotFound", 401)
            return
        commit = self.hub.commit(kind, name)
        if rest and rest[0] in ("revision", "tree", "paths-info") and rest[1] not in ("main", commit):
            self._missing("RevisionNotFound")
        elif rest and rest[0] == "tree":
            under = "/".join(rest[2:])
            self._json([_entry(p, d) for p, d in files.items() if not under or p.startswith(under + "/")])
        elif rest and rest[0] == "paths-info":
            asked = json.loads(body)["paths"]
            self._json([_entry(p, files[p]) for p in asked if p in files])
        else:
            self._json({"id": name, "sha": commit, "siblings": [{"rfilename": p} for p in files], "tags": []})

    def _file(self, kind: str, name: str, revision: str, path: str) -> None:
        files = self.hub.repositories.get((kind, name))
        if files is None:
            self._missing("RepoNotFound", 401)
        elif revision not in ("main", self.hub.commit(kind, name)):
            self._missing("RevisionNotFound")
        elif path not in files:
            self._missing("EntryNotFound")
        else:
            data, told = files[path], {"X-Repo-Commit": self.hub.commit(kind, name), "Accept-Ranges": "bytes"}
            told["ETag"] = f'"{hashlib.sha1(data).hexdigest()}"'
            wanted = self.headers.get("Range", "").removeprefix("bytes=")
            if wanted:
                first, _, last = wanted.partition("-")
                part = data[int(first) : int(last or len(data) - 1) + 1]
                told["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
                self._send(206, part, **told)
            else:
                self._send(200, data, **told)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), **{"Content-Type": "application/json"})

    def _missing(self, code: str, status: int = 404) -> None:
        self._send(status, b"", **{"X-Error-Code": code, "X-Error-Message": "not found"})

    def _send(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _entry(path: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
