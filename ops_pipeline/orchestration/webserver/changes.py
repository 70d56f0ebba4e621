"""Limits a person whose key is for some databases to runs of those: nothing else may be changed."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)
from graphql.utilities import value_from_ast_untyped
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive

from ops_pipeline.orchestration.database_limit import DatabaseLimitError, refuse_other_databases
from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.policies.file import PolicyError

GRAPHQL = "/graphql"
LAUNCHES = {
    "launchRun", "launchPipelineExecution", "launchMultipleRuns",
    "launchRunReexecution", "launchPipelineReexecution",
}  # fmt: skip
"""They pass our run coordinator, which refuses runs of other databases."""
HARMLESS = {"logTelemetry", "setNuxSeen"}
"""What pages of the UI send by themselves."""
TERMINATES = {"terminateRun", "terminatePipelineExecution", "terminateRuns"}
"""Each names its runs in `runId` or `runIds`."""
STAYS = "The run was not terminated."


@dataclass(frozen=True, slots=True)
class Changes:
    """`find_run`: looks a run of Dagster's instance up by its id."""

    find_run: Callable[[str], dg.DagsterRun | None]

    async def refuse(self, request: HTTPConnection, receive: Receive, person: Person) -> Receive:
        """The request's body, to be received again. Raises Refusal 403 when the request would change anything
        that the person's key is not for, and 400 for a body that cannot be read.

        Not every mutation of Dagster's passes our code: a backfill is started by the daemon, for which no
        person is known. So a limited key may only use those that are known to be limited.
        """
        if request.scope["type"] != "http" or request.scope["method"] != "POST" or person.databases is None:
            return receive
        if request.scope["path"] != GRAPHQL:
            raise _refusal(person, request.scope["path"])
        body = await _body(receive)
        for name, arguments in _mutations(body):
            if name in TERMINATES:
                await asyncio.to_thread(self._refuse_terminating, name, arguments, person)
            elif name not in LAUNCHES | HARMLESS:
                raise _refusal(person, name)
        return _again(body, receive)

    def _refuse_terminating(self, name: str, arguments: Mapping[str, Any], person: Person) -> None:
        given = [value for value in map(arguments.get, ("runId", "runIds")) if value is not None]
        for run_id in [one for value in given for one in (value if isinstance(value, list) else [value])]:
            if not isinstance(run_id, str):
                raise _refusal(person, name)
            try:
                # Dagster itself says that a run does not exist.
                if (run := self.find_run(run_id)) is not None:
                    refuse_other_databases(run, person, STAYS)
            except (DatabaseLimitError, PolicyError) as error:
                raise Refusal(403, str(error)) from error


def _refusal(person: Person, what: str) -> Refusal:
    own = ", ".join(person.databases or ())
    return Refusal(
        403,
        f"The key {person.name} is for runs of {own}: it may launch, re-execute and terminate them, but "
        f"{what} is refused. Nothing was done. Instead of a backfill, launch the policy; for anything else "
        "use a key without --database",
    )


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(400, "The request ended before its body")
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def receiving() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _mutations(body: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each mutation of any operation in the request, with its arguments. Raises Refusal."""
    try:
        query, variables = _request(body)
        # The keyword cannot be written in another way; most requests end here.
        document = parse(query) if "mutation" in query else None
    except (ValueError, RecursionError, GraphQLError):
        raise Refusal(400, "The body is no GraphQL request: send {query, variables}") from None
    if document is None:
        return
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode) and node.operation is OperationType.MUTATION:
            for field in _fields(node.selection_set, fragments, set()):
                arguments = {
                    given.name.value: value_from_ast_untyped(given.value, variables)
                    for given in field.arguments
                }
                yield field.name.value, arguments


def _request(body: bytes) -> tuple[str, dict[str, Any]]:
    """The query and its variables, read as Dagster's webserver reads them. Raises ValueError."""
    content = json.loads(body)
    if isinstance(content, dict) and isinstance(query := content.get("query"), str):
        variables = content.get("variables") or {}
        given = json.loads(variables) if isinstance(variables, str) else variables
        if isinstance(given, dict):
            return query, given
    raise ValueError("no query, or no variables")


def _fields(
    selected: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], seen: set[str]
) -> Iterator[FieldNode]:
    for node in selected.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name in fragments and name not in seen:
                seen.add(name)
                yield from _fields(fragments[name].selection_set, fragments, seen)
        elif isinstance(node, InlineFragmentNode):
            yield from _fields(node.selection_set, fragments, seen)
