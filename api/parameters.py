"""What query parameters a route has, and what their values are."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema
from litestar.params import QueryParameter

from api.problems import FieldProblem, Problem

CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
"""What a parameter's description may say of its value; msgspec has the same names."""


class Known:
    """The query parameters of every route, by its OpenAPI description."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], dict[str, Parameter]] = {}

    async def read(self, app: Litestar) -> None:
        """Reads the description at the start of the application: making it takes too long for a request."""
        for path, item in (app.openapi_schema.paths or {}).items():
            for method in ("get", "post", "put", "patch", "delete"):
                operation = getattr(item, method)
                if isinstance(operation, Operation):
                    self._of[path, method.upper()] = _query_parameters(operation)

    # Asynchronous, although it waits for nothing: the framework would run it in a thread.
    async def refuse_unknown(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        """The guard of every route: it takes the parameters of its description.

        Raises Problem 400 naming each that is unknown, or is repeated although it is not a list: ignoring one
        would silently change what the response means.
        """
        names = [name for name, _ in connection.query_params.multi_items()]
        method = str(connection.scope["method"])  # type: ignore[typeddict-item]  # an HTTP request
        if not names or method == "OPTIONS":
            return
        known = self._of.get((connection.scope["path_template"], method), {})
        are = f"the parameters are: {', '.join(known)}" if known else "the route has no parameters"
        errors = [FieldProblem(name, f"does not exist; {are}") for name in sorted(set(names) - set(known))]
        errors += [
            FieldProblem(name, "is specified more than once; specify it once")
            for name, parameter in sorted(known.items())
            if names.count(name) > 1 and not _is_list(parameter.schema)
        ]
        if errors:
            raise Problem(400, "; ".join(map(str, errors)), errors)


def _query_parameters(operation: Operation) -> dict[str, Parameter]:
    return {
        parameter.name: parameter
        for parameter in operation.parameters or ()
        if isinstance(parameter, Parameter) and parameter.param_in == "query"
    }


def _is_list(schema: object) -> bool:
    if not isinstance(schema, Schema):
        return False
    return schema.type == OpenAPIType.ARRAY or any(map(_is_list, schema.one_of or ()))


class Convertible:
    """The query parameters of one function, as its signature has them. Their values are converted to its
    arguments as the framework converts them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        defaults = inspect.signature(function).parameters
        fields: list[tuple[str, Any, Any]] = []
        names: dict[str, str] = {}
        for argument, hint in get_type_hints(function, include_extras=True).items():
            kind, *described = get_args(hint) or (hint,)
            for each in described:
                if isinstance(each, QueryParameter):
                    fields.append((argument, _constrained(kind, each), defaults[argument].default))
                    names[argument] = each.name or argument
        self._model = msgspec.defstruct(function.__name__, fields, rename=names)
        self.names = frozenset(names.values())

    def converted(self, values: Mapping[str, str]) -> dict[str, Any] | None:
        """The function's arguments of these values, others ignored; None where one is invalid."""
        try:
            return msgspec.structs.asdict(msgspec.convert(values, self._model, strict=False))
        except msgspec.ValidationError:
            return None


def _constrained(kind: Any, parameter: QueryParameter) -> Any:
    is_optional = type(None) in get_args(kind)
    within = {name: value for name in CONSTRAINTS if (value := getattr(parameter, name)) is not None}
    if within:
        inner = get_args(kind)[0] if is_optional else kind
        kind = Annotated[inner, msgspec.Meta(**within)]
    return kind | None if is_optional else kind
