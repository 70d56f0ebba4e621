"""All definitions of a policies file."""

import dagster as dg

from ops_pipeline import policy
from ops_pipeline.orchestration import alerts, assets, checks, days, house, lost, night, tables
from ops_pipeline.orchestration.databases import Databases


def definitions(policies: policy.Policies) -> dg.Definitions:
    """What Dagster is told: every policy of every database, and the night that carries them out."""
    maintained = dg.Definitions(
        assets=[
            *(spec for database in policies.databases for spec in tables.of(database)),
            *(asset for database in policies.databases for asset in assets.of(database)),
            *(asset for database in policies.databases for asset in days.of(database)),
        ],
        asset_checks=[check for database in policies.databases for check in checks.of(database)],
        resources={"databases": Databases()},
        executor=night.EXECUTOR,
    )
    return dg.Definitions.merge(
        maintained,
        night.definitions(policies),
        house.definitions(policies),
        alerts.definitions(policies),
        lost.definitions(policies),
    )
