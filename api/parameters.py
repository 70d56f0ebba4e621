"""Refuses query parameters that a route does not have."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import OpenAPI, OpenAPIType, Parameter, Schema

from api.problems import FieldProblem, Problem


def refuse_unknown(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """The guard of every route: its query parameters are those of its OpenAPI description.

    Raises Problem 400 naming each that is unknown, or is repeated although it is no list: ignoring one would
    silently change what the response means.
    """
    names = [name for name, _ in connection.query_params.multi_items()]
    method = str(connection.scope["method"])  # type: ignore[typeddict-item]  # an HTTP request
    if not names or method == "OPTIONS":
        return
    known = _parameters(connection.app.openapi_schema, connection.scope["path_template"], method)
    are = f"the parameters are: {', '.join(known)}" if known else "the route has no parameters"
    errors = [FieldProblem(name, f"does not exist; {are}") for name in sorted(set(names) - set(known))]
    errors += [
        FieldProblem(name, "is specified more than once; specify it once")
        for name, parameter in sorted(known.items())
        if names.count(name) > 1 and not _is_list(parameter.schema)
    ]
    if errors:
        raise Problem(400, "; ".join(map(str, errors)), errors)


def _parameters(description: OpenAPI, path: str, method: str) -> dict[str, Parameter]:
    operation = getattr((description.paths or {}).get(path), method.lower(), None)
    described = operation.parameters if operation is not None else None
    return {
        parameter.name: parameter
        for parameter in described or ()
        if isinstance(parameter, Parameter) and parameter.param_in == "query"
    }


def _is_list(schema: object) -> bool:
    if not isinstance(schema, Schema):
        return False
    return schema.type == OpenAPIType.ARRAY or any(map(_is_list, schema.one_of or ()))
