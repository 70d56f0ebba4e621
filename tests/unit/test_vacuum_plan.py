"""What a plan of VACUUM says reads as sentences, and its lists can be told apart from their reasons."""

from ops_pipeline.maintenance.plan import Method
from ops_pipeline.maintenance.vacuum.bloat import Bloat
from ops_pipeline.maintenance.vacuum.plan import PlannedTable, VacuumPlan

BLOAT = Bloat(10_000_000, 4_000_000, "statistics")


def _plan(*tables: PlannedTable) -> VacuumPlan:
    return VacuumPlan(
        policy="app/vacuum", method=Method("VACUUM"), live_tuples=0, planned_tables=tables, indexes=()
    )


def test_it_says_what_it_would_do_with_how_many_tables() -> None:
    vacuumed, analyzed = PlannedTable("a", "vacuum", "dead rows"), PlannedTable("b", "analyze", "new rows")
    skipped = PlannedTable("c", "skip", "few dead rows")

    assert _plan(vacuumed, analyzed, skipped).would() == "would VACUUM 1 and ANALYZE 1 of 3 tables"
    assert _plan(skipped).would() == "would VACUUM none of 1 table"


def test_a_tables_bloat_stands_in_brackets_after_it() -> None:
    plan = _plan(
        PlannedTable("a", "vacuum", "dead rows", BLOAT, BLOAT),
        PlannedTable("b", "skip", "few dead rows", BLOAT),
        PlannedTable("c", "skip", "few dead rows"),
    )
    bloat = "4.0 of 10.0 MB are bloat by the statistics"

    assert list(plan.explanations()) == [f"vacuum a: dead rows ({bloat}; of its B-trees {bloat})"]
    assert list(plan.skips()) == [f"skip (few dead rows): b ({bloat}), c"]
