"""The GraphQL documents of Dagster's own pages, from the scripts of the version that is installed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import dagster_webserver
from graphql import DefinitionNode, FragmentDefinitionNode, GraphQLError, Node, parse, print_ast

SCRIPTS = Path(dagster_webserver.__file__).parent / "webapp" / "build" / "_next"
WRITTEN = re.compile(r'"((?:\\n|\s)*(?:query|mutation|subscription|fragment) \w(?:[^"\\]|\\.)*)"')


def documents() -> Iterator[tuple[str, str]]:
    """Each operation's name and its document, with the fragments that it spreads."""
    definitions = {name: node for script in SCRIPTS.rglob("*.js") for name, node in _definitions(script)}
    for name, node in definitions.items():
        if not isinstance(node, FragmentDefinitionNode):
            parts = [node, *(definitions[spread] for spread in sorted(_spread(node, definitions, set())))]
            yield name, "\n".join(map(print_ast, parts))


def _definitions(script: Path) -> Iterator[tuple[str, DefinitionNode]]:
    for written in WRITTEN.finditer(script.read_text(encoding="utf-8")):
        try:
            text = json.loads(f'"{written[1]}"')
            yield from ((node.name.value, node) for node in parse(text).definitions)  # type: ignore[attr-defined]
        except (ValueError, GraphQLError):
            continue  # another text that begins with such a word


def _spread(node: Node, definitions: dict[str, DefinitionNode], seen: set[str]) -> set[str]:
    for name in re.findall(r"\.\.\.\s*(?!on\b)(\w+)", print_ast(node)):
        if name in definitions and name not in seen:
            seen.add(name)
            _spread(definitions[name], definitions, seen)
    return seen
