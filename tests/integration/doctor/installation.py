"""An installation to ask questions about, with Dagster's real tables."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat

from ops_pipeline.diagnosis.examine import Answers, Diagnosed, examine_installation
from ops_pipeline.orchestration import instance, webhook
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies
from ops_pipeline.settings import Settings

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
SCHEDULE = RemoteInstigatorOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("ops_pipeline"), "__repository__"), "nightly_app"
)


@contextmanager
def dagster_instance(home: Path, url: str) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance with that database, whose tables it creates."""
    configured = instance.CONFIGURATION.read_text()
    assert "env: OPS_DAGSTER_DATABASE_URL" in configured
    (home / "dagster.yaml").write_text(
        "storage:\n  postgres:\n    postgres_url: " + instance.for_sqlalchemy(url) + "\n"
    )
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def beat(instance: dg.DagsterInstance, sender: str, *, seconds_ago: float = 0.0) -> None:
    """A heartbeat of the scheduler's and the sensors' daemon."""
    for kind in ("SCHEDULER", "SENSOR"):
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, kind, sender, []))


def switch(instance: dg.DagsterInstance, status: InstigatorStatus) -> None:
    """Turns the schedule on or off, or declares it."""
    data = ScheduleInstigatorData("0 2 * * *", time.time())
    state = InstigatorState(SCHEDULE, InstigatorType.SCHEDULE, status, data)
    known = instance.get_instigator_state(SCHEDULE.get_id(), SCHEDULE.get_selector().get_id())
    (instance.update_instigator_state if known else instance.add_instigator_state)(state)


def switch_sensor(instance: dg.DagsterInstance, name: str, status: InstigatorStatus) -> None:
    """Turns the sensor of that name on or off."""
    origin = RemoteInstigatorOrigin(SCHEDULE.repository_origin, name)
    state = InstigatorState(origin, InstigatorType.SENSOR, status, SensorInstigatorData(cursor="how far"))
    known = instance.get_instigator_state(origin.get_id(), origin.get_selector().get_id())
    (instance.update_instigator_state if known else instance.add_instigator_state)(state)


def tick(instance: dg.DagsterInstance, status: TickStatus, error: Any = None) -> None:
    """A tick of the schedule now."""
    instance.create_tick(
        TickData(
            SCHEDULE.get_id(),
            SCHEDULE.instigator_name,
            InstigatorType.SCHEDULE,
            status,
            time.time(),
            run_ids=[],
            error=error,
            selector_id=SCHEDULE.get_selector().get_id(),
        )
    )


@dataclass
class Ask:
    """Asks the questions about the installation; what is not given is as it should be."""

    settings: Settings
    policies: Policies
    location: str | None = None
    pause: Callable[[float], None] = lambda _: None
    changes: dict[str, object] = field(default_factory=dict)

    def __call__(self, *, policies: Policies | PolicyError | None = None, test: bool = False) -> Answers:
        given = self.settings.model_copy(update=self.changes)
        send = (lambda: webhook.post_test(given)) if test else None
        return examine_installation(given, policies or self.policies, send, wait=self.pause)

    def one(self, id_: str, *, test: bool = False) -> Diagnosed:
        """The only finding of that diagnosis."""
        (found,) = (each for each in self(test=test).findings if each.id == id_)
        return found
