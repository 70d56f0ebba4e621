"""Reads a GraphQL document within limits, and finds the mutations in it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)
from graphql.utilities import value_from_ast_untyped

from ops_pipeline.orchestration.webserver.refusal import Refusal

MOST_CHARACTERS = 64 * 1024
MOST_TOKENS = 5000
"""The largest document of Dagster's pages that the tests in a browser meet has 835."""
MOST_REPEATED = 500
"""Fields of one name; there it has 122. Dagster compares each with each of the others."""
MOST_FIELDS = 20_000
"""Fields with all fragments in their places: fragments that spread fragments multiply them."""

Fragments = Mapping[str, FragmentDefinitionNode]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A field of a mutation, with its arguments; one that the request leaves open is no plain value."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """The mutations of all operations in a document, and whether it has nothing but subscriptions."""

    mutations: tuple[Mutation, ...]
    only_subscribes: bool


def read(text: str, variables: Mapping[str, Any]) -> Document:
    """Reads the document with these variables; takes up to a second of CPU time.

    Raises Refusal: 413 for a document that is too large, 400 for one that is invalid.
    """
    if len(text) > MOST_CHARACTERS:
        raise too_large(f"{MOST_CHARACTERS} characters")
    try:
        return _read(_parsed(text), variables)
    except RecursionError:
        raise too_large("a few hundred levels of fields and fragments") from None


def too_large(limit: str) -> Refusal:
    """The refusal of a GraphQL document that exceeds that limit."""
    return Refusal(
        413, f"The GraphQL document has more than {limit}. Nothing was done; ask for less at a time"
    )


def _parsed(text: str) -> DocumentNode:
    try:
        return parse(text, no_location=True, max_tokens=MOST_TOKENS)
    except GraphQLError as error:
        if f"more than {MOST_TOKENS} tokens" in error.message:
            raise too_large(f"{MOST_TOKENS} tokens") from None
        raise Refusal(400, f"Invalid GraphQL document: {error.message}. Nothing was done") from None


def _read(document: DocumentNode, variables: Mapping[str, Any]) -> Document:
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    fields = _Fields(fragments)
    if sum(fields.count(node.selection_set) for node in operations) > MOST_FIELDS:
        raise too_large(f"{MOST_FIELDS} fields, with the fragments in their places")
    if max(fields.names.values(), default=0) > MOST_REPEATED:
        raise too_large(f"{MOST_REPEATED} fields of one name")
    mutations = [
        Mutation(given.name.value, _arguments(given, variables))
        for node in operations
        if node.operation is OperationType.MUTATION
        for given in _selected(node.selection_set, fragments, set())
    ]
    return Document(
        tuple(mutations), all(node.operation is OperationType.SUBSCRIPTION for node in operations)
    )


@dataclass(slots=True)
class _Fields:
    """Counts fields: `names` once where they stand, `sizes` of a fragment with the others in their places."""

    fragments: Fragments
    names: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, int] = field(default_factory=dict)

    def count(self, selected: SelectionSetNode) -> int:
        """How many fields are selected."""
        size = 0
        for node in selected.selections:
            if isinstance(node, FragmentSpreadNode):
                size += self._of_fragment(node.name.value)
            elif isinstance(node, FieldNode | InlineFragmentNode):
                if isinstance(node, FieldNode):
                    self.names[(node.alias or node.name).value] += 1
                size += 1 + (self.count(node.selection_set) if node.selection_set else 0)
        return size

    def _of_fragment(self, name: str) -> int:
        if name in self.fragments and name not in self.sizes:
            self.sizes[name] = 0  # Dagster refuses a fragment that spreads itself
            self.sizes[name] = self.count(self.fragments[name].selection_set)
        return self.sizes.get(name, 0)


def _selected(selected: SelectionSetNode, fragments: Fragments, seen: set[str]) -> Iterator[FieldNode]:
    for node in selected.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name in fragments and name not in seen:
                seen.add(name)
                yield from _selected(fragments[name].selection_set, fragments, seen)
        elif isinstance(node, InlineFragmentNode):
            yield from _selected(node.selection_set, fragments, seen)


def _arguments(mutation: FieldNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        given.name.value: value_from_ast_untyped(given.value, dict(variables)) for given in mutation.arguments
    }
