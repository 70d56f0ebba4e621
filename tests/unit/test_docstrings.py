"""Every exception that a docstring says a function raises exists by that name."""

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import psycopg
import psycopg_pool
import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for part in ("ops_pipeline", "api", "sql") for path in (ROOT / part).rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}
CLASSES = {node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
SENTENCE = re.compile(r"\b[Rr]aises\s+(.+?)(?:\.(?:\s|$)|\Z)", re.DOTALL)
NAME = re.compile(
    r"(?<![\w./`])(?:[a-z_]\w*\.)*[A-Z][a-z]+(?:[A-Z]+[a-z]*)+(?![\w/])|(?:[a-z_]\w*\.)+[A-Z]\w+"
)
ANYWHERE = (builtins, psycopg, psycopg.errors, psycopg_pool)
NO_CLASSES = {"PostgreSQL", "VACUUM"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def raised(text: str) -> Iterator[str]:
    for sentence in SENTENCE.findall(text):
        yield from (name for name in NAME.findall(sentence) if name not in NO_CLASSES)


def imported(tree: ast.Module) -> dict[str, str]:
    """The full names of what a module imports, by local name."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def exists(name: str, names: dict[str, str]) -> bool:
    first, dot, rest = name.partition(".")
    if not dot and name not in names:
        return name in CLASSES or any(hasattr(place, name) for place in ANYWHERE)
    try:
        return isinstance(resolve_name(f"{names.get(first, first)}{dot}{rest}"), type)
    except (ImportError, AttributeError):
        return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_exception_that_a_docstring_names_exists(path: Path) -> None:
    tree = TREES[path]
    names = imported(tree)
    docstrings = (ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, DOCUMENTED))

    assert [name for text in docstrings for name in raised(text) if not exists(name, names)] == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Does it. Raises NoSuchError when\nit cannot, and psycopg.Error.", ["NoSuchError", "psycopg.Error"]),
        ("Raises ValueError. It asks PostgreSQL.", ["ValueError"]),
        ("Raises partitions.LockedError; psycopg.errors.LockNotAvailable when it is locked.",
         ["partitions.LockedError", "psycopg.errors.LockNotAvailable"]),
    ],
)  # fmt: skip
def test_names_are_found_in_a_sentence(text: str, names: list[str]) -> None:
    assert list(raised(text)) == names
