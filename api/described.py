"""Adds descriptions to the schemas of the OpenAPI description: of each type, and of each of its fields."""

import inspect
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING

import msgspec
from litestar.openapi.spec import Reference, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from api.descriptions import FIELDS

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator


class DescribedFields(OpenAPISchemaPlugin):
    """Describes structs and dataclasses; their schemas are made by Litestar's own plugins."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether it is a struct or dataclass."""
        kind = field_definition.type_
        return inspect.isclass(kind) and (issubclass(kind, msgspec.Struct) or is_dataclass(kind))

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: "SchemaCreator") -> Schema:
        """The type's schema with its descriptions."""
        own = next(
            plugin
            for plugin in schema_creator.plugins
            if plugin is not self and schema_creator.plugin_supports_field(plugin, field_definition)
        )
        schema: Schema = own.to_openapi_schema(field_definition, schema_creator)
        kind = field_definition.type_
        schema.description = first_paragraph(kind)
        schema.properties = {
            name: _described(field, description(kind, name))
            for name, field in (schema.properties or {}).items()
        }
        return schema


def first_paragraph(kind: type) -> str:
    """What the type's docstring says first."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


def description(kind: type, field: str) -> str | None:
    """What the field of that name in JSON means, by the type or one that it extends."""
    named = (FIELDS.get(base.__name__, {}).get(field) for base in kind.__mro__)
    return next((text for text in named if text), None)


def _described(field: Schema | Reference, text: str | None) -> Schema | Reference:
    if isinstance(field, Reference):
        field.description = text  # a copy would keep the name that the schema has so far
        return field
    return replace(field, description=text)
