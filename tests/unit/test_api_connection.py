"""The client's connection goes to the API alone, and says what is wrong with its address."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops_pipeline.audit.api_connection import ApiConnection, UnreachableError


class Server(ThreadingHTTPServer):
    """Answers every POST with `status`; remembers the peers and what they sent."""

    daemon_threads = True
    status = 201
    closes = False
    """Whether connections are closed after a response that does not say so."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.peers: list[int] = []
        self.received: list[tuple[str, str | None, bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.peers.append(self.client_address[1])
        self.server.received.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.status)
        self.send_header("Location", f"{self.server.address}/elsewhere")
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        self.close_connection = self.server.closes

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_requests_go_over_one_connection_to_the_path_below_the_address(server: Server) -> None:
    api = ApiConnection(f"{server.address}/ops/", "ops_key")

    answers = [api.post(b"[]"), api.post(b"[1]")]
    api.close()

    assert [(answer.status, answer.text, answer.retry_after) for answer in answers] == [(201, "{}", "7")] * 2
    path, key = "/ops/api/audit-logs", "Bearer ops_key"
    assert server.received == [(path, key, b"[]"), (path, key, b"[1]")]
    assert len(set(server.peers)) == 1


def test_a_key_is_not_sent_where_a_redirect_or_a_proxy_leads(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.status = 307
    api = ApiConnection(server.address, "ops_key")

    assert api.post(b"[]").status == 307
    api.close()
    assert len(server.received) == 1


def test_a_connection_that_the_server_has_closed_is_opened_again(server: Server) -> None:
    api = ApiConnection(server.address, "ops_key")
    server.closes = True

    assert api.post(b"[1]").status == 201
    with pytest.raises(UnreachableError):
        api.post(b"[2]")
    assert api.post(b"[2]").status == 201

    api.close()
    assert [body for _, _, body in server.received] == [b"[1]", b"[2]"]


def test_a_server_that_does_not_listen_is_named_as_unreachable() -> None:
    with pytest.raises(UnreachableError, match="ConnectionRefusedError"):
        ApiConnection("http://127.0.0.1:1", "ops_key").post(b"[]")


@pytest.mark.parametrize(
    "url",
    ["", "ops.example.com", "ftp://ops.example.com", "http://", "http://host:x", "http://me:secret@host",
     "https://host?key=secret", "https://host#x", "http://a..b"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match="url: must be the address of the API") as refused:
        ApiConnection(url, "ops_key")

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("key", ["", "two words", "ops_key\n", "ops_kéy"])
def test_a_key_that_no_header_can_hold_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(ValueError, match="key: must be an API key") as refused:
        ApiConnection("http://127.0.0.1", key)

    assert not key or key not in str(refused.value)
