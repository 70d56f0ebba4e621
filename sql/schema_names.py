"""Where our tables live: the schemas that the SQL files call `ops` and `public`, by two settings."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

OWN, AUDIT_LOG = "ops", "public"
ALLOWED = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
"""Names that can stand anywhere in a statement, in its strings and function bodies too: in double quotes they
mean themselves, and PostgreSQL cuts none."""
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def _allowed(name: str) -> str:
    if not ALLOWED.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be the name of Ops Pipeline's schema: write ASCII letters, digits and "
            "underscores, at most 63, and no digit first"
        )
    if name.lower().startswith("pg_") or name.lower() == "information_schema":
        raise ValueError(f"{name!r} is one of PostgreSQL's own schemas")
    return name


def _not_public(name: str) -> str:
    if name == AUDIT_LOG:
        raise ValueError("'public' is the application's schema; choose one that only Ops Pipeline uses")
    return name


SchemaName = Annotated[str, AfterValidator(_allowed)]


class SchemaNames(BaseSettings):
    """The schemas that are ours, literally as the environment or a file `.env` names them."""

    model_config = SettingsConfigDict(
        env_prefix="OPS_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        populate_by_name=True,
    )

    own_schema: Annotated[SchemaName, AfterValidator(_not_public)] = Field(
        default=OWN, validation_alias="OPS_SCHEMA"
    )
    """The schema of everything of ours but the audit log."""

    audit_log_schema: SchemaName = AUDIT_LOG
    """The schema of the table `audit_logs` and its partitions."""

    @property
    def are_default(self) -> bool:
        return (self.own_schema, self.audit_log_schema) == (OWN, AUDIT_LOG)


@cache
def configured() -> SchemaNames:
    """Those of this process, read once and good for all its databases. Raises pydantic.ValidationError."""
    return SchemaNames()


def shown(name: str) -> str:
    """The name as a person can paste it into a statement."""
    return name if PLAIN.fullmatch(name) else f'"{name}"'


def with_names(text: str, names: SchemaNames) -> str:
    """The text of a statement that is written with `ops` and `public.audit_logs`, with those names instead.

    A custom setting (`ops.restoring`), locks (`ops: migrate`) and roles (`ops_reader`) are not schemas and
    are kept, and so are the application's tables in `public`.
    """
    for pattern, name in (*_own(names.own_schema), *_audit_log(names.audit_log_schema)):
        text = re.sub(pattern, name, text)
    return text


def _own(name: str) -> Iterator[tuple[str, str]]:
    if name == OWN:
        return
    yield r"'ops'(?=::regnamespace)", f"'\"{name}\"'"
    yield r"'ops'", f"'{name}'"
    yield r"\bops(?=\.(?!restoring\b)[\w%])", f'"{name}"'
    yield r"(?<=\bSCHEMA )ops\b", f'"{name}"'
    yield r"(?<=\bSCHEMA IF NOT EXISTS )ops\b", f'"{name}"'
    yield r"(?<=\bSCHEMA public, )ops\b", f'"{name}"'
    yield r"(?<=\bschema )ops\b", name


def _audit_log(name: str) -> Iterator[tuple[str, str]]:
    if name == AUDIT_LOG:
        return
    # In migrations the names of its indexes are put together: 'public.' || …, public.%I.
    yield r"\bpublic(?=\.(?:audit_logs|idx_audit_logs|%I|'))", f'"{name}"'
    yield r"(?<=\bSCHEMA public, )(?=\S)", f'"{name}", '
