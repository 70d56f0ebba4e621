"""No two policies share a name, whatever their tables and columns are called."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ops_pipeline.maintenance import kinds
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.identity import Identity
from ops_pipeline.policies.model import Policy
from ops_pipeline.postgres.relation import TableName

NAMES = st.one_of(
    st.sampled_from(
        ["a", "b", "a_b", "a.b", "a/b", 'a"b', "a b", "a,b", "a:b", "ä", "a__b", "a_", "_a", "public"]
    ),
    st.text(min_size=1, max_size=6).filter(lambda name: "\0" not in name and name.strip()),
)
PLAIN_NAMES = st.one_of(st.none(), st.sampled_from(["a", "a_b", "b"]))
DATABASES = st.sampled_from(["app", "app_", "app__retention", "a"])
TABLES = st.builds(TableName, NAMES, NAMES)
IDENTITIES = st.one_of(
    st.builds(Identity, DATABASES, st.just("retention"), TABLES, name=PLAIN_NAMES),
    st.builds(
        Identity,
        DATABASES,
        st.just("orphans"),
        TABLES,
        st.lists(NAMES, min_size=1, max_size=3).map(tuple),
        PLAIN_NAMES,
    ),
    st.builds(Identity, DATABASES, st.just("vacuum")),
)


def _retention(name: str, *, database: str = "app") -> Identity:
    return Identity(database, "retention", TableName("public", name))


@given(one=IDENTITIES, other=IDENTITIES)
@example(Identity("app", "retention", TableName("billing", "invoices")), _retention("billing_invoices"))
@example(Identity("app", "retention", TableName("billing", "invoices")), _retention("billing.invoices"))
@example(_retention("retention__x"), _retention("x", database="app__retention"))
@example(_retention("_x"), _retention("x"))
@example(_retention("ä"), _retention("ö"))
@example(_retention("vacuum"), Identity("app", "vacuum"))
def test_no_two_policies_share_a_name_or_a_step(one: Identity, other: Identity) -> None:
    same = one == other

    assert (one.label == other.label) == same
    assert (one.path == other.path) == same
    assert all(re.fullmatch(r"[A-Za-z0-9_.]+", part) for part in one.path)
    assert (one.op_name == other.op_name) == same


@given(IDENTITIES)
def test_the_name_of_a_step_is_valid_in_dagster(identity: Identity) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_]+", identity.op_name)


def test_common_policies_have_readable_names() -> None:
    memories = TableName("public", "memories")

    assert _retention("sessions").label == "app/retention/sessions"
    assert _retention("sessions").op_name == "app__retention__sessions"
    assert Identity("app", "orphans", memories, ("ref",)).op_name == "app__orphans__memories__ref"
    assert Identity("app", "orphans", memories, ("tenant", "ref")).label == "app/orphans/memories.tenant,ref"
    assert Identity("app", "retention", memories, name="short").label == "app/retention/memories:short"
    assert Identity("app", "vacuum").label == "app/vacuum"


Read = Callable[[str], tuple[Policy, ...]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def load(text: str) -> tuple[Policy, ...]:
        file = tmp_path / "policies.yaml"
        file.write_text(f"version: 1\ndatabases:\n  app:\n    url: x\n{text}")
        return kinds.load(file).databases[0].policies

    return load


def test_one_table_in_two_spellings_is_refused_with_both_lines(read: Read) -> None:
    with pytest.raises(PolicyError) as caught:
        read(
            "    retention:\n"
            "      - {table: sessions, column: created_at, keep: 30 days}\n"
            "      - {table: public.sessions, column: updated_at, keep: 90 days}\n"
        )

    (problem,) = caught.value.problems
    assert (
        "policies.yaml:7: databases.app.retention[1].table: app/retention/sessions is defined twice"
        in problem
    )
    assert "line 6" in problem


def test_two_policies_of_one_table_are_told_apart_by_a_name(read: Read) -> None:
    policies = read(
        "    retention:\n"
        "      - {table: sessions, column: created_at, keep: 90 days}\n"
        "      - {table: sessions, column: ended_at, keep: 30 days, name: ended}\n"
    )

    assert [policy.name for policy in policies] == ["app/retention/sessions", "app/retention/sessions:ended"]


def test_two_columns_of_one_table_may_both_have_an_orphans_policy(read: Read) -> None:
    policies = read(
        "    orphans:\n"
        "      - {table: memories, column: session_id, references: sessions.id}\n"
        "      - {table: memories, column: user_id, references: users.id}\n"
    )

    assert [policy.name for policy in policies] == [
        "app/orphans/memories.session_id",
        "app/orphans/memories.user_id",
    ]


def test_a_table_may_have_the_name_of_a_kind(read: Read) -> None:
    retention, vacuum = read(
        "    retention: [{table: vacuum, column: at, keep: 1 day}]\n    vacuum: {tables: [vacuum]}\n"
    )

    assert (retention.name, vacuum.name) == ("app/retention/vacuum", "app/vacuum")
    assert retention.identity.op_name != vacuum.identity.op_name
