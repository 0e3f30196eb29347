#!/usr/bin/env python3
"""Runs the SQL of docs/downsampling.md in DuckDB on the rows of the page, and compares what the page says it gives.

    python downsampling_page.py PAGE      needs duckdb and pytz; exit code 1 when something differs; UPDATE=1 rewrites it
"""

import os
import pathlib
import re
import sys

import duckdb

from duckdb_views import duckdb_sql

QUERY = re.compile(r"```sql\n(.*?)```\n```text\n(.*?)```", re.DOTALL)
BUCKETS = "[{'lower': 0.1, 'upper': 0.2, 'count': %d}, {'lower': 0.2, 'upper': 0.4, 'count': %d}]"


def register(db, page):
    """The page's rows as table samples_5m, and the histograms that it tells of."""
    lines = page.split("<!-- rows")[1].split("<!-- end -->")[0].splitlines()[1:]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    db.execute("CREATE SCHEMA my_dataset")
    columns = [f"{name} {dict(metric='VARCHAR', timestamp='TIMESTAMPTZ', count='BIGINT').get(name, 'DOUBLE')}" for name in head]
    db.execute(f"CREATE TABLE my_dataset.samples_5m ({', '.join(columns)})")
    for metric, time, *numbers in rows:
        db.execute(f"INSERT INTO my_dataset.samples_5m VALUES ('{metric}', '2026-11-20 {time}:00+00', {', '.join(numbers)})")
    db.execute(
        "CREATE TABLE my_dataset.histograms_5m (metric VARCHAR, timestamp TIMESTAMPTZ, zero_threshold DOUBLE, zero_count DOUBLE, "
        "buckets STRUCT(lower DOUBLE, upper DOUBLE, count DOUBLE)[])"
    )
    for time, counts in [("10:00", (60, 30)), ("10:05", (20, 10))]:
        values = f"'latency_seconds', '2026-11-20 {time}:00+00', 0.001, 0, {BUCKETS % counts}"
        db.execute(f"INSERT INTO my_dataset.histograms_5m VALUES ({values})")


def answer(db, sql):
    result = db.execute(duckdb_sql(sql))
    rows = [[column[0] for column in result.description]]
    rows += [["null" if value is None else f"{value:.6g}" if isinstance(value, float) else f"{value:%H:%M}" if hasattr(value, "hour") else str(value) for value in row] for row in result.fetchall()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n" for row in rows)


def main(path):
    page = path.read_text()
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    register(db, page)
    now = QUERY.sub(lambda match: f"```sql\n{match[1]}```\n```text\n{answer(db, match[1])}```", page)
    if os.environ.get("UPDATE"):
        path.write_text(now)
    elif now != page:
        print(f"FAIL {path}: UPDATE=1 writes what the queries give now")
        return 1
    print(f"ok   {len(QUERY.findall(page))} queries of {path}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
