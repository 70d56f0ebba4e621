"""The OpenAPI description describes every operation, parameter, response and field, with its type."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app
from api.descriptions import FIELDS
from ops_pipeline.settings import Settings

METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}
TYPED = {"type", "$ref", "oneOf", "anyOf", "enum", "const"}
ANY_JSON = {"AuditLog.details"}
"""Fields that may be any JSON value."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/none"))
    return app.openapi_schema.to_schema()


def test_every_operation_parameter_body_and_response_is_described(document: dict[str, Any]) -> None:
    undescribed = []
    for name, operation in _operations(document):
        parts = {
            "operation": operation,
            **{parameter["name"]: parameter for parameter in operation.get("parameters", [])},
            **({"body": operation["requestBody"]} if "requestBody" in operation else {}),
            **operation["responses"],
        }
        undescribed += [f"{name} {part}" for part, content in parts.items() if not _is_described(content)]

    assert undescribed == []


def test_every_type_and_each_of_its_fields_is_described_and_typed(document: dict[str, Any]) -> None:
    lacking = []
    for name, schema in _objects(document):
        lacking += [] if _is_described(schema) else [name]
        for field, content in schema["properties"].items():
            place = f"{name}.{field}"
            if not _is_described(content) or not (TYPED & content.keys() or place in ANY_JSON):
                lacking.append(place)

    assert lacking == []


def test_every_description_belongs_to_a_field(document: dict[str, Any]) -> None:
    described = {
        content["description"]
        for _, schema in _objects(document)
        for content in schema["properties"].values()
    }

    assert [
        f"{name}.{field}"
        for name, fields in FIELDS.items()
        for field, text in fields.items()
        if text not in described
    ] == []


def test_no_two_operations_share_an_id(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in _operations(document)]

    assert len(ids) == len(set(ids))


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((f"{method} {path}", item[method]) for method in METHODS & item.keys())


def _objects(node: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The schemas with properties, wherever they are, with their names."""
    if isinstance(node, list):
        for item in node:
            yield from _objects(item, name)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("properties"), dict):
        yield node.get("title", name), node
    for key, child in node.items():
        yield from _objects(child, key)


def _is_described(content: dict[str, Any]) -> bool:
    """Whether it has a description of its own: neither empty nor the framework's."""
    text = content.get("description") or ""
    return bool(text.strip()) and text != "Request fulfilled, document follows"
