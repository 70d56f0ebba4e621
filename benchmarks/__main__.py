"""Runs the benchmarks: the API and the policies compared with PostgreSQL itself and with other tools.

`python -m benchmarks [--help]` starts a server and APIs of its own, and prints one table of ratios. At full
size it takes an hour, most of it to fill databases, and 40 GB of disk.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import compare, ingest, orphans, query, retention, vacuum
from benchmarks.filled import filled
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.migrations import migrate

PARTS = ["ingest", "pages", "export", "retention", "orphans", "vacuum"]


def main() -> None:
    """Runs the selected parts and prints their table."""
    asked = _arguments()
    lines: list[compare.Line] = []
    with _folder(asked.folder) as folder, embedded.running(folder / "postgres") as server:
        if "ingest" in asked.parts:
            url = server.url("app")
            migrate(url)
            lines += ingest.measure(folder, url, asked.bulk, seconds=asked.seconds, rounds=asked.rounds)
        if "pages" in asked.parts:
            urls = {rows: filled(server, rows) for rows in sorted({asked.rows, asked.many})}
            lines += query.measure_pages(folder, urls, seconds=asked.seconds, rounds=asked.rounds)
        if "export" in asked.parts:
            url, rows = filled(server, asked.many), min(asked.export, asked.many)
            lines += query.measure_export(folder, url, rows, rounds=asked.rounds)
        if "retention" in asked.parts:
            lines += retention.measure(server, folder, asked.expire)
        if "orphans" in asked.parts:
            lines += orphans.measure(server, folder, asked.children, rounds=asked.rounds)
        if "vacuum" in asked.parts:
            lines += vacuum.measure(server, folder, asked.each)
    compare.write(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART",
                        help=f"{', '.join(PARTS)}; all of them by default")  # fmt: skip
    parser.add_argument("--bulk", type=int, default=100_000, help="rows to store in bulk (%(default)s)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to find pages in (%(default)s)")
    parser.add_argument("--many", type=int, default=20_000_000, help="and many more (%(default)s)")
    parser.add_argument("--export", type=int, default=5_000_000, help="rows to export (%(default)s)")
    parser.add_argument(
        "--expire", type=int, default=10_000_000, help="rows, half of which are expired (%(default)s)"
    )
    parser.add_argument("--children", type=int, default=10_000_000,
                        help="rows of which one in eleven is an orphan (%(default)s)")  # fmt: skip
    parser.add_argument("--each", type=int, default=20_000, help="rows of each table (%(default)s)")
    parser.add_argument("--seconds", type=int, default=8, help="seconds of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the filled databases are kept for the next run")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    return asked


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


if __name__ == "__main__":
    main()
