"""Says what a value must be that pydantic has refused, without pydantic's words."""

from collections.abc import Mapping

from pydantic_core import ErrorDetails

_WITH_VALUE: Mapping[str, str] = {
    **dict.fromkeys(
        ("int_parsing", "int_type", "int_from_float", "int_parsing_size"), "must be a whole number"
    ),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "must be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
}
_ALONE: Mapping[str, str] = {
    "string_type": "must be a text, in quotes where it looks like a number or a date",
    "path_type": "must be the path of a file, in quotes where it looks like a number",
    "dict_type": "must be a mapping: `{name: value}`",
}


def expected(details: ErrorDetails) -> str:
    """What would be right: `must be a whole number, not 'many'`.

    The value is named where the details have it, except of a text, which may be a password. The error of a
    validator of ours has a message of its own.
    """
    kind = details["type"]
    if kind in _ALONE:
        return _ALONE[kind]
    if kind not in _WITH_VALUE:
        return details["msg"].removeprefix("Value error, ")
    limits = {
        name: f"{limit:.12g}" if isinstance(limit, float) else limit
        for name, limit in details.get("ctx", {}).items()
    }
    right = _WITH_VALUE[kind].format_map(limits)
    return f"{right}, not {details['input']!r}" if "input" in details else right
