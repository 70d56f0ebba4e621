"""Records which policies this code location has loaded, for the check `loaded_policies`."""

import socket

import dagster as dg
import psycopg

import sql
from ops_pipeline.diagnosis.loaded_policies import CODE_LOCATION
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import DatabaseUnavailableError


def definitions(policies: Policies) -> dg.Definitions:
    """A sensor that records them every minute, in each database, as long as the code location runs."""

    @dg.sensor(
        name="loaded_policies",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records in each database which policies this code location has loaded, so that "
        "`opsctl doctor` finds one that has an old policies.yaml.",
    )
    def loaded_policies(databases: MaintenanceResource) -> dg.SkipReason:
        problems = record(databases, policies)
        return dg.SkipReason(f"Not recorded: {'; '.join(problems)}" if problems else "Recorded")

    return dg.Definitions(sensors=[loaded_policies])


def record(databases: MaintenanceResource, policies: Policies) -> list[str]:
    """Records what is loaded in every database; returns the problems of those where it was not possible."""
    problems: list[str] = []
    for database in policies.databases:
        values = {
            "program": CODE_LOCATION,
            "host": socket.gethostname(),
            "fingerprint": database.fingerprint,
        }
        try:
            with databases.reach(database, "loaded policies", writes=True) as connection:
                connection.execute(sql.get("diagnosis/record_loaded_policies"), values)
        except (DatabaseUnavailableError, psycopg.Error) as error:
            problems.append(f"{database.name}: {str(error).strip()}")
    return problems
