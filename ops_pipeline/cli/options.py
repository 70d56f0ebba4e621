"""Options that several commands have."""

from typing import Annotated

import typer

Database = Annotated[
    str | None, typer.Option("--database", help="A database of policies.yaml. Unset: all of them.")
]
OneDatabase = Annotated[
    str | None,
    typer.Option("--database", help="A database of policies.yaml. Required if policies.yaml has several."),
]
"""Of commands that change one database: in the wrong one, the same id or table is another."""
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        help="For whom you act; recorded as: your operating-system user on behalf of BY.",
    ),
]
