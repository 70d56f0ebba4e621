"""HTTP by hand, to tell an answer that was cut short from one that never began."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

END = b"\r\n\r\n"


class CutShortError(Exception):
    """An answer was cut short; the message is what had arrived."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    """One connection to an API. `pause` is called after each piece that was read, for a slow reader."""

    socket: socket.socket
    pause: Callable[[], None] = lambda: None
    piece: int = 65536

    @classmethod
    def to(cls, port: int, *, slowly: bool = False) -> "Wire":
        """Connects. Raises OSError when no process listens."""
        connected = socket.create_connection(("127.0.0.1", port), timeout=60)
        return cls(connected, pause=lambda: time.sleep(0.005), piece=512) if slowly else cls(connected)

    def ask(self, method: str, path: str, key: str, *pieces: bytes) -> Answer | None:
        """The answer, or None when the connection ended before one began. Raises CutShortError.

        The body is sent in these pieces, with short pauses.
        """
        length = sum(map(len, pieces))
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}"
        )
        try:
            self.socket.sendall(head.encode() + b"\r\nContent-Type: application/json\r\n\r\n")
            for number, piece in enumerate(pieces):
                if number:
                    time.sleep(0.05)
                self.socket.sendall(piece)
        except OSError:
            pass  # reading shows whether it was answered before the connection ended
        return self._answer()

    def ended(self) -> bytes:
        """Waits until the server ends the connection and returns what it sent before."""
        came = b""
        try:
            while data := self.socket.recv(65536):
                came += data
        except ConnectionResetError:
            pass
        return came

    def close(self) -> None:
        self.socket.close()

    def _answer(self) -> Answer | None:
        read = b""
        while (whole := _parse(read)) is None:
            try:
                data = self.socket.recv(self.piece)
            except ConnectionResetError:
                data = b""
            if not data:
                if read:
                    raise CutShortError(read[-500:].decode("latin-1"))
                return None
            read += data
            self.pause()
        return whole


def _parse(read: bytes) -> Answer | None:
    head, end, body = read.partition(END)
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = int(first.split()[1])
    if headers.get("transfer-encoding") == "chunked":
        whole = body.endswith(b"0" + END)
    else:
        whole = len(body) >= int(headers.get("content-length", 0))
    return Answer(status, headers, body) if whole else None
