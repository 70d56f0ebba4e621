"""`opsctl schedule on`: turns schedules and sensors on that were turned off."""

import typer

from ops_pipeline import settings
from ops_pipeline.cli.context import chosen_databases
from ops_pipeline.cli.options import Database
from ops_pipeline.cli.output import Json, answer
from ops_pipeline.maintenance import kinds
from ops_pipeline.postgres import embedded

app = typer.Typer(help="Turn on the schedules of nightly runs and the sensors.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Turn on the schedules of nightly runs and the sensors."""


@app.command("on")
def turn_on(chosen: Database = None, as_json: Json = False) -> None:
    """Turn on what was turned off in the Dagster UI: nightly schedules, and the sensors that watch runs.

    --database limits the schedules; all sensors are turned on. The next run
    starts at its time; those that were missed are not started.
    To stop maintenance for a while: opsctl pause.
    """
    loaded = settings.load()
    databases = chosen_databases(loaded, kinds.load(loaded.policies), chosen)
    with embedded.resolved(loaded) as resolved:
        # Dagster takes seconds to import.
        from ops_pipeline.orchestration import schedules  # noqa: PLC0415

        turned_on = schedules.turn_on(resolved, databases)
    names = dict.fromkeys([*(database.job_name for database in databases), *turned_on])
    lines = [f"{name}: {'on' if name in turned_on else 'was not off'}" for name in names]
    answer(
        {"turned_on": turned_on},
        *lines,
        "For the next run, and whether a daemon will start it: opsctl status",
        as_json=as_json,
    )
