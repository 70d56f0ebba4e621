"""What keeps a policy from running: the plan, the run and `opsctl doctor` say it in the same words."""

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
from ops_pipeline.storage import storage

ACTIONS = {"c": "ON DELETE CASCADE", "n": "ON DELETE SET NULL", "d": "ON DELETE SET DEFAULT"}


def table_refusals(
    planning: Planning, policy: DeletingPolicy, table: Relation, parent: Relation | None = None
) -> Iterator[str]:
    """Why the policy may not delete from its table, and what to do about it, a sentence each.

    By settings and catalog alone, without any row. `parent`: the table whose rows decide what is an orphan.
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
    """Raises RefusedError where our user may not delete rows of the policy's table, or not see rows that the
    policy has to see: of its table and each partition, of the others, and of tables that refer to its table.

    PostgreSQL would raise as well, row security included, which our sessions have off; this says what to do
    about it.
    """
    seen = [*references.referring(connection, table), *others]
    refuse(policy.name, tuple(_rights(connection, policy, table, seen)))
    refuse(policy.name, hidden(connection, [table], seen))


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
    for relation, rights in needs.items():
        for grant in lacking(connection, relation, *sorted(rights, reverse=True)):
            yield f"the rights on {relation} are not enough: {grant}"


def inheritance(connection: Connection, table: Relation, parent: Relation | None) -> Iterator[Finding]:
    """The table's inheritance children, and those of the parent of an orphans policy."""
    if children := catalog.inheritance_children(connection, table):
        yield Finding(
            str(table),
            f"{table} has inheritance children ({_named(children)}): their rows would be taken for its own, "
            "and an archive would lack their columns. Let each have a policy of its own, and none through "
            f"{table}",
            (_apart(connection, children),),
        )
    if parent is not None and (children := catalog.inheritance_children(connection, parent)):
        yield Finding(
            str(parent),
            f"{parent}, which {table} refers to, has inheritance children ({_named(children)}): whether a "
            "row that is in one of them counts as a parent is not known. Refer to a table without, or take "
            "them out of it",
            (_apart(connection, children),),
        )


def uncounted(connection: Connection, table: Relation) -> Iterator[Finding]:
    """That the server does not count what keys and triggers do along with a delete."""
    reached = reach(connection, table)
    acting = reached.cascaded or reached.cleared or on_delete.triggers(connection, table)
    if acting and not scalar(connection, sql.get("diagnosis/track_counts")):
        yield Finding(
            str(table),
            "track_counts is off, so that what foreign keys and triggers do when rows of "
            f"{table} are deleted would not be counted. Switch it on",
            (switch_counting_on(connection),),
        )


def switch_counting_on(connection: Connection) -> str:
    """The statement that has the server count what happens to rows."""
    statement = compose.SQL("ALTER DATABASE {} SET track_counts = on;")
    return statement.format(compose.Identifier(connection.info.dbname)).as_string(connection)


def rules(connection: Connection, table: Relation) -> Iterator[Finding]:
    """The rules ON DELETE of the table."""
    for rule in on_delete.rules(connection, table):
        yield Finding(
            str(rule.table),
            f"the rule {rule.name} on {rule.table} changes what a DELETE does: it may keep rows, or delete "
            "others that no plan, guard, hold or archive sees. Do it by a trigger",
            (_drop(connection, rule),),
        )


def voided_keys(connection: Connection, table: Relation) -> Iterator[Finding]:
    """What would keep ON DELETE CASCADE, SET NULL or SET DEFAULT from being done, or would undo it."""
    for key in references.acting(connection, table):
        action = f"{ACTIONS[key.on_delete]} of {key.name}"
        for trigger in on_delete.keeping_triggers(connection, key.child, on_update=key.on_delete != "c"):
            yield Finding(
                str(key.child),
                f"the trigger {trigger} may void the {action}, which would leave rows of {key.child} that "
                "refer to nothing. Let it return a row when it runs within another trigger "
                "(pg_trigger_depth() > 1), make the foreign key NO ACTION, or switch the trigger off",
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
    """What may keep rows of the table, whose children `cascade: archive` would have deleted by then."""
    if not reach(connection, table).cascaded:
        return
    for trigger in on_delete.keeping_triggers(connection, table, on_update=False):
        yield Finding(
            str(table),
            f"the trigger {trigger} may keep rows of {table}, and `cascade: archive` deletes what refers to "
            "them first. Say `cascade: delete`, or switch the trigger off",
            (disable(connection, trigger),),
        )


def foreign_partitions(connection: Connection, table: Relation) -> Iterator[Finding]:
    """The foreign tables among the partitions of an orphans policy's table."""
    for partition in catalog.foreign_partitions(connection, table):
        yield Finding(
            str(partition),
            f"{partition} is a foreign table, whose rows are not looked for without an index and not "
            f"deleted. Take it out of {table} first, or leave that table to its own server",
            (detach(connection, table, partition),),
        )


def disable(connection: Connection, trigger: on_delete.Trigger) -> str:
    """The statement that switches the trigger off."""
    statement = compose.SQL("ALTER TABLE {} DISABLE TRIGGER {};")
    return statement.format(trigger.table.identifier, compose.Identifier(trigger.name)).as_string(connection)


def detach(connection: Connection, table: Relation, partition: Relation) -> str:
    """The statement that takes the partition out of its table."""
    statement = compose.SQL("ALTER TABLE {} DETACH PARTITION {};")
    return statement.format(table.identifier, partition.identifier).as_string(connection)


def _drop(connection: Connection, rule: on_delete.Rule) -> str:
    drop = compose.SQL("DROP RULE {} ON {};").format(compose.Identifier(rule.name), rule.table.identifier)
    return drop.as_string(connection)


def _drop_not_null(connection: Connection, table: Relation, columns: Sequence[str]) -> str:
    drops = [
        compose.SQL("ALTER COLUMN {} DROP NOT NULL").format(compose.Identifier(column)) for column in columns
    ]
    statement = compose.SQL("ALTER TABLE {} {};").format(table.identifier, compose.SQL(", ").join(drops))
    return statement.as_string(connection)


def _named(children: Sequence[tuple[Relation, Relation]]) -> str:
    return ", ".join(dict.fromkeys(str(child) for child, _ in children))


def _apart(connection: Connection, children: Sequence[tuple[Relation, Relation]]) -> str:
    statement = compose.SQL("ALTER TABLE {} NO INHERIT {};")
    return " ".join(
        statement.format(child.identifier, parent.identifier).as_string(connection)
        for child, parent in children
    )
