"""The GraphQL documents of Dagster's own pages, from the scripts of the version that is installed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster_webserver
from graphql import (
    DefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    NameNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

SCRIPTS = Path(dagster_webserver.__file__).parent / "webapp" / "build" / "_next"
WRITTEN = re.compile(r'"((?:\\n|\s)*(?:query|mutation|subscription|fragment) \w(?:[^"\\]|\\.)*)"')


def documents() -> Iterator[tuple[str, str]]:
    """Each operation's name and its document, with the fragments that it spreads."""
    definitions = {name: node for script in SCRIPTS.rglob("*.js") for name, node in _definitions(script)}
    for name, node in definitions.items():
        if not isinstance(node, FragmentDefinitionNode):
            parts = [node, *(definitions[spread] for spread in sorted(_spread(node, definitions, set())))]
            yield name, "\n".join(print_ast(visit(part, _TypeNames())) for part in parts)


class _TypeNames(Visitor):
    """Adds `__typename` to each selection, as the pages' client does."""

    def leave_selection_set(self, node: SelectionSetNode, _: Any, parent: Node, *__: Any) -> Any:
        if isinstance(parent, OperationDefinitionNode):
            return None
        return SelectionSetNode(selections=(*node.selections, FieldNode(name=NameNode(value="__typename"))))


def _definitions(script: Path) -> Iterator[tuple[str, DefinitionNode]]:
    for written in WRITTEN.finditer(script.read_text(encoding="utf-8")):
        try:
            text = json.loads(f'"{written[1]}"')
            yield from ((node.name.value, node) for node in parse(text).definitions)  # type: ignore[attr-defined]  # of the executable ones
        except (ValueError, GraphQLError):
            continue  # another text that begins with such a word


def _spread(node: Node, definitions: dict[str, DefinitionNode], seen: set[str]) -> set[str]:
    for name in re.findall(r"\.\.\.\s*(?!on\b)(\w+)", print_ast(node)):
        if name in definitions and name not in seen:
            seen.add(name)
            _spread(definitions[name], definitions, seen)
    return seen
