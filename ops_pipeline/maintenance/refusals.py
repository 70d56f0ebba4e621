"""Why a policy is refused, and what to do about it; used by the plan, the run and `opsctl doctor`."""

from collections.abc import Iterator, Sequence

from psycopg import sql as compose

import sql
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.reach import reach
from ops_pipeline.maintenance.result import refuse
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres import catalog, on_delete
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.rights import lacking, lacking_ownership
from ops_pipeline.postgres.row_security import hidden
from ops_pipeline.postgres.spelling import spelled
from ops_pipeline.storage import storage

ACTIONS = {"c": "ON DELETE CASCADE", "n": "ON DELETE SET NULL", "d": "ON DELETE SET DEFAULT"}


def table_refusals(
    planning: Planning, policy: DeletingPolicy, table: Relation, parent: Relation | None = None
) -> Iterator[str]:
    """Why the policy may not delete from its table, and what to do about it, a sentence each.

    Reads settings and catalogs only, no rows. `parent`: the parent table of an orphans policy.
    """
    connection = planning.connection
    yield from storage.problems(planning.archive_url, archive=policy.archive)
    yield from map(str, references.unindexed(connection, table))
    yield from map(str, inheritance(connection, table, parent))
    yield from map(str, references.silent(connection, table))
    yield from map(str, uncounted(connection, table))
    yield from map(str, rules(connection, table))
    yield from map(str, voided_keys(connection, table))
    if policy.cascade == "archive":
        yield from map(str, kept_parents(connection, table))
    if parent is not None:
        yield from map(str, foreign_partitions(connection, table))


def refuse_hidden_rows(
    connection: Connection, policy: DeletingPolicy, table: Relation, *others: Relation
) -> None:
    """Raises RefusedError where our role may not delete rows of the policy's table, or cannot see rows that
    the policy must see: of its table and partitions, of the others, and of tables that refer to its table.

    PostgreSQL would raise an error as well, also for row security, because our sessions set row_security =
    off; this error says what to do.
    """
    seen = [*references.referring(connection, table), *others]
    refuse(tuple(_rights(connection, policy, table, seen)))
    refuse(hidden(connection, [table], seen))


def _rights(
    connection: Connection, policy: DeletingPolicy, table: Relation, seen: Sequence[Relation]
) -> Iterator[str]:
    by_partition = policy.max_age() is not None and catalog.is_partitioned(connection, table)
    if by_partition and (ways := lacking_ownership(connection, table)):
        yield f"only the owner of {table} may drop its partitions: {'; '.join(ways)}"
        return
    needs: dict[Relation, set[str]] = {relation: {"SELECT"} for relation in seen}
    needs.setdefault(table, set()).update(("SELECT", "DELETE"))
    if policy.cascade == "archive" and (cascaded := reach(connection, table).cascaded):
        needs[table].add("UPDATE")  # its rows are locked while those that refer to them are archived
        for child in cascaded:
            needs[child].add("DELETE")
    for relation, privileges in needs.items():
        for grant in lacking(connection, relation, *sorted(privileges, reverse=True)):
            yield f"missing privileges on {relation}: {grant}"


def inheritance(connection: Connection, table: Relation, parent: Relation | None) -> Iterator[Finding]:
    """The table's inheritance children, and those of the parent of an orphans policy."""
    if children := catalog.inheritance_children(connection, table):
        yield Finding(
            str(table),
            f"{table} has inheritance children ({_named(children)}): their rows would count as its own, and "
            "an archive would lack their additional columns. Write a policy for each of them and detach them "
            f"from {table}",
            (_apart(connection, children),),
        )
    if parent is not None and (children := catalog.inheritance_children(connection, parent)):
        yield Finding(
            str(parent),
            f"{parent}, which {table} refers to, has inheritance children ({_named(children)}): whether a "
            "row in one of them counts as a parent is unknown. Refer to a table without inheritance "
            "children, or detach them",
            (_apart(connection, children),),
        )


def uncounted(connection: Connection, table: Relation) -> Iterator[Finding]:
    """Reports track_counts = off where foreign keys or triggers act on deletes, which is then not counted."""
    reached = reach(connection, table)
    acting = reached.cascaded or reached.cleared or on_delete.triggers(connection, table)
    if acting and not scalar(connection, sql.get("diagnosis/track_counts")):
        yield Finding(
            str(table),
            "track_counts is off, so what foreign keys and triggers do when rows of "
            f"{table} are deleted cannot be counted. Turn it on",
            (switch_counting_on(connection),),
        )


def switch_counting_on(connection: Connection) -> str:
    """The statement that turns track_counts on for the database."""
    statement = compose.SQL("ALTER DATABASE {} SET track_counts = on;")
    return spelled(statement.format(compose.Identifier(connection.info.dbname)), connection)


def rules(connection: Connection, table: Relation) -> Iterator[Finding]:
    """The ON DELETE rules of the table."""
    for rule in on_delete.rules(connection, table):
        yield Finding(
            str(rule.table),
            f"the rule {rule.name} on {rule.table} changes what a DELETE does: it may keep rows, or delete "
            "others that no plan, guard, hold or archive sees. Replace it with a trigger",
            (_drop(connection, rule),),
        )


def voided_keys(connection: Connection, table: Relation) -> Iterator[Finding]:
    """Triggers, rules and constraints that would void ON DELETE CASCADE, SET NULL or SET DEFAULT."""
    for key in references.acting(connection, table):
        action = f"{ACTIONS[key.on_delete]} of {key.name}"
        for trigger in on_delete.keeping_triggers(connection, key.child, on_update=key.on_delete != "c"):
            yield Finding(
                str(key.child),
                f"the trigger {trigger} may void the {action}, which would leave orphans in {key.child}. "
                "Make it return a row when it runs within another trigger (pg_trigger_depth() > 1), make the "
                "foreign key NO ACTION, or disable the trigger",
                (disable(connection, trigger),),
            )
        if key.on_delete == "c":
            for rule in on_delete.rules(connection, key.child):
                yield Finding(
                    str(rule.table),
                    f"the rule {rule.name} on {rule.table} would make the {action} fail",
                    (_drop(connection, rule),),
                )
        if key.on_delete != "n":
            continue
        if required := catalog.required_columns(connection, key.child, key.cleared):
            yield Finding(
                str(key.child),
                f"the {action} would set {', '.join(required)} of {key.child} to NULL, which is NOT NULL: no "
                f"row of {table} that is referred to could be deleted. Make the foreign key NO ACTION, or "
                "drop NOT NULL",
                (_drop_not_null(connection, key.child, required),),
            )


def kept_parents(connection: Connection, table: Relation) -> Iterator[Finding]:
    """Triggers that may keep rows of the table after `cascade: archive` has deleted their children."""
    if not reach(connection, table).cascaded:
        return
    for trigger in on_delete.keeping_triggers(connection, table, on_update=False):
        yield Finding(
            str(table),
            f"the trigger {trigger} may keep rows of {table}, but `cascade: archive` deletes the rows that "
            "refer to them first. Set `cascade: delete`, or disable the trigger",
            (disable(connection, trigger),),
        )


def foreign_partitions(connection: Connection, table: Relation) -> Iterator[Finding]:
    """The foreign tables among the partitions of an orphans policy's table."""
    for partition in catalog.foreign_partitions(connection, table):
        yield Finding(
            str(partition),
            f"{partition} is a foreign table: its rows are not scanned and not deleted. Detach it from "
            f"{table} first, or clean that table up on its own server",
            (detach(connection, table, partition),),
        )


def disable(connection: Connection, trigger: on_delete.Trigger) -> str:
    """The statement that disables the trigger."""
    statement = compose.SQL("ALTER TABLE {} DISABLE TRIGGER {};")
    return spelled(statement.format(trigger.table.identifier, compose.Identifier(trigger.name)), connection)


def detach(connection: Connection, table: Relation, partition: Relation) -> str:
    """The statement that detaches the partition from its table."""
    statement = compose.SQL("ALTER TABLE {} DETACH PARTITION {};")
    return spelled(statement.format(table.identifier, partition.identifier), connection)


def _drop(connection: Connection, rule: on_delete.Rule) -> str:
    drop = compose.SQL("DROP RULE {} ON {};").format(compose.Identifier(rule.name), rule.table.identifier)
    return spelled(drop, connection)


def _drop_not_null(connection: Connection, table: Relation, columns: Sequence[str]) -> str:
    drops = [
        compose.SQL("ALTER COLUMN {} DROP NOT NULL").format(compose.Identifier(column)) for column in columns
    ]
    statement = compose.SQL("ALTER TABLE {} {};").format(table.identifier, compose.SQL(", ").join(drops))
    return spelled(statement, connection)


def _named(children: Sequence[tuple[Relation, Relation]]) -> str:
    return ", ".join(dict.fromkeys(str(child) for child, _ in children))


def _apart(connection: Connection, children: Sequence[tuple[Relation, Relation]]) -> str:
    statement = compose.SQL("ALTER TABLE {} NO INHERIT {};")
    return " ".join(
        spelled(statement.format(child.identifier, parent.identifier), connection)
        for child, parent in children
    )
