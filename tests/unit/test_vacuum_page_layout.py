"""Table and index sizes follow PostgreSQL's page layout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_pipeline.maintenance.vacuum import page_layout
from ops_pipeline.maintenance.vacuum.page_layout import ColumnStatistics

PAGE = 8192
NUMBER = ColumnStatistics(length=4, alignment=4, width=4.0)
TEXT = ColumnStatistics(length=-1, alignment=4, width=33.0)
COLUMNS = st.lists(
    st.builds(
        ColumnStatistics,
        length=st.sampled_from([1, 2, 4, 8, 16, -1]),
        alignment=st.sampled_from([1, 2, 4, 8]),
        width=st.floats(1, 1500),
        null_share=st.floats(0, 1),
        distinct=st.floats(-1, 1e6),
    ),
    min_size=1,
    max_size=12,
)


def test_a_million_integers_have_the_size_that_postgresql_gives_them() -> None:
    # CREATE TABLE AS SELECT generate_series(1, 1000000), and its primary key: relpages of both.
    assert page_layout.table_bytes(1_000_000, [NUMBER], 100, PAGE) == 4425 * PAGE
    assert page_layout.btree_bytes(1_000_000, [NUMBER], 90, PAGE, deduplicated=False) == 2745 * PAGE


def test_an_empty_table_has_almost_no_size() -> None:
    assert page_layout.table_bytes(0, [NUMBER], 100, PAGE) == 0
    assert page_layout.btree_bytes(0, [NUMBER], 90, PAGE, deduplicated=True) == PAGE


def test_a_column_without_statistics_makes_the_size_unknown() -> None:
    unknown = ColumnStatistics(length=-1, alignment=4, width=None)

    assert page_layout.table_bytes(1000, [NUMBER, unknown], 100, PAGE) is None
    assert page_layout.btree_bytes(1000, [unknown], 90, PAGE, deduplicated=True) is None


def test_equal_keys_are_stored_once() -> None:
    few = ColumnStatistics(length=-1, alignment=4, width=33.0, distinct=10)

    alike = page_layout.btree_bytes(1_000_000, [few], 90, PAGE, deduplicated=True)
    single = page_layout.btree_bytes(1_000_000, [few], 90, PAGE, deduplicated=False)

    assert alike is not None
    assert single is not None
    assert alike < single / 6


def test_the_widest_keys_make_a_tree_of_finite_height() -> None:
    widest = ColumnStatistics(length=-1, alignment=4, width=5_000.0, distinct=-1.0)

    size = page_layout.btree_bytes(1_000_000, [widest], 90, PAGE, deduplicated=False)

    assert size is not None
    assert size % PAGE == 0


@pytest.mark.parametrize("fillfactor", [50, 100])
@given(columns=COLUMNS, rows=st.integers(0, 10**7), more=st.integers(0, 10**6), deduplicated=st.booleans())
def test_more_rows_never_have_a_smaller_size(
    fillfactor: int, columns: list[ColumnStatistics], rows: int, more: int, deduplicated: bool
) -> None:
    def both(count: int) -> tuple[int, int]:
        table = page_layout.table_bytes(count, columns, fillfactor, PAGE)
        btree = page_layout.btree_bytes(count, columns[:3], fillfactor, PAGE, deduplicated=deduplicated)
        assert table is not None
        assert btree is not None
        return table, btree

    fewer, larger = both(rows), both(rows + more)

    assert all(size >= 0 and size % PAGE == 0 for size in fewer)
    assert fewer[0] <= larger[0]
    assert fewer[1] <= larger[1] * 1.02 + PAGE
