"""The metadata of a plan in Dagster."""

from ops_pipeline.maintenance.plan import DeletePlan, Method, RowCount
from ops_pipeline.orchestration import metadata


def test_a_dry_run_says_that_a_policy_is_refused() -> None:
    planned = DeletePlan(
        policy="app/retention/accounts",
        method=Method("block-range scan"),
        rows=RowCount(100, 300),
        refusals=("invoices have a policy",),
    )

    assert "invoices have a policy" in metadata.in_words(planned)
    assert metadata.plan(planned)["refused"].value == "invoices have a policy"
