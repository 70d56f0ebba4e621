"""Sensors that are off, so that what they watch is not reported."""

from collections.abc import Iterable, Iterator, Mapping

import psycopg

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation
from ops_pipeline.finding import Finding
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect_bare, scalar

WITHOUT: Mapping[str, str] = {
    "ended_runs": "failed runs are neither recorded nor reported, and no heartbeat is sent",
    "lost_runs": "runs whose machine is lost are not failed and not retried",
    "loaded_policies": "the policies that the code location has loaded are not recorded, so an outdated file "
    "is not reported",
}
"""Our sensors, and what happens while each is off."""
TURN_ON = opsctl("schedule", "on")
VALUES = {"sensors": list(WITHOUT)}
"""Those of the statement `diagnosis/stopped_sensors`."""


def off(dagster_url: str) -> list[str]:
    """A sentence about each sensor that is off; none where Dagster's database cannot be read, which
    `next_run` reports."""
    try:
        with connect_bare(dagster_url) as connection:
            if not scalar(connection, sql.get("diagnosis/has_dagster")):
                return []
            stopped = connection.execute(sql.get("diagnosis/stopped_sensors"), VALUES).fetchall()
    except (DatabaseUnavailableError, psycopg.Error):
        return []
    return in_words(name for (name,) in stopped)


def in_words(names: Iterable[str]) -> list[str]:
    """A sentence about each of these sensors, which are off."""
    return [f"the sensor {name} is off: {WITHOUT[name]}. To turn it on: {TURN_ON}" for name in names]


def _look(installation: Installation) -> Iterator[Finding]:
    stopped = installation.dagster_connection().execute(sql.get("diagnosis/stopped_sensors"), VALUES)
    for (name,) in stopped:
        yield Finding(name, f"the sensor is off: {WITHOUT[name]}. To turn it on", (TURN_ON,))


SENSORS = Diagnosis(
    id="sensors",
    severity="error",
    question="Are all sensors on?",
    remedy=f"Run `{TURN_ON}`, or use the switch in the Dagster UI (Automation).",
    look=_look,
)
