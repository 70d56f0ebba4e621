"""`opsctl forward`: sends audit events to another system, as a service or from cron."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from ops_pipeline import settings
from ops_pipeline.audit import times, trail
from ops_pipeline.audit.person import person
from ops_pipeline.cli import log
from ops_pipeline.cli.context import connected
from ops_pipeline.cli.output import INTERRUPTED, Json, answer
from ops_pipeline.counted import counted
from ops_pipeline.forward import position
from ops_pipeline.forward.forward import forward as forward_to
from ops_pipeline.forward.forward import only_process
from ops_pipeline.forward.forwarder import Forwarding
from ops_pipeline.forward.receiver import Receiver
from ops_pipeline.forward.stop import stop_on_signal
from ops_pipeline.forward.target import ForwardRefusedError, Target, named, target_of

APPLICATION = "opsctl forward"


def forward(
    to: Annotated[
        str | None,
        typer.Option(
            help="The address that takes NDJSON, https://…; http:// for this machine only. Unset: "
            "OPS_FORWARD_URL."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The name under which the position is kept; one for each target. Unset: the address's host."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Where a target without a position begins: with events of the log that arrived since then, "
            "-7d or 2026-01-31T12:00:00Z. Unset: now."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Forward what is there and end, for cron.")] = False,
    skip: Annotated[
        list[UUID] | None,
        typer.Option(help="Do not send the event with this id, and record that; can be repeated."),
    ] = None,
    forget: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Delete the position of this name, and send nothing."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Forward audit events to another system, such as a SIEM, until it is stopped.

    Posts the events of OPS_DATABASE_URL as NDJSON, in the order in which they
    became visible. The position is kept in the database and moves on when the
    receiver has answered 2xx, so that every event arrives at least once. An
    event that is sent again has the same id. OPS_FORWARD_HEADER authenticates
    the requests, OPS_FORWARD_SECRET signs them.

    While the receiver does not answer, or answers 5xx, 408, 425 or 429, it
    tries again, with --once for a minute. Any other answer ends it with 1, and
    no event is skipped. SIGTERM and Ctrl-C let the request under way end, for
    at most 8 seconds.
    """
    if forget is not None:
        _forget(named(forget), as_json=as_json)
        return
    log.configure()
    loaded = settings.load()
    target = _target(loaded, to, name)
    began_at = _since(since)
    with (
        Receiver(target, header=loaded.forward_header, secret=loaded.forward_secret) as receiver,
        stop_on_signal() as stop,
    ):
        forwarding = Forwarding(target, receiver, stop, since=began_at, once=once, skip=frozenset(skip or ()))
        forward_to(forwarding, lambda: connected(APPLICATION))
    sent = counted(forwarding.delivered, "event")
    answer(
        {"target": target.name, "host": target.host, "events": forwarding.delivered},
        f"{target.name}: {sent} forwarded to {target.host}",
        as_json=as_json,
    )
    if once and stop.requested:
        raise typer.Exit(INTERRUPTED)


def _target(loaded: settings.Settings, to: str | None, name: str | None) -> Target:
    url = to if to is not None else loaded.forward_url
    if url is None:
        raise ForwardRefusedError(
            "to: required; write --to https://siem.example.com/events, or set OPS_FORWARD_URL"
        )
    return target_of(url, name)


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        time = times.read(text, now)
    except ValueError as error:
        raise ForwardRefusedError(f"since: {error}") from None
    if time > now:
        raise ForwardRefusedError(f"since: {text} is in the future; without --since it begins now")
    return time


def _forget(name: str, *, as_json: bool) -> None:
    with connected(APPLICATION) as connection, only_process(connection, name), connection.transaction():
        host = position.forget(connection, name)
        if host is None:
            names = ", ".join(target.name for target in position.targets(connection)) or "none"
            raise ForwardRefusedError(f"forget: there is no position of that name; there are: {names}")
        trail.record(connection, "forward.forgotten", {"target": name, "host": host}, by=person())
    answer(
        {"forgotten": name, "host": host},
        f"{name}: forgotten. Arrivals are not kept for it any more; a later start begins with the newest "
        "events, or at --since",
        as_json=as_json,
    )
