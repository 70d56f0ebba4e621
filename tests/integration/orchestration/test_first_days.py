"""The days of an archive begin with the first archived one, which the database is asked for at load."""

import time
from datetime import date
from pathlib import Path

import pytest
from dagster._core.code_pointer import CodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster._core.definitions.reconstruct import (
    initialize_repository_def_from_pointer,
    reconstruct_repository_def_from_pointer,
)

from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration import first_days
from ops_pipeline.orchestration.archive_partitions import earliest, key
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection
from tests.integration.orchestration.conftest import Materialize, expired
from tests.integration.orchestration.events import today

LOCATION = """
from pathlib import Path
from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration.definitions import build_definitions
defs = build_definitions(kinds.load(Path(__file__).with_name("policies.yaml")))
"""


def _begin(policies: Policies, policy: Retention) -> date:
    partitions = build_definitions(policies).resolve_asset_graph().get(key(policy)).partitions_def
    assert partitions
    return date.fromisoformat(partitions.get_first_partition_key() or "")


def test_days_begin_with_the_oldest_row_and_then_with_the_first_archived_day(
    archiving: Policies, policy: Retention, nightly_run: Materialize, events: Connection
) -> None:
    assert _begin(archiving, policy) == expired()[0]
    nightly_run()
    assert _begin(archiving, policy) == expired()[0], "a backfill that runs meanwhile keeps its days"

    events.execute("DELETE FROM ops.archives WHERE day < %s", [expired()[2]])
    assert _begin(archiving, policy) == expired()[2]


def test_rows_with_a_wrong_time_add_no_days(
    archiving: Policies, policy: Retention, nightly_run: Materialize, events: Connection
) -> None:
    events.execute("CREATE TABLE early PARTITION OF events DEFAULT")
    events.execute("INSERT INTO events VALUES (-1, '1970-01-01'), (-2, '-infinity'), (-3, '0044-03-15 BC')")

    assert _begin(archiving, policy) == expired()[0]
    nightly_run()
    assert _begin(archiving, policy) == expired()[0]


def test_an_empty_table_has_no_days_yet(archiving: Policies, policy: Retention, events: Connection) -> None:
    events.execute("TRUNCATE events")

    partitions = build_definitions(archiving).resolve_asset_graph().get(key(policy)).partitions_def

    assert partitions
    assert partitions.get_partition_keys() == []
    assert first_days.first_days(archiving) == {policy.name: today()}


@pytest.mark.parametrize("away", ["127.0.0.1:1", "10.255.255.1:5432"])
def test_while_the_database_is_away_no_day_is_missing_and_the_asset_says_so(
    archiving: Policies,
    policy: Retention,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    away: str,
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", f"postgresql://nobody@{away}/app")
    began = time.monotonic()

    asset = build_definitions(archiving).resolve_asset_graph().get(key(policy))

    assert time.monotonic() - began < 8
    assert asset.partitions_def
    assert asset.partitions_def.get_first_partition_key() == f"{earliest()}"
    assert "app did not answer when this was loaded" in (asset.description or "")
    assert "app: its archived days begin with" in caplog.text


def test_a_table_that_is_missing_or_slow_to_ask_does_not_prevent_loading(
    archiving: Policies,
    policy: Retention,
    events: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(first_days, "STATEMENT_TIMEOUT", "100ms")
    with events.transaction():
        events.execute("LOCK TABLE events")
        assert _begin(archiving, policy) == earliest()

    events.execute("DROP TABLE events")
    assert _begin(archiving, policy) == earliest()


def test_a_run_has_the_days_of_the_code_location_that_started_it(
    archiving: Policies,
    policy: Retention,
    events: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = tmp_path / "location.py"
    module.write_text(LOCATION)
    pointer = CodePointer.from_python_file(f"{module}", "defs", None)
    with DefinitionsLoadContext.scoped(DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION)):
        location = initialize_repository_def_from_pointer(pointer)
        events.execute("DELETE FROM events WHERE at < %s", [expired()[1]])
        monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/app")
        in_the_run = reconstruct_repository_def_from_pointer(pointer, location.repository_load_data)

    for repository in (location, in_the_run):
        partitions = repository.asset_graph.get(key(policy)).partitions_def
        assert partitions
        assert partitions.get_first_partition_key() == f"{expired()[0]}"
