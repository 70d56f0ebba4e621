"""An HTTP server that receives messages and heartbeats."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "k3y-of-the-receiver"


@dataclass
class Receiver:
    """An HTTP server that answers with these codes, then 200, and stores what it accepted: bodies and paths.

    `says`: the text of its answers, in which `PATH` stands for the path that was asked for.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    says: str = ""
    got: list[Any] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    asked: int = 0

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> None:
        self.asked += 1
        code = self.answers.pop(0) if self.answers else 200
        if code == 200 and body is not None:
            self.got.append(json.loads(body))
        elif code == 200:
            self.called.append(handler.path)
        handler.send_response(code)
        handler.send_header("Location", f"{self.url}/elsewhere")
        handler.end_headers()
        handler.wfile.write(self.says.replace("PATH", handler.path).encode())


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver whose URL contains SECRET."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            made.answer(self, None)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook/{SECRET}"
    yield made
    server.shutdown()
    server.server_close()
