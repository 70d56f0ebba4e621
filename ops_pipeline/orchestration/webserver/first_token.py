"""Names the variable with the token of the link that `opsctl up` prints."""

FIRST_TOKEN = "OPS_FIRST_SIGN_IN"  # noqa: S105 - the variable's name
"""Set for the webserver alone, which removes it from its environment; not a setting."""
