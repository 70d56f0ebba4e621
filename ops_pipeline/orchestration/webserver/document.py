"""Reads a GraphQL document within limits, and finds what the operation that is executed would do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    Undefined,
    parse,
    print_ast,
)
from graphql.utilities import value_from_ast_untyped

from ops_pipeline.orchestration.webserver import arguments, launch_tags
from ops_pipeline.orchestration.webserver.refusal import Refusal, too_large
from ops_pipeline.orchestration.webserver.validation import Fragments, refuse_costly

MOST_CHARACTERS = 64 * 1024
MOST_TOKENS = 5000
"""The largest document of Dagster's pages that the tests in a browser meet has 835."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A field of a mutation, with the arguments that it is given."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """What is executed: the operation of that name, or the only one where it is None, with these variables;
    its mutations, and whether the document has nothing but subscriptions."""

    operation: str | None
    variables: Mapping[str, Any]
    mutations: tuple[Mutation, ...]
    only_subscribes: bool


def read(text: str, variables: Mapping[str, Any], name: str | None = None) -> Document:
    """Reads the document with these variables and that name of an operation; takes up to a second of CPU
    time.

    The variables of the result are those that the operation declares, with its default values, and without
    tags that only Dagster sets. Raises Refusal: 413 for a document that is too large, 400 for one that is
    invalid, 403 for tags that cannot be left out.
    """
    if len(text) > MOST_CHARACTERS:
        raise too_large(f"{MOST_CHARACTERS} characters")
    try:
        return _read(_parsed(text), variables, name)
    except RecursionError:
        raise too_large("a few hundred levels of fields, fragments and values") from None


def _parsed(text: str) -> DocumentNode:
    try:
        return parse(text, no_location=True, max_tokens=MOST_TOKENS)
    except GraphQLError as error:
        if f"more than {MOST_TOKENS} tokens" in error.message:
            raise too_large(f"{MOST_TOKENS} tokens") from None
        raise Refusal(400, f"Invalid GraphQL document: {error.message}. Nothing was done") from None


def _read(document: DocumentNode, variables: Mapping[str, Any], name: str | None) -> Document:
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    refuse_costly(operations, fragments)
    executed = _executed(operations, name)
    mutates = executed.operation is OperationType.MUTATION
    given = _given(executed, variables)
    if mutates:
        configurations = {
            declared.variable.name.value
            for declared in executed.variable_definitions
            if print_ast(declared.type).rstrip("!") == arguments.CONFIGURATION_TYPE
        }
        given = {
            name: value if name in configurations else launch_tags.without_reserved(value)
            for name, value in given.items()
        }
    arguments.refuse_unfit(executed.selection_set, fragments, given)
    mutations = [
        Mutation(selected.name.value, arguments.of(selected, given))
        for selected in _selected(executed.selection_set, fragments, set())
        if mutates
    ]
    for mutation in mutations:
        launch_tags.refuse_reserved(mutation.arguments)
    return Document(
        executed.name.value if executed.name else None,
        given,
        tuple(mutations),
        all(node.operation is OperationType.SUBSCRIPTION for node in operations),
    )


def _executed(operations: Sequence[OperationDefinitionNode], name: str | None) -> OperationDefinitionNode:
    meant = [node for node in operations if name is None or (node.name and node.name.value == name)]
    if len(meant) != 1:
        raise Refusal(
            400,
            f"{len(meant)} operations are meant, and exactly one can be executed; name it in operationName. "
            "Nothing was done",
        )
    return meant[0]


def _given(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    given = {}
    for declared in operation.variable_definitions:
        name = declared.variable.name.value
        if name in variables:
            given[name] = variables[name]
        elif declared.default_value is not None:
            given[name] = value_from_ast_untyped(declared.default_value)
    return {name: value for name, value in given.items() if value is not Undefined}


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
