"""Distinguishes our own addresses from those of other pages: the headers Host, Origin and Sec-Fetch-Site."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.settings import Settings

SAME = {"same-origin", "none"}
"""Sec-Fetch-Site of a request from our own page, or from the address bar."""
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{1,5})?", re.ASCII)
"""The header Host in lower case: a name or address, and a port. Parsers of URLs take `evil@localhost` too."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Our public origin, and the host and port that we listen on."""

    public: str
    listening: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The addresses of OPS_DAGSTER_URL, OPS_DAGSTER_HOST and OPS_DAGSTER_PORT."""
        host = f"[{settings.dagster_host}]" if ":" in settings.dagster_host else settings.dagster_host
        return cls(settings.public_dagster_url, f"{host}:{settings.dagster_port}".lower())

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over HTTPS."""
        return self.public.startswith("https://")

    def require_ours(self, request: HTTPConnection) -> None:
        """Raises Refusal unless the request names us as its host and comes from none but our own pages.

        A link on another page may open a page of ours; it may not embed, fetch or post anything.
        """
        host = self._require_host(request)
        self._require_origin(request, host)
        site = request.headers.get("sec-fetch-site", "none")
        if site not in SAME and not _opens_a_page(request):
            raise Refusal(
                403,
                "A page of another site sent this request, so it was refused; nothing was done. Open "
                f"{self.public} itself",
            )

    def _require_host(self, request: HTTPConnection) -> str:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1:
            raise Refusal(400, "Exactly one header Host is required")
        host = hosts[0].lower()
        if host not in {urlsplit(self.public).netloc, self.listening} and not _is_this_machine(host):
            # Another name that leads here is how a page gets past the browser's same-origin policy.
            raise Refusal(
                400,
                f"The host {host!r} is not the address of this Dagster UI, so the request was refused. Open "
                f"{self.public}, or set OPS_DAGSTER_URL to the address that people open",
            )
        return host

    def _require_origin(self, request: HTTPConnection, host: str) -> None:
        origins = request.headers.getlist("origin")
        if not origins:
            return
        ours = {self.public}
        if host == self.listening or _is_this_machine(host):
            ours.add(f"http://{host}")
        if len(origins) != 1 or origins[0].lower() not in ours:
            raise Refusal(
                403,
                f"A page of {', '.join(origins)!r} sent this request, so it was refused; nothing was done. "
                f"Only pages of {self.public} may (OPS_DAGSTER_URL)",
            )


def _is_this_machine(host: str) -> bool:
    """Whether it is `localhost` or a loopback address, at any port: an SSH tunnel may begin at another."""
    written = HOST.fullmatch(host)
    if written is None:
        return False
    name = written["name"].strip("[]")
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _opens_a_page(request: HTTPConnection) -> bool:
    headers = request.headers
    return (
        request.scope["type"] == "http"
        and request.scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
