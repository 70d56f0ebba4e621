"""The environment, read once into frozen settings."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from ops_pipeline.credentials import without_source
from sql.schema_names import SchemaNames

LOCAL = Path(".local")
"""Where everything that belongs to this checkout alone is kept: the embedded server, Dagster's home."""


def _postgresql(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if scheme not in {"postgresql", "postgres", "postgresql+psycopg2"} or not separator:
        raise ValueError("a PostgreSQL URL is needed: postgresql://user:password@host:5432/database")
    plain = f"postgresql://{rest}"  # a driver's name is for SQLAlchemy; PostgreSQL knows none
    try:
        _ = urlsplit(plain).port
    except ValueError as error:
        raise ValueError(f"the port in the URL is none: {error}") from None
    try:
        conninfo.conninfo_to_dict(without_source(plain))
    except psycopg.ProgrammingError:
        # What libpq says would show the part that it cannot read, which is often the password.
        reason = "the URL cannot be read; in a password % is written %25, @ is %40, / is %2F"
        raise ValueError(reason) from None
    return plain


Secret = Field(repr=False)
"""The value may carry a password and is left out of every `repr`."""

Url = Annotated[str, AfterValidator(_postgresql)]


class SettingsError(Exception):
    """A setting is missing or makes no sense; the message names its environment variable."""


class Settings(SchemaNames):
    """What the environment says, by variables that begin with `OPS_`; a file `.env` is honoured.

    The schemas that are ours are among them; statements have them from `sql.schema_names`.
    """

    database_url: Annotated[Url | None, Secret] = None
    """The database that is looked after. Unset: `opsctl demo` and `opsctl up` use an embedded PostgreSQL
    under `.local/`; everything else is refused."""

    database_password_command: str | None = None
    """What says the password of `OPS_DATABASE_URL`, such as a cloud's token, for each new connection."""

    database_password_file: Path | None = None
    """The file that holds that password; read for each new connection. At most one of the two is set."""

    dagster_database_url: Annotated[Url | None, Secret] = None
    """Dagster's own storage. Unset: the database `dagster` on the same server."""

    policies: Path = Path("policies.yaml")
    """The file with the policies."""

    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=1, le=65535)] = 8000

    dagster_host: str = "127.0.0.1"
    dagster_port: Annotated[int, Field(ge=1, le=65535)] = 3000
    """Where `opsctl up` serves the Dagster UI. It has no authentication of its own."""

    shutdown_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long the API may take from the signal to its exit."""

    prestop_delay_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    """How long the API goes on serving, no longer ready, before it stops listening: until whoever sends
    requests here has noticed."""

    cache_url: Annotated[str | None, Secret] = None
    """A Redis or Valkey that the application uses; its health is reported."""

    external_api_url: Annotated[str | None, Secret] = None
    """Another service that the application needs; its health is reported."""

    archive_url: Annotated[str | None, Secret] = None
    """Where removed rows are kept: a folder, or `s3://…`. Unset: `.local/archive` for the embedded server;
    with a database of one's own, policies with `archive: true` are refused."""

    batch_target_seconds: Annotated[float, Field(gt=0, le=60)] = 0.1
    """How long one batch of a removal should take: what anyone may have to wait behind its locks."""

    archive_batch_target_seconds: Annotated[float, Field(gt=0, le=600)] = 2.0
    """The same where removed rows are archived first: files of a sensible size need more rows. A batch whose
    storage is slow is rolled back after five times that, and 10 s at least."""

    pause_file: Path = LOCAL / "pause"
    """While this file exists, maintenance pauses between its batches."""

    audit_details_max_bytes: Annotated[int, Field(ge=2, le=8 * 1024 * 1024)] = 65536
    """How long the JSON of an event's `details` may be, as it was sent to the API."""

    webhook_url: Annotated[str | None, Secret] = None
    """Where failed runs are reported, as an HTTP POST. Unset: in the audit log alone."""

    webhook_format: Literal["json", "slack"] | None = None
    """What the receiver expects. Unset: Slack's shape for hooks.slack.com, JSON for anybody else."""

    dagster_keep_runs_days: Annotated[int, Field(ge=0, le=36500)] = 400
    """How long Dagster keeps the runs of our jobs, with their events. 0: for ever."""

    dagster_keep_other_runs_days: Annotated[int, Field(ge=0, le=36500)] = 30
    """How long it keeps every other run of its instance. 0: for ever."""

    demo_cloudtrail: Path | None = None
    """CloudTrail files for the demo to import. Unset: `../shared/data/cloudtrail` where it exists."""

    @field_validator("database_password_file")
    @classmethod
    def _one_source(cls, file: Path | None, given: ValidationInfo) -> Path | None:
        if file is not None and given.data.get("database_password_command") is not None:
            raise ValueError("OPS_DATABASE_PASSWORD_COMMAND is set as well; unset one of the two")
        return file

    def secret_urls(self) -> list[str | None]:
        """The URLs that may carry a password or a key, for whoever has to keep those to itself."""
        databases = [self.database_url, self.dagster_database_url]
        return [*databases, self.cache_url, self.external_api_url, self.archive_url]


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
            "database to look after: export OPS_DATABASE_URL=postgresql://user:password@host:5432/database. "
            "Only `opsctl demo` and `opsctl up` use an embedded PostgreSQL without it; to work on that one: "
            "opsctl --embedded COMMAND"
        )


def _problem(details: ErrorDetails) -> str:
    name = "_".join(map(str, details["loc"])).upper()
    variable = f"OPS_{name.removeprefix('OPS_')}"
    return f"{variable}: {details['msg'].removeprefix('Value error, ')}"


def environment(settings: Settings) -> Mapping[str, str]:
    """The variables that `policies.yaml` may name and child processes get: `os.environ`, with the
    URLs and schemas as they were resolved."""
    resolved = {
        "OPS_DATABASE_URL": settings.database_url,
        "OPS_DAGSTER_DATABASE_URL": settings.dagster_database_url,
        "OPS_ARCHIVE_URL": settings.archive_url,
        "OPS_SCHEMA": settings.own_schema,
        "OPS_AUDIT_LOG_SCHEMA": settings.audit_log_schema,
    }
    return os.environ | {name: value for name, value in resolved.items() if value is not None}
