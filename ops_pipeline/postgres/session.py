"""How every session of ours begins, whoever made the connection."""

import re
from typing import Literal, LiteralString

import sql


def preparation(
    application_name: str,
    *,
    lock_timeout: str = "2s",
    statement_timeout: str = "0",
    row_security: Literal["on", "off"] = "off",
) -> tuple[LiteralString, dict[str, str]]:
    """The statement, with its values, that every session of ours begins with, whoever made it.

    It pins what changes how values are read or written, as pg_dump does, and every timeout. The search path
    stays as the database has it.
    """
    values = {
        "application_name": application_name[:63],
        "lock_timeout": lock_timeout,
        "statement_timeout": statement_timeout,
        "row_security": row_security,
    }
    return sql.get("postgres/prepare"), values


def pinned_settings() -> list[str]:
    """The names of the settings that `preparation` sets, in lower case."""
    return re.findall(r"set_config\('(\w+)'", sql.get("postgres/prepare"))
