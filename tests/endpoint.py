"""An OpenAI-compatible endpoint on the loopback whose replies are written beforehand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any]], Any]  # text, an HTTP status, or seconds (a float) to be silent for


class Seen(list):  # type: ignore[type-arg]
    """Requests as (headers, body)."""

    url = ""


@contextmanager
def endpoint(reply: Reply) -> Iterator[Seen]:
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((dict(self.headers), body))
            said = reply(body)
            if isinstance(said, float):
                time.sleep(said)
            told = {"choices": [{"message": {"role": "assistant", "content": said}}]} if isinstance(said, str) else {}
            data = json.dumps(told).encode()
            self.send_response(said if isinstance(said, int) else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # the one that asked may have gone
                self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    seen.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()


def shown(body: dict[str, Any]) -> tuple[str, str]:
    """The two answers as the judge is shown them."""
    text = body["messages"][1]["content"]
    parts = [part.split(">\n", 1)[1].rsplit("\n</", 1)[0] for part in text.split("\n\n<")[1:]]
    return parts[-2], parts[-1].split("\n\nWhich answer")[0].rsplit("\n</", 1)[0]
