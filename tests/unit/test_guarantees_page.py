"""Every test that docs/guarantees.md and docs/proofs.md name exists."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
GUARANTEES = (REPOSITORY / "docs" / "guarantees.md").read_text()
PROMISES = GUARANTEES.partition("\n## What is not promised")[0]
ROW = re.compile(r"^\| (?!promise \||---)(.+?) \| (.+) \|$", re.MULTILINE)


def _functions(path: str) -> set[str]:
    tree = ast.parse((REPOSITORY / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_names_a_test_that_exists() -> None:
    promises = ROW.findall(PROMISES)
    assert len(promises) > 30

    for promise, held_by in promises:
        names = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", held_by)
        assert names, promise
        for path, name in names:
            assert name in _functions(path), f"{path}::{name}"


def test_every_file_of_a_proof_exists() -> None:
    named = set(re.findall(r"`(tests/\S+?\.py)`", (REPOSITORY / "docs" / "proofs.md").read_text()))

    assert named
    assert [path for path in named if not (REPOSITORY / path).is_file()] == []
