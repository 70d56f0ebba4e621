"""An S3 server that fails as told for a while, and then stores what it is sent."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["error", "reset"]
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class FailingBucket:
    """`fault`, for the first `times` requests. `requests`: each method with its path and query."""

    def __init__(self, fault: Fault, times: int) -> None:
        self.fault = fault
        self.times = times
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The value for OPS_ARCHIVE_URL."""
        at = f"127.0.0.1:{self._server.server_port}"
        return f"s3://me:secret@bucket/x?endpoint_override={at}&scheme=http&region=us-east-1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Callable[[], None]:
                if not name.startswith("do_"):
                    raise AttributeError(name)
                return self._answer

            def _answer(self) -> None:
                bucket.requests.append(f"{self.command} {self.path}")
                failing = len(bucket.requests) <= bucket.times
                if failing and bucket.fault == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    self.connection.close()
                    self.close_connection = True
                    return
                self._read_body()
                self.send_response(500 if failing else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _read_body(self) -> None:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    return
                while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                    self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it overrides
                pass

        return Handler


@contextmanager
def failing_bucket(fault: Fault, times: int) -> Iterator[FailingBucket]:
    """Runs such a server until the end of the block."""
    bucket = FailingBucket(fault, times)
    try:
        yield bucket
    finally:
        bucket.close()
