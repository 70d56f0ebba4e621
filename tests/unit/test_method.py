"""The scan method follows from the evidence."""

from dataclasses import replace

import pytest

from ops_pipeline.maintenance.retention.method import Evidence, judge

KNOWN = Evidence(
    partitioned=False, indexed=True, correlation=1.0, rows_a_block=40.0, rows_a_moment=1.0, has_key=True
)


@pytest.mark.parametrize(
    ("evidence", "fraction", "method", "because"),
    [
        (replace(KNOWN, partitioned=True), 0.01, "block-range scan", "partitions"),
        (replace(KNOWN, indexed=False), 0.01, "block-range scan", "no index begins with at"),
        (replace(KNOWN, correlation=None), 0.01, "block-range scan", "never analyzed"),
        (replace(KNOWN, rows_a_block=0.0), 0.01, "block-range scan", "never analyzed"),
        (KNOWN, 0.01, "time-slice scan", "only 1% of them are expired"),
        (replace(KNOWN, correlation=-0.99), 0.29, "time-slice scan", "29% of them are expired"),
        (KNOWN, 0.3, "block-range scan", "30% of them are expired"),
        (replace(KNOWN, correlation=0.1), 0.5, "block-range scan", "100% of the blocks"),
        (replace(KNOWN, correlation=0.1), 0.01, "block-range scan", "33% of the blocks"),
        (replace(KNOWN, correlation=0.1), 0.001, "time-slice scan", "4% of the blocks"),
        (replace(KNOWN, rows_a_moment=5000.0), 0.01, "keyset scan", "5,000 rows have the same time"),
        (replace(KNOWN, rows_a_moment=5000.0, has_key=False), 0.01, "block-range scan", "no primary key"),
    ],
)
def test_the_evidence_leads_to_one_method_with_its_reason(
    evidence: Evidence, fraction: float, method: str, because: str
) -> None:
    chosen = judge(evidence, "at", fraction)

    assert chosen.name == method
    assert because in chosen.why.replace("rows are stored in the order of at and ", "only ")
