"""Shows a converted snapshot through DuckDB, each result with the SQL that made it.

    python cli/tests/readers/demo.py DEST
"""

import datetime
import os
import sys

import duckdb

VIEWS = """\
-- Paste any of this into DuckDB.
CREATE VIEW samples AS FROM read_parquet('{dest}/samples/*/*.parquet', hive_partitioning = true);
CREATE VIEW series AS FROM read_parquet('{dest}/series/*/*.parquet', hive_partitioning = true);"""

TABLES = """\
-- What was written.
SELECT f.table, count(*) AS files, sum(f.rows) AS rows, sum(f.size_bytes) AS bytes
FROM (SELECT unnest(units, recursive := true) FROM '{dest}/_promblock/manifest.json'), unnest(files) AS _(f)
GROUP BY ALL ORDER BY rows DESC;"""

METRICS = """\
-- The biggest metrics.
SELECT metric, count(*) AS samples, count(DISTINCT series_id) AS series
FROM samples GROUP BY metric ORDER BY samples DESC, metric LIMIT 5;"""

RATE = """\
-- A counter's rate. Null is a stale marker: no step leads to it or on from it. A counter that fell began again.
SELECT date_trunc('minute', timestamp) AS minute, labels ->> 'instance' AS instance,
       round(sum(CASE WHEN value < before THEN value ELSE value - before END) / 60, 3) AS busy_cores
FROM (SELECT *, lag(value) OVER (PARTITION BY series_id ORDER BY timestamp) AS before
      FROM samples WHERE metric = 'node_cpu_seconds_total')
JOIN series USING (series_id, dt)
WHERE value IS NOT NULL AND before IS NOT NULL AND (labels ->> 'mode') <> 'idle'
GROUP BY ALL ORDER BY minute, instance LIMIT 6;"""


def show(db: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Prints a query and its rows, numbers to the right."""
    print(sql)
    result = db.sql(sql)
    rows = [result.columns, *([text(value) for value in row] for row in result.fetchall())]
    if len(rows) == 1:
        raise SystemExit("error: no rows; is this the converted snapshot?")
    numbers = [str(kind) not in ("VARCHAR", "TIMESTAMP WITH TIME ZONE") for kind in result.types]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = (cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, widths, numbers))
        print("  " + "  ".join(cells).rstrip())
    print()


def text(value) -> str:
    if value is None:
        return "null"
    if isinstance(value, datetime.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: demo.py DEST")
    dest = os.path.relpath(sys.argv[1])
    dest = os.path.abspath(dest) if dest.startswith("..") else dest
    if not os.path.exists(f"{dest}/_promblock/manifest.json"):
        raise SystemExit(f"error: {dest} has no _promblock/manifest.json; convert something to it first")
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    views = VIEWS.format(dest=dest)
    db.execute(views)
    print(f"{views}\n")
    show(db, TABLES.format(dest=dest))
    show(db, METRICS)
    show(db, RATE)


if __name__ == "__main__":
    main()
