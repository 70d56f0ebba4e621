"""Reads the arguments of a GraphQL document, and bounds what they make Dagster expand."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode, Undefined
from graphql.utilities import value_from_ast_untyped

from ops_pipeline.orchestration.webserver import yaml_text
from ops_pipeline.orchestration.webserver.refusal import too_large
from ops_pipeline.orchestration.webserver.validation import Fragments

MOST_BYTES = 2 * 1024 * 1024
"""Of all arguments together, as JSON, with the fragments and variables in their places: a document can name a
variable many times. A request has 1 MiB."""
YAML = {"runConfigData", "attributes"}
"""The arguments and fields that Dagster reads as YAML where they are texts; a test holds them against its
schema."""
CONFIGURATION_TYPE = "RunConfigData"
"""The type of a run's configuration in Dagster's schema."""


def of(field: FieldNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a field is given, as plain values."""
    named = {
        given.name.value: value_from_ast_untyped(given.value, dict(variables)) for given in field.arguments
    }
    return {name: _plain(value) for name, value in named.items() if value is not Undefined}


def refuse_unfit(selected: SelectionSetNode, fragments: Fragments, variables: Mapping[str, Any]) -> None:
    """Raises Refusal: 413 where the arguments are too large, 400 for YAML that is not plain."""
    sizes = {name: len(json.dumps(value)) for name, value in variables.items()}
    left = MOST_BYTES
    read = set[int]()
    for field in _fields(selected, fragments):
        left -= sum(_named(given.value, sizes) for given in field.arguments)
        if left < 0:
            raise too_large(f"{MOST_BYTES} bytes of arguments, with the variables in their places")
        if field.arguments and id(field) not in read:
            read.add(id(field))
            for text in _texts(of(field, variables)):
                yaml_text.refuse_unless_plain(text)


def _fields(selected: SelectionSetNode, fragments: Fragments) -> Iterator[FieldNode]:
    for node in selected.selections:
        if isinstance(node, FieldNode):
            yield node
        if isinstance(node, FragmentSpreadNode) and node.name.value in fragments:
            yield from _fields(fragments[node.name.value].selection_set, fragments)
        elif isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
            yield from _fields(node.selection_set, fragments)


def _named(value: Any, sizes: Mapping[str, int]) -> int:
    """The bytes of the variables in a value."""
    if value.kind == "variable":
        return sizes.get(value.name.value, 0)
    if value.kind == "list_value":
        return sum(_named(inner, sizes) for inner in value.values)
    if value.kind == "object_value":
        return sum(_named(inner.value, sizes) for inner in value.fields)
    return 0


def _texts(value: Any) -> Iterator[str]:
    """The texts that are read as YAML."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in YAML:
                yield from _texts(inner)
            elif isinstance(inner, str):
                yield inner
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _plain(value: Any) -> Any:
    """The value without what the request leaves open."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not Undefined}
    if isinstance(value, list):
        return [None if inner is Undefined else _plain(inner) for inner in value]
    return value
