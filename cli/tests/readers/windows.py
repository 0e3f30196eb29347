"""Compares windows with what SQL makes of the raw rows of the same blocks.

    python cli/tests/readers/windows.py PROMBLOCK SOURCE

Windows, in several forms, are held against a query in DuckDB over the samples: counts, smallest, largest, first and
last values are equal, sums and increases but for the order of adding; and all increases together are those of all steps.
"""

import subprocess
import sys
import tempfile

import duckdb

LOOKBACK_MS = 3_600_000
FORMS = [
    ("5m", 300_000, []),
    ("5m", 300_000, ["--format", "ndjson", "--partition-by", "hour", "--shards", "3"]),
    ("1h", 3_600_000, ["--profile", "compact", "--partition-by", "hour"]),
    ("1d", 86_400_000, ["--layout", "flat"]),
]

# A step for every sample that is a number; without a sample before it within the lookback it begins a lookback ago.
STEPS = f"""
    CREATE TABLE steps AS
    WITH samples AS (
        SELECT series_id, metric, epoch_ms(timestamp) AS t, value AS v, epoch_ms(start_timestamp) AS st
        FROM read_parquet(?) WHERE value IS NOT NULL AND NOT isnan(value)
    ), pairs AS (
        SELECT *, lag(t) OVER w AS t0, lag(v) OVER w AS v0 FROM samples WINDOW w AS (PARTITION BY series_id ORDER BY t)
    ), near AS (
        SELECT *, coalesce(t - t0 <= {LOOKBACK_MS}, false) AS is_near FROM pairs
    )
    SELECT series_id, t, v, CASE
        WHEN NOT regexp_matches(metric, '_(total|count|sum|bucket)$') THEN NULL
        WHEN st > CASE WHEN is_near THEN t0 ELSE t - {LOOKBACK_MS} END AND st <= t THEN v
        WHEN NOT is_near OR v = v0 THEN 0
        WHEN v > v0 THEN v - v0
        ELSE v END AS step
    FROM near"""

EXPECTED = """
    SELECT series_id, t - t % $width AS t, count(*) AS count, sum(v) AS sum, min(v) AS min, max(v) AS max,
        arg_min(v, t) AS first, arg_max(v, t) AS last, sum(step) AS increase
    FROM steps GROUP BY ALL"""

FOUND = """
    SELECT series_id::BIGINT AS series_id, epoch_ms(timestamp::TIMESTAMP) AS t, count, sum::DOUBLE AS sum,
        min::DOUBLE AS min, max::DOUBLE AS max, first::DOUBLE AS first, last::DOUBLE AS last,
        increase::DOUBLE AS increase
    FROM found"""


def near(name: str) -> str:
    a, b = f"a.{name}", f"b.{name}"
    scale = f"greatest(abs({a}), abs({b}))"
    return f"({a} IS NOT DISTINCT FROM {b} OR coalesce(abs({a} - {b}) <= 1e-9 * {scale}, false))"


def convert(promblock: str, source: str, dest: str, *flags: str) -> None:
    subprocess.run([promblock, "convert", "--quiet", source, "--to", dest, *flags], check=True, stdout=subprocess.DEVNULL)


def main(promblock: str, source: str) -> int:
    db = duckdb.connect()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        convert(promblock, source, f"{folder}/raw")
        db.execute(STEPS, [f"{folder}/raw/samples/*/*.parquet"])
        for number, (width, width_ms, flags) in enumerate(FORMS):
            dest = f"{folder}/{number}"
            convert(promblock, source, dest, "--resolution", width, *flags)
            files = f"{dest}/samples_{width}/*/*"
            read = f"read_json('{files}')" if "ndjson" in flags else f"read_parquet('{files}')"
            db.execute(f"CREATE OR REPLACE TABLE found AS SELECT * FROM {read}")
            exact = " AND ".join(f"a.{name} = b.{name}" for name in ["count", "min", "max", "first", "last"])
            rows, wrong = db.execute(
                f"""SELECT count(*), count(*) FILTER (NOT coalesce({exact}, false) OR NOT {near("sum")} OR NOT {near("increase")})
                    FROM ({EXPECTED}) a FULL JOIN ({FOUND}) b USING (series_id, t)""",
                {"width": width_ms},
            ).fetchone()
            total, steps = db.execute("SELECT (SELECT sum(increase) FROM found), (SELECT sum(step) FROM steps)").fetchone()
            is_same = wrong == 0 and rows > 0 and abs(total - steps) <= 1e-9 * abs(steps)
            failed += not is_same
            print(f"{'ok' if is_same else 'WRONG'}: {width} {' '.join(flags)}: {rows} windows, {wrong} differ; {total} and {steps}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
