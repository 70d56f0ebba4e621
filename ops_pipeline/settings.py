"""Reads the `OPS_…` environment variables into frozen settings."""

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import NoDecode

from ops_pipeline.credentials import without_source
from ops_pipeline.expected import expected
from sql.schema_names import SchemaNames

LOCAL = Path(".local")
"""The folder of what belongs to this checkout: the embedded server, Dagster's home."""


def _postgresql(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if scheme not in {"postgresql", "postgres", "postgresql+psycopg2"} or not separator:
        raise ValueError("must be a PostgreSQL URL: postgresql://user:password@host:5432/database")
    plain = f"postgresql://{rest}"  # only SQLAlchemy accepts a driver name
    try:
        _ = urlsplit(plain).port
        conninfo.conninfo_to_dict(without_source(plain))
    except (ValueError, psycopg.ProgrammingError):
        # Both messages would show the part that cannot be parsed, which is often the password.
        raise ValueError(
            "the URL is invalid; its port must be a number, and in a password write % as %25, @ as %40, "
            "/ as %2F, # as %23, ? as %3F, : as %3A"
        ) from None
    return plain


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError("must be the address of a website: https://ops.example.com")
    try:
        standard = parts.port in {None, 443 if parts.scheme == "https" else 80}
    except ValueError:
        raise ValueError("the port in the URL must be a number from 0 to 65535") from None
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("must end after the host and port; the Dagster UI is served at the root of a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" if standard else f"{parts.scheme}://{host}:{parts.port}"


def _http(url: str | None) -> str | None:
    if url is not None and (not url.startswith(("http://", "https://")) or "#" in url):
        raise ValueError("must be a web address without #: https://docs.example.org/runbook")
    return url


def _secret_address(url: str | None) -> str | None:
    """A web address that contains a key. The message must not."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a web address: https://host/path")
    return url


def _signing_secret(secret: str | None) -> str | None:
    if secret is None:
        return None
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not secret.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError(
            "must be whsec_ and 24 to 64 random bytes in base64, as the receiver shows it; to make one: "
            "echo whsec_$(openssl rand -base64 32)"
        )
    return secret


def _header(text: str | None) -> str | None:
    if text is None:
        return None
    name, _, value = text.partition(":")
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(
        r"[!-~][ -~]*", value.strip()
    ):
        raise ValueError("must be the name and value of one header: Authorization: Bearer …")
    if name.lower().startswith("webhook-") or name.lower() in {"content-type", "content-length", "host"}:
        raise ValueError(f"{name} is set by opsctl forward itself; write the header that has the token")
    return text


def _networks(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"{error}; write addresses or networks: 10.0.0.7, 10.1.0.0/16") from None


def _field_names(given: object) -> object:
    names = [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given
    if names == ["none"]:
        return ()
    if isinstance(given, str) and not names:
        raise ValueError(f"has no name; {FIELD_NAMES}")
    for name in names if isinstance(names, list | tuple) else ():
        if "*" in name[1:] or not re.search("[A-Za-z0-9]", name) or name == "none":
            raise ValueError(f"{name[:50]!r} is not a name of a list; {FIELD_NAMES}")
    return names


FIELD_NAMES = (
    "write names, separated by commas: default,iban,*PhoneNumber, where `default` stands for the built-in "
    "list and * for any beginning; or `none`"
)

Secret = Field(repr=False)
"""The value may contain a password and is left out of every `repr`."""

Url = Annotated[str, AfterValidator(_postgresql)]
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
WebAddress = Annotated[str, AfterValidator(_web_address)]


class SettingsError(Exception):
    """A setting is missing or invalid; the message names its environment variable."""


class Settings(SchemaNames):
    """The settings, from environment variables that begin with `OPS_` or from a file `.env`.

    The names of our schemas are among them; SQL statements get them from `sql.schema_names`.
    """

    database_url: Annotated[Url | None, Secret] = None
    """The database to maintain. Unset: `opsctl demo` and `opsctl up` use an embedded PostgreSQL under
    `.local/`; every other command fails."""

    database_password_command: str | None = None
    """The command that prints the password of `OPS_DATABASE_URL`, such as a cloud token; run for each new
    connection."""

    database_password_file: Path | None = None
    """The file that holds the password of `OPS_DATABASE_URL`; read for each new connection. Set this or
    `OPS_DATABASE_PASSWORD_COMMAND`, not both."""

    dagster_database_url: Annotated[Url | None, Secret] = None
    """Dagster's own storage. Unset: the database `dagster` on the same server."""

    policies: Path = Path("policies.yaml")
    """The file with the policies."""

    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=1, le=65535)] = 8000

    dagster_host: str = "127.0.0.1"
    dagster_port: Annotated[int, Field(ge=1, le=65535)] = 3000
    """Where the Dagster UI listens."""

    dagster_url: WebAddress | None = None
    """The address at which people open the Dagster UI, where it is not that host and port: `https://…`. Other
    hosts and pages of other origins are refused."""

    dagster_location: Annotated[str, Field(min_length=1)] = "ops_pipeline"
    """The name of our code location in Dagster's workspace.yaml: runs that `opsctl` starts belong to it."""

    dagster_user_header: str | None = None
    """The header in which a proxy of your own names the person that it has signed in. It is believed, so set
    it only where no other client reaches the port."""

    shutdown_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long the API may take from the signal to its exit."""

    prestop_delay_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    """How long the API continues to serve after SIGTERM, reporting not ready, before it stops listening. It
    gives the load balancer time to stop sending requests."""

    cache_url: Annotated[str | None, Secret] = None
    """A Redis or Valkey that the application uses; its health is reported."""

    external_api_url: Annotated[str | None, Secret] = None
    """Another service that the application needs; its health is reported."""

    archive_url: Annotated[str | None, Secret] = None
    """Where archived rows are stored: a folder, or `s3://…`. Unset: `.local/archive` for the embedded server;
    with any other database, policies with `archive: true` are refused."""

    batch_target_seconds: Annotated[float, Field(gt=0, le=60)] = 0.1
    """How long one batch should take, and so how long other sessions may wait for its locks."""

    archive_batch_target_seconds: Annotated[float, Field(gt=0, le=600)] = 2.0
    """The same for batches that are archived before they are deleted; larger batches make larger files. A
    batch whose storage is slow is rolled back after five times this value, and not before 10 s."""

    throttle_file: Path = LOCAL / "throttle"
    """While this file exists, every run of this machine is throttled."""

    audit_details_max_bytes: Annotated[int, Field(ge=2, le=8 * 1024 * 1024)] = 65536
    """The largest size in bytes of the `details` of an event sent to the API, as PostgreSQL writes its JSON:
    with a space after each comma and colon, and numbers without exponents."""

    audit_max_age_days: Annotated[int, Field(ge=1, le=36500)] = 30
    """How many days ago an event sent to the API may have happened, so how long a client may keep events that
    it cannot send. Keys with the scope `audit:import` may send older ones."""

    audit_redacted_fields: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_field_names)] = None
    """The names, separated by commas, whose values are replaced by `[redacted]` in events that are posted or
    imported, without regard to case and separators. `*name` is also the end of a longer name, `default`
    stands for the built-in list, and `none` turns redaction off. Unset: the built-in list."""

    api_exports_per_key: Annotated[int, Field(ge=1, le=4)] = 2
    """How many exports a key may have open at a time, of 4 in all."""

    api_tails_per_key: Annotated[int, Field(ge=1, le=50)] = 10
    """How many live tails a key may have open at a time, of 50 in all."""

    api_events_per_minute: Annotated[int | None, Field(ge=1)] = None
    """How many events a key may store a minute; others are refused with 429. Unset: no limit, because events
    that a client cannot keep until the next minute are lost."""

    trusted_proxies: Annotated[Networks | None, NoDecode, BeforeValidator(_networks)] = None
    """The addresses or networks of proxies, separated by commas, whose `X-Forwarded-For` is believed for the
    `ip_address` of recorded reads, refused requests and changes in the Dagster UI, and for the limit of wrong
    keys, and whose `X-Forwarded-Prefix` for `next`. Unset: no proxy is believed, not even one on the same
    machine."""

    webhook_url: Annotated[str | None, AfterValidator(_secret_address), Secret] = None
    """The URL to which runs that failed, need approval, or left rows or VACUUM incomplete are posted, and a
    policies file that cannot be used. Unset: they are only recorded in the audit log."""

    webhook_format: Literal["json", "slack"] | None = None
    """The format of the message. Unset: Slack's for hooks.slack.com and hooks.slack-gov.com, JSON for any
    other host."""

    heartbeat_url: Annotated[str | None, AfterValidator(_secret_address), Secret] = None
    """The URL that is requested (GET) after each good nightly run, such as a check of healthchecks.io.
    `{database}` in it stands for the database's name."""

    forward_url: Annotated[str | None, Secret] = None
    """The address that `opsctl forward` posts audit events to, where it has a token that no other user of the
    machine may see; otherwise `--to`."""

    forward_header: Annotated[str | None, AfterValidator(_header), Secret] = None
    """One header of these requests, such as `Authorization: Bearer …`."""

    forward_secret: Annotated[str | None, AfterValidator(_signing_secret), Secret] = None
    """The secret that signs these requests (Standard Webhooks), `whsec_…`. Unset: they are not signed."""

    runbook_url: Annotated[str | None, AfterValidator(_http)] = None
    """The address of your own runbook, with the sections of ours. Failures, failed checks and policies in
    Dagster link to them. Unset: the runbook that the Dagster UI serves."""

    dagster_keep_runs_days: Annotated[int, Field(ge=0, le=36500)] = 400
    """How many days Dagster keeps the runs of our jobs, with their events. 0: forever."""

    dagster_keep_other_runs_days: Annotated[int, Field(ge=0, le=36500)] = 30
    """How many days Dagster keeps all other runs of its instance. 0: forever."""

    demo_cloudtrail: Path | None = None
    """CloudTrail files for the demo to import. Unset: `../shared/data/cloudtrail` where it exists."""

    @field_validator("database_password_file")
    @classmethod
    def _one_source(cls, file: Path | None, given: ValidationInfo) -> Path | None:
        if file is not None and given.data.get("database_password_command") is not None:
            raise ValueError("OPS_DATABASE_PASSWORD_COMMAND is set as well; unset one of the two")
        return file

    @property
    def public_dagster_url(self) -> str:
        """The address of the Dagster UI for people and messages, as a browser writes it in `Origin`."""
        if self.dagster_url is not None:
            return self.dagster_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.dagster_host, self.dagster_host)  # noqa: S104
        return _web_address(f"http://{f'[{host}]' if ':' in host else host}:{self.dagster_port}")

    @property
    def public_runbook_url(self) -> str:
        """The address of the runbook for people and messages, without a section."""
        return self.runbook_url or f"{self.public_dagster_url}/docs/runbook.md"

    def secret_urls(self) -> list[str | None]:
        """The URLs that may contain a password or a key, which must not be logged."""
        databases = [self.database_url, self.dagster_database_url]
        return [*databases, self.cache_url, self.external_api_url, self.archive_url]

    def secret_addresses(self) -> list[str | None]:
        """The URLs that are secrets as a whole: who knows one can post to it."""
        return [self.webhook_url, self.heartbeat_url, self.forward_url]


def load() -> Settings:
    """The settings of this process.

    Raises SettingsError, naming each variable that is wrong and what would be right.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(map(_problem, error.errors(include_input=False)))) from None


def require_database(settings: Settings) -> None:
    """Raises SettingsError when the environment names no database."""
    if settings.database_url is None:
        raise SettingsError(
            "OPS_DATABASE_URL is not set; nothing was started and nothing was changed. Set it to the "
            "database to maintain: export OPS_DATABASE_URL=postgresql://user:password@host:5432/database. "
            "Without it, only `opsctl demo` and `opsctl up` run, on an embedded PostgreSQL; to use that one: "
            "opsctl --embedded COMMAND"
        )


def _problem(details: ErrorDetails) -> str:
    name = "_".join(map(str, details["loc"])).upper()
    variable = f"OPS_{name.removeprefix('OPS_')}"
    return f"{variable}: {expected(details)}"


def environment(settings: Settings) -> Mapping[str, str]:
    """The variables that `policies.yaml` may use and child processes get: `os.environ` with the resolved
    URLs and schemas."""
    resolved = {
        "OPS_DATABASE_URL": settings.database_url,
        "OPS_DAGSTER_DATABASE_URL": settings.dagster_database_url,
        "OPS_ARCHIVE_URL": settings.archive_url,
        "OPS_SCHEMA": settings.own_schema,
        "OPS_AUDIT_LOG_SCHEMA": settings.audit_log_schema,
    }
    others = {name: value for name, value in os.environ.items() if name not in resolved}
    return others | {name: value for name, value in resolved.items() if value is not None}
