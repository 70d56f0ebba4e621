"""Sets up our database sessions: pinned settings and timeouts."""

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
    """The first statement of each of our sessions, with its values.

    It pins the settings that change how values are read or written, as pg_dump does, and every timeout. The
    search path is not changed.
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
