"""A receiver of forwarded events: a real HTTPS server that answers what a test tells it to."""

import base64
import hashlib
import hmac
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Event = dict[str, Any]
Headers = dict[str, str]


@dataclass(frozen=True)
class Request:
    """A request as it arrived, headers in lower case, and the answer's status."""

    path: str
    headers: Headers
    body: bytes
    status: int

    @property
    def events(self) -> list[Event]:
        assert self.body.endswith(b"\n")
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Siem:
    """The receiver. `answer` decides, from headers and body, the status and headers of the answer."""

    url: str = ""
    answer: Callable[[Headers, bytes], tuple[int, Headers]] = lambda *_: (200, {})
    said: bytes = b""
    requests: list[Request] = field(default_factory=list)

    def accepted(self) -> list[Request]:
        return [request for request in self.requests if request.status == 200]

    def events(self, event_type: str = "made") -> list[Event]:
        """The events of that type that were acknowledged, in the order of arrival."""
        return [
            event
            for request in self.accepted()
            for event in request.events
            if event["event_type"] == event_type
        ]

    def actions(self) -> list[str]:
        return [event["action"] for event in self.events()]


@contextmanager
def serving(folder: Path) -> Iterator[Siem]:
    """A receiver with the certificate of `make_certificate`."""
    siem = Siem()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size)
            if len(body) < size:
                # The sender ended in the middle of its request: nothing was received.
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answered = siem.answer(headers, body)
            siem.requests.append(Request(self.path, headers, body, status))
            self.send_response(status)
            for name, value in answered.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(siem.said)))
            self.end_headers()
            self.wfile.write(siem.said)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    siem.url = f"https://127.0.0.1:{server.server_address[1]}/in/t0ken-in-path?key=t0ken-in-query"
    try:
        yield siem
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key; returns the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "siem of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "certificate.pem"


def verified(secret: str, request: Request) -> bool:
    """Whether the signature is right, as the Standard Webhooks specification computes it."""
    key = base64.b64decode(secret.split("_", 1)[1])
    to_sign = ".".join(
        [request.headers["webhook-id"], request.headers["webhook-timestamp"], request.body.decode()]
    )
    expected = base64.b64encode(hmac.new(key, to_sign.encode(), hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in request.headers["webhook-signature"].split(" ")
