"""Says in a sentence why the database could not do what a request needs."""

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

NO_ANSWER = "The database did not answer in time."


class AllInUseError(PoolTimeout):
    """No connection of a pool became free in time. The message says of which."""


def reason(error: Exception) -> str:
    """The reason, without what PostgreSQL's message may reveal about the server: the log has that."""
    match error:
        case AllInUseError():
            return str(error)
        case PoolClosed():
            return "The server is shutting down."
        case psycopg.Error() if error.sqlstate is not None:
            return BY_SQLSTATE.get(error.sqlstate) or (
                BY_CLASS.get(error.sqlstate[:2], f"The database refused the statement ({error.sqlstate}).")
            )
        case _:
            return NO_ANSWER


BY_SQLSTATE = {
    "25006": "The database has become a standby, which accepts no writes.",
    "53100": "The database has no disk space left.",
    "53200": "The database has no memory left, or no room in its table of locks.",
    "53300": "The database accepts no more connections.",
    "57014": "The statement took too long and was canceled.",
}
BY_CLASS = {
    "08": NO_ANSWER,
    "28": "The database refuses the API's login.",
    "40": "Other sessions were changing the same rows.",
    "53": "The database has reached a limit of its resources.",
    "55": "Another session holds a lock that the statement needs.",
    "57": "The database is starting or shutting down.",
    "58": "The database's server has failed to read or write a file.",
}
