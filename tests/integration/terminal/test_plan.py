"""The commands plan and approve, as a person in a terminal uses them."""

import json
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from ops_pipeline.audit.person import person
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.terminal.conftest import GUARDED, OPSCTL


def test_plan_names_the_next_step(guarded: Connection, opsctl: OPSCTL) -> None:
    (plan,) = [plan for plan in approvals.pending(guarded) if plan.follows is None]

    waiting = opsctl("plan")
    opsctl("approve", plan.id)
    approved = opsctl("plan")

    assert waiting.code == 3
    together = "app/retention/sessions once, and app/orphans/memories.session_id with it"
    assert f"To allow {together}: opsctl approve {plan.id}" in waiting.out
    assert "app/retention/sessions is approved for one run. To run it now: opsctl run" in approved.out


def test_plan_stores_what_a_person_can_approve_at_once(
    application: Connection, opsctl: OPSCTL, tmp_path: Path
) -> None:
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions")
    (tmp_path / "policies.yaml").write_text(GUARDED)

    shown = opsctl("plan")
    orphans, sessions = sorted(approvals.pending(application), key=lambda plan: plan.policy)
    again = json.loads(opsctl("plan", "--json").out)
    approved = opsctl("approve", sessions.id)
    afterwards = opsctl("plan")

    assert shown.code == 3
    together = "app/retention/sessions once, and app/orphans/memories.session_id with it"
    assert f"To allow {together}: opsctl approve {sessions.id}" in shown.out
    assert (orphans.follows, orphans.eligible, sessions.eligible) == (sessions.id, 3000, 3000)
    assert {plan["id"] for plan in again["pending"]} == {orphans.id, sessions.id}, (
        "the same plan, the same id"
    )
    assert "Approved with it: app/orphans/memories.session_id, 3,000 rows" in approved.out
    assert afterwards.code == 0, afterwards
    assert "app/orphans/memories.session_id is approved for one run" in afterwards.out


def test_a_plan_of_other_rows_gets_another_id(
    application: Connection, opsctl: OPSCTL, tmp_path: Path
) -> None:
    (tmp_path / "policies.yaml").write_text(GUARDED)
    opsctl("plan")
    (first,) = approvals.pending(application)

    application.execute("INSERT INTO sessions (created_at) SELECT now() - interval '90 days'")
    opsctl("plan")

    (second,) = approvals.pending(application)
    assert second.id != first.id
    assert second.eligible == first.eligible + 1


def test_a_login_that_may_not_store_plans_is_told_the_grant(
    application: Connection, opsctl: OPSCTL, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policies.yaml").write_text(GUARDED)
    name = f"reader_{uuid4().hex[:8]}"
    application.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE ops_reader")
    application.execute(f"GRANT SELECT, DELETE ON sessions, memories TO {name}")
    login = urlsplit(url)._replace(netloc=f"{name}:x@{urlsplit(url).netloc.rpartition('@')[2]}").geturl()
    monkeypatch.setenv("OPS_DATABASE_URL", login)
    try:
        shown = opsctl("plan")
    finally:
        application.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")

    assert shown.code == 3
    assert "3,000" in shown.out
    assert (
        "app/retention/sessions: the plan was not stored, so it has no id to approve: permission" in shown.out
    )
    assert f"GRANT ops_maintenance TO {name}" in shown.out
    assert approvals.pending(application) == []


def test_plan_lists_skipped_tables_only_when_asked(application: Connection, opsctl: OPSCTL) -> None:
    application.execute("ANALYZE")

    assert "app/vacuum: skip " not in opsctl("plan").out
    assert "app/vacuum: skip " in opsctl("plan", "--verbose").out


def test_a_plan_is_approved_by_the_first_characters_of_its_id(guarded: Connection, opsctl: OPSCTL) -> None:
    _rename(guarded, "app/retention/sessions", "a1b2c3d4")
    _rename(guarded, "app/orphans/memories.session_id", "a1ffffff")

    ambiguous = opsctl("approve", "a1")
    assert len(approvals.pending(guarded)) == 2
    approved = opsctl("approve", "a1b")

    assert ambiguous.code == 2
    assert "a1b2c3d4 (app/retention/sessions)" in ambiguous.err
    assert "a1ffffff (app/orphans/memories.session_id)" in ambiguous.err
    assert approved.code == 0, approved
    assert "app/retention/sessions may delete 3,000 rows" in approved.out
    assert approvals.approved_plan(guarded, "app/retention/sessions")
    assert opsctl("approve", "zz").code == 2


def test_all_plans_are_approved_at_once(guarded: Connection, opsctl: OPSCTL) -> None:
    approved = opsctl("approve", "--all", "--by", "me", "--json")

    assert approved.code == 0
    (plan,) = json.loads(approved.out)["approved"]
    assert plan["policy"] == "app/retention/sessions"
    assert plan["approved_by"] == f"{person()} on behalf of me"
    assert [also["policy"] for also in plan["following"]] == ["app/orphans/memories.session_id"]
    assert approvals.pending(guarded) == []
    assert opsctl("approve", "--all").out == "No plan needs approval.\n"
    assert opsctl("approve", "a1", "--all").code == 2


def _rename(connection: Connection, policy: str, plan: str) -> None:
    connection.execute("ALTER TABLE ops.plans DROP CONSTRAINT IF EXISTS plans_follows_fkey")
    old = scalar(connection, "SELECT id FROM ops.plans WHERE policy = %s", [policy])
    connection.execute("UPDATE ops.plans SET id = %s WHERE id = %s", [plan, old])
    connection.execute("UPDATE ops.plans SET follows = %s WHERE follows = %s", [plan, old])
