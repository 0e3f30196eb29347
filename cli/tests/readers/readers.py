"""Converts every fixture in every form and opens the output with other people's software.

    python cli/tests/readers/readers.py PROMBLOCK FIXTURES [NAME…]

pyarrow, DuckDB and Polars must find, bit for bit, what the reference reads from the same blocks; a strict JSON parser
and a check that acts like BigQuery's loader must take every file. `expected.py` says what is expected, `tables.py`
reads, `parquet_facts.py` looks at how Parquet files are made.
"""

import collections
import json
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
os.environ.update(POLARS_MAX_THREADS="1", PYTHONDONTWRITEBYTECODE="1", TZ="Asia/Kathmandu")

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import zstandard

import expected
import parquet_facts
import tables
from tables import Mismatch, comparable, same, same_rows

REFUSED = "hash_collision"
SNAPSHOT = "snapshot"
# What Prometheus makes of a NaN that it scrapes.
ORDINARY_NAN_BITS = 0x7FF8000000000001


@dataclass(frozen=True)
class Cell:
    """One form of output, and the fixtures that are converted to it; all of them without any."""

    format: str = "parquet"
    layout: str = "star"
    profile: str = "bigquery"
    compression: str = "zstd"
    partition_by: str = "day"
    label_columns: bool = False
    stale_markers: str = "keep"
    add_label: str = ""
    shards: bool = False
    fixtures: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [self.format, self.layout]
        words += [self.profile] if self.format == "parquet" else []
        words += [self.compression]
        words += [f"by {self.partition_by}"] if self.partition_by != "day" else []
        words += ["label columns"] if self.label_columns else []
        words += ["stale markers dropped"] if self.stale_markers == "drop" else []
        words += ["label added"] if self.add_label else []
        words += ["3 shards"] if self.shards else []
        return ", ".join(words)

    def flags(self, names: list[str]) -> list[str]:
        flags = ["--format", self.format, "--layout", self.layout, "--compression", self.compression]
        flags += ["--profile", self.profile] if self.format == "parquet" else []
        flags += ["--label-columns", ",".join(names)] if names else []
        return flags

    def shaping_flags(self) -> list[str]:
        flags = ["--partition-by", self.partition_by, "--stale-markers", self.stale_markers]
        flags += ["--add-label", self.add_label] if self.add_label else []
        flags += ["--shards", "3"] if self.shards else []
        return flags


# Fixtures whose label names are no plain column names, or whose series lack some.
NAMES = (
    "reserved_labels", "label_case", "utf8_names", "odd_values", "many_labels", "labels_before_name", "consecutive",
    "no_metric_name", "invalid_names", "external_labels", "many_series", SNAPSHOT, "histograms",
)
DATES = ("midnight", "long_span", "times_around_zero", "extreme_times", "stale_markers", "histogram_times")
TEXTS = (
    "special_values", "nan_payloads", "odd_values", "utf8_names", "midnight", "long_value", "extreme_times", SNAPSHOT,
    "histogram_special_values", "histogram_custom_bounds", "histograms_mixed",
)
LABELS = ("no_metric_name", "labels_before_name", "external_labels", "invalid_names")
SHARDS = ("many_series", "labels_before_name", "no_metric_name", "midnight", "many_values", "chunk_max", SNAPSHOT, "histograms")
CELLS = [
    *(Cell(layout=layout, profile=profile) for layout in ("star", "flat") for profile in ("bigquery", "compact")),
    *(Cell("ndjson", layout, compression="none") for layout in ("star", "flat")),
    *(
        Cell("ndjson", layout, compression=compression, fixtures=TEXTS)
        for layout in ("star", "flat")
        for compression in ("gzip", "zstd")
    ),
    *(Cell(layout="flat", profile="compact", compression=codec, fixtures=TEXTS) for codec in ("snappy", "none")),
    *(Cell(layout=layout, label_columns=True, fixtures=NAMES) for layout in ("star", "flat")),
    *(Cell("ndjson", layout, compression="none", label_columns=True, fixtures=NAMES) for layout in ("star", "flat")),
    *(Cell(partition_by=by, fixtures=DATES) for by in ("hour", "month", "none")),
    *(Cell("ndjson", "flat", compression="gzip", partition_by=by, fixtures=DATES) for by in ("hour", "month", "none")),
    Cell(
        stale_markers="drop",
        fixtures=("stale_markers", "nan_payloads", "overlap_conflict", "histogram_stale_markers", "histogram_overlap"),
    ),
    Cell(add_label="Zone=b", fixtures=LABELS),
    Cell(shards=True, fixtures=SHARDS),
    Cell("ndjson", "flat", compression="none", shards=True, fixtures=SHARDS),
]


def promblock(program: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([program, *arguments], capture_output=True, timeout=120)


class Output:
    """A converted fixture: what its manifest lists."""

    def __init__(self, root: Path, cell: Cell):
        self.root, self.cell = root, cell
        self.manifest = json.loads((root / "_promblock/manifest.json").read_text())
        self.label_columns = [tuple(pair) for pair in self.manifest["label_columns"]]
        self.files = [(unit, file) for unit in self.manifest["units"] for file in unit["files"]]
        self.tables = {file["table"] for _, file in self.files}

    def paths(self, table: str) -> list[str]:
        return [str(self.root / file["path"]) for _, file in self.files if file["table"] == table]

    def glob(self, table: str) -> str:
        folders = "" if self.cell.partition_by == "none" else "/*"
        ends = {"gzip": "ndjson.gz", "zstd": "ndjson.zst", "none": "ndjson"}
        end = "parquet" if self.cell.format == "parquet" else ends[self.cell.compression]
        return f"{self.root}/{table}{folders}/*.{end}"

    def check_manifest(self, wanted: expected.Tables) -> None:
        """Every file is listed, and is as it is listed."""
        folders = [folder for folder in self.root.iterdir() if folder.name != "_promblock"]
        paths = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        found = {str(path.relative_to(self.root)) for path in paths}
        same("files", found, {file["path"] for _, file in self.files})
        written = sum(unit["tally"]["written"] for unit in self.manifest["units"])
        rows = sum(file["rows"] for _, file in self.files if file["table"] in ("samples", "histograms"))
        same("samples written, by the tallies", written, rows)
        partitions = collections.defaultdict(lambda: [0, 0, 0])
        places = {"samples": 0, "series": 1, "histograms": 2}
        for unit, file in self.files:
            key = unit["partition"]["key"]
            folder = file["table"] if self.cell.partition_by == "none" else f"{file['table']}/dt={key}"
            same("folder of a file", str(Path(file["path"]).parent), folder)
            raw = (self.root / file["path"]).read_bytes()
            same(f"size of {file['path']}", file["size_bytes"], len(raw))
            if len(raw) < 1 << 16:
                same(f"checksum of {file['path']}", file["crc32c"], f"{crc32c(raw):08x}")
            partitions[key][places[file["table"]]] += file["rows"]
        rows = {key: tuple(counts) for key, counts in partitions.items()}
        same("rows of samples, series and histograms per partition", rows, wanted.partitions)

    def check_extents(self, table: str, rows: pa.Table) -> None:
        """Rows, times and partition of every file of a table whose files are read in one piece."""
        first, last = ("min_timestamp", "max_timestamp") if table == "series" else ("timestamp", "timestamp")
        at = 0
        for unit, file in ((unit, file) for unit, file in self.files if file["table"] == table):
            slice, at = rows.slice(at, file["rows"]), at + file["rows"]
            low, high = (pa.compute.min_max(slice[name].cast(pa.int64())) for name in (first, last))
            times = (low["min"].as_py(), high["max"].as_py())
            same(f"times of {file['path']}", times, (file["min_time_ms"], file["max_time_ms"]))
            keys = set(expected.partition_keys(np.array(times), self.cell.partition_by))
            same(f"partition of {file['path']}", keys, {unit["partition"]["key"]})
        same(f"rows of {table}, by the manifest", at, rows.num_rows)


CRC32C = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC32C.append(byte)


def crc32c(raw: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in raw:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def check_output(output: Output, wanted: expected.Tables, schemas: dict[str, list[dict]], db) -> None:
    """Each table through each reader, against the rows expected."""
    cell = output.cell
    for table in ("samples", "histograms", "series"):
        rows = getattr(wanted, table)
        schema, paths = schemas[table], output.paths(table)
        if not paths:
            same(f"rows of {table} in no file", 0, rows.num_rows)
            continue
        same(f"fields of {table} by `schema`", [field["name"] for field in schema], rows.column_names)
        same(f"modes of {table}", {field["mode"] for field in schema} - {"NULLABLE", "REPEATED"}, set())
        parquet_facts.check_names(table, rows.column_names)
        if cell.format == "parquet":
            for path in paths:
                parquet_facts.check_file(path, table, cell.profile, cell.compression, schema)
            types = {field["name"]: tables.arrow_type(field) for field in schema}
            found = comparable(tables.parquet_by_pyarrow(paths, types))
            same_rows(f"{table} by pyarrow", found, rows)
            same_rows(f"{table} by DuckDB", comparable(tables.parquet_by_duckdb(db, paths, types)), rows)
            same_rows(f"{table} by Polars", comparable(tables.parquet_by_polars(paths, types)), rows)
        else:
            rows = tables.one_nan(rows)
            found = tables.ndjson_by_json(paths, schema)
            same_rows(f"{table} by json", found, rows)
            by_duckdb = tables.one_nan(comparable(tables.ndjson_by_duckdb(db, paths, schema)))
            same_rows(f"{table} by DuckDB", by_duckdb, rows)
            by_polars = tables.one_nan(comparable_without_labels(tables.ndjson_by_polars(paths, schema)))
            same_rows(f"{table} by Polars", by_polars, rows, skip={"labels"})
        output.check_extents(table, found)
    if output.paths("samples"):
        check_queries(output, wanted, db)


def comparable_without_labels(table: pa.Table) -> pa.Table:
    if "labels" not in table.column_names:
        return comparable(table)
    at = table.column_names.index("labels")
    return comparable(table.remove_column(at)).add_column(at, "labels", table["labels"])


def check_queries(output: Output, wanted: expected.Tables, db) -> None:
    """What people ask first, through wildcards and hive partitions."""
    cell, samples = output.cell, wanted.samples
    hive = cell.partition_by != "none"
    values = samples["value"].combine_chunks()
    floats = values.drop_null().to_numpy().view(np.float64)
    plain = np.abs(floats) < 1e15
    facts = {
        "rows": samples.num_rows,
        "nulls": values.null_count,
        "nans": int(np.isnan(floats).sum()),
        "infinite": int(np.isinf(floats).sum()),
        "plain": int(plain.sum()),
        "series": len(samples["series_id"].unique()),
        "partitions": sum(rows > 0 for rows, _, _ in wanted.partitions.values()) if hive else 0,
        "in_partition": samples.num_rows,
    }
    total = math.fsum(floats[plain])
    day = "dt = CAST(timestamp AT TIME ZONE 'UTC' AS DATE)" if hive and cell.partition_by == "day" else "true"
    reader = "read_parquet" if cell.format == "parquet" else "read_ndjson"
    typed = "" if cell.format == "parquet" else (
        ", columns = {series_id: 'BIGINT', timestamp: 'TIMESTAMPTZ', value: 'DOUBLE'}"
    )
    source = f"{reader}('{output.glob('samples')}', hive_partitioning = {hive}{typed})"
    found = db.execute(f"""
        SELECT count(*), count(*) - count(value), count_if(isnan(value)), count_if(isinf(value)),
               count_if(abs(value) < 1e15), count(DISTINCT series_id),
               {'count(DISTINCT dt)' if hive else 0}, count_if({day}),
               coalesce(sum(value) FILTER (abs(value) < 1e15), 0)
        FROM {source}""").fetchall()[0]
    same("facts of samples by DuckDB", dict(zip(facts, found)), facts)
    same("sum of values by DuckDB", math.isclose(found[-1], total, rel_tol=1e-9, abs_tol=1e-3), True)

    key = ", dt" if hive else ""
    typed = typed and ", columns = {series_id: 'BIGINT', metric: 'VARCHAR', samples: 'BIGINT'}"
    series = f"{reader}('{output.glob('series')}', hive_partitioning = {hive}{typed})"
    joined, distinct, told = db.execute(f"""
        SELECT count(*), count(DISTINCT (series_id{key})), (SELECT sum(samples) FROM {series} AS all_series)
        FROM {source} AS one JOIN {series} AS other USING (series_id{key})""").fetchall()[0]
    rows_of_series = sum(count for _, count, _ in wanted.partitions.values())
    same("rows of samples joined with series", joined, samples.num_rows)
    same("rows of all tables, by table series", int(told), samples.num_rows + wanted.histograms.num_rows)
    if "histograms" not in output.tables:
        same("series and partitions joined", distinct, rows_of_series)
    if cell.format == "parquet":
        check_filters(output, wanted, facts, total, db, source)


def check_filters(output: Output, wanted: expected.Tables, facts: dict, total: float, db, source: str) -> None:
    """Queries that skip row groups and pages, and the hive folders through Polars and pyarrow."""
    samples, root = wanted.samples, f"{output.root}/samples"
    middle = samples.slice(samples.num_rows // 2, 1)
    series_id, metric = middle["series_id"][0].as_py(), middle["metric"][0].as_py()
    at = middle["timestamp"][0].cast(pa.int64()).as_py()
    times = samples["timestamp"].cast(pa.int64())
    of_series = pa.compute.equal(samples["series_id"], series_id)
    count = pa.compute.sum(pa.compute.and_(of_series, pa.compute.greater_equal(times, at))).as_py()
    of_metric = pa.compute.sum(pa.compute.equal(samples["metric"], metric)).as_py() if metric is not None else 0
    found = db.execute(
        f"""SELECT count_if(series_id = $id), (SELECT count(*) FROM {source} WHERE metric = $metric)
        FROM {source} WHERE series_id = $id AND timestamp >= to_timestamp($ms::DOUBLE / 1000)""",
        {"id": series_id, "metric": metric, "ms": at},
    ).fetchall()[0]
    same("rows of one series from a time on, and of one metric, by DuckDB", found, (count, of_metric))

    hive = output.cell.partition_by != "none"
    frame = pl.scan_parquet(f"{root}/**/*.parquet", hive_partitioning=hive)
    value, plain = pl.col("value"), pl.col("value").abs() < 1e15
    found = frame.select(
        rows=pl.len(),
        nulls=value.null_count(),
        nans=value.is_nan().sum(),
        infinite=value.is_infinite().sum(),
        plain=plain.sum(),
        series=pl.col("series_id").n_unique(),
        sum=value.filter(plain).sum(),
    )
    found = found.collect().row(0, named=True)
    by_polars = found.keys() - {"sum"}
    same("facts of samples by Polars", {k: found[k] for k in by_polars}, {k: facts[k] for k in by_polars})
    same("sum of values by Polars", math.isclose(found["sum"], total, rel_tol=1e-9, abs_tol=1e-3), True)
    filtered = frame.filter(pl.col("series_id") == series_id, pl.col("timestamp").cast(pl.Int64) >= at)
    same("rows of one series from a time on, by Polars", filtered.select(pl.len()).collect().item(), count)

    dataset = pa.dataset.dataset(root, format="parquet", partitioning="hive" if hive else None)
    in_dataset = dataset.to_table(
        columns=["series_id", *(["dt"] if hive else [])],
        filter=(pa.dataset.field("series_id") == series_id)
        & (pa.dataset.field("timestamp") >= pa.scalar(at, pa.int64()).cast(expected.TIMESTAMP)),
    )
    same("rows of one series from a time on, by pyarrow", in_dataset.num_rows, count)


class Fixture:
    """A folder of blocks with what is expected of it."""

    def __init__(self, program: str, fixtures: Path, name: str, scratch: Path):
        self.program, self.name, self.scratch = program, name, scratch
        self.source = next((fixtures / SNAPSHOT).iterdir()) if name == SNAPSHOT else fixtures / "blocks" / name
        if name == SNAPSHOT:
            self.expected = load_snapshot(program, fixtures, self.source, scratch)
        else:
            self.expected = expected.load(fixtures / f"expected/{name}.ndjson")
        self.db = duckdb.connect(config={"threads": 1})

    def check(self, cell: Cell) -> int:
        """Converts to one form and checks it; the rows of samples and histograms."""
        names = self.expected.label_names() if cell.label_columns else []
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            flags = [*cell.flags(names), *cell.shaping_flags()]
            run = promblock(self.program, "convert", str(self.source), "--to", f"{folder}/out", *flags)
            if run.returncode not in (0, 1):
                raise Mismatch(f"convert: exit {run.returncode}: {run.stderr.decode()}")
            output = Output(Path(folder) / "out", cell)
            same("labels promoted", [label for label, _ in output.label_columns], names)
            wanted = self.wanted(cell, output)
            output.check_manifest(wanted)
            self.check_losses(output, wanted, run)
            schema = promblock(self.program, "schema", *cell.flags(names))
            same("exit of schema", schema.returncode, 0)
            check_output(output, wanted, json.loads(schema.stdout), self.db)
            return wanted.samples.num_rows + wanted.histograms.num_rows

    def wanted(self, cell: Cell, output: Output) -> expected.Tables:
        rows = self.expected
        if cell.add_label:
            rows = rows.with_label(*cell.add_label.split("=", 1))
        if cell.stale_markers == "drop":
            rows = rows.without_stale_markers()
        return expected.tables(rows, cell.partition_by, output.label_columns, cell.layout == "flat")

    def check_losses(self, output: Output, wanted: expected.Tables, run: subprocess.CompletedProcess) -> None:
        """Exit 1 where samples are lost, and only there; every one of them is counted."""
        lost = collections.Counter()
        for unit in output.manifest["units"]:
            lost.update(unit["tally"]["lost"])
        times = lost.pop("timestamp_out_of_range", 0)
        same("samples lost for their time", times, wanted.unwritable)
        same("samples lost for other reasons", dict(lost), {})
        same("exit of convert", run.returncode, 1 if times else 0)
        raw = (of for of in self.expected.blocks if not of.get("superseded") and not of.get("resolution_ms"))
        read = {block["ulid"]: block["samples"] for block in raw if block["samples"]}
        found = {block["ulid"]: block["read"] for block in output.manifest["blocks"] if block["read"]}
        same("samples read, by block", found, read)


def load_snapshot(program: str, fixtures: Path, source: Path, scratch: Path) -> expected.Expected:
    """The snapshot, as the reference's text of it says.

    The text has one NaN for all; which of them are stale markers is taken from an output, their number is known.
    """
    facts = json.loads((fixtures / "snapshot.expected.json").read_text())
    samples: dict[str, list] = collections.defaultdict(list)
    for line in dump_lines(fixtures):
        labels, value, timestamp = line.rsplit(" ", 2)
        samples[labels].append((int(timestamp), float(value)))
    same("samples of the dump", sum(map(len, samples.values())), facts["samples_after_tombstones"])
    same("series of the dump", len(samples), facts["series"])

    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        promblock(program, "convert", str(source), "--to", f"{folder}/out")
        rows = pa.dataset.dataset(f"{folder}/out/samples").to_table(columns=["series_id", "timestamp", "value"])
    nulls = rows.filter(rows["value"].is_null())
    stale = set(zip(nulls["series_id"].to_pylist(), nulls["timestamp"].cast(pa.int64()).to_pylist()))
    same("stale markers", len(stale), facts["stale_markers"])
    series = []
    for labels, of in samples.items():
        times, values = (np.array(column) for column in zip(*of))
        bits, none = values.astype(np.float64).view(np.uint64).copy(), np.zeros(len(of), np.int64)
        found = expected.Series(parse_labels(labels), times.astype(np.int64), bits, none, [])
        series_id = found.series_id
        for at in np.flatnonzero(np.isnan(values)):
            is_stale = (series_id, int(times[at])) in stale
            bits[at] = expected.STALE_BITS if is_stale else ORDINARY_NAN_BITS
        series.append(found)
    # Were a marker none in the text, fewer would be left here.
    is_nan = sum(int((of.bits == expected.STALE_BITS).sum()) for of in series)
    same("stale markers that are NaN in the dump", is_nan, len(stale))
    return expected.Expected(series, facts["blocks"])


def dump_lines(fixtures: Path) -> list[str]:
    raw = (fixtures / "snapshot.dump.zst").read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(raw).read().decode().splitlines()


def parse_labels(text: str) -> list[tuple[bytes, bytes]]:
    """`{__name__="up", job="a"}`; names are plain and values quoted as in JSON in the snapshot."""
    decoder, pairs, at = json.JSONDecoder(), [], 1
    while text[at] != "}":
        end = text.index("=", at)
        value, after = decoder.raw_decode(text, end + 1)
        pairs.append((text[at:end].encode(), value.encode()))
        at = after + 2 if text[after] == "," else after
    return pairs


def check_dump(program: str, fixtures: Path) -> int:
    run = promblock(program, "dump", "--format", "prom", str(next((fixtures / SNAPSHOT).iterdir())))
    same("exit of dump", run.returncode, 0)
    found, wanted = run.stdout.decode().splitlines(), dump_lines(fixtures)
    for at, (mine, theirs) in enumerate(zip(found, wanted)):
        same(f"line {at + 1} of the dump", mine, theirs)
    same("lines of the dump", len(found), len(wanted))
    return len(found)


def check_refused(program: str, fixtures: Path, scratch: Path) -> int:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        run = promblock(program, "convert", str(fixtures / "blocks" / REFUSED), "--to", f"{folder}/out")
        same("exit of convert", run.returncode, 2)
        same("both series named", run.stderr.count(b"same_metric") >= 2, True)
        same("manifest published", Path(f"{folder}/out/_promblock/manifest.json").exists(), False)
    return 0


Result = tuple[str, str, int, str | None]


def check_fixture(job: tuple[str, Path, Path, str]) -> list[Result]:
    """All forms of one fixture: form, fixture, rows, what is wrong."""
    program, fixtures, scratch, name = job
    pa.set_cpu_count(1)
    checks = []
    if name == REFUSED:
        checks.append(("series with equal ids are refused", lambda: check_refused(program, fixtures, scratch)))
    else:
        fixture = Fixture(program, fixtures, name, scratch)
        for cell in (cell for cell in CELLS if not cell.fixtures or name in cell.fixtures):
            checks.append((str(cell), lambda cell=cell: fixture.check(cell)))
    if name == SNAPSHOT:
        checks.append(("dump --format prom equals promtool's", lambda: check_dump(program, fixtures)))
    results = []
    for what, check in checks:
        try:
            results.append((what, name, check(), None))
        except Mismatch as error:
            results.append((what, name, 0, str(error)))
        except Exception:
            results.append((what, name, 0, traceback.format_exc()))
    return results


def main() -> int:
    if len(sys.argv) < 3:
        print("usage: readers.py PROMBLOCK FIXTURES [NAME…]", file=sys.stderr)
        return 2
    program, fixtures = os.path.abspath(sys.argv[1]), Path(sys.argv[2]).resolve()
    start, shm = time.monotonic(), "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None, prefix="promblock-") as scratch:
        # The largest first, so that both workers end together.
        size = lambda name: (fixtures / f"expected/{name}.ndjson").stat().st_size
        names = sorted((path.name for path in (fixtures / "blocks").iterdir()), key=size, reverse=True)
        names = [SNAPSHOT, "chunk_max", *(name for name in names if name != "chunk_max")]
        names = sys.argv[3:] or names
        jobs = [(program, fixtures, Path(scratch), name) for name in names]
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            results = [result for of in pool.imap_unordered(check_fixture, jobs) for result in of]
    return report(results, time.monotonic() - start)


def report(results: list[Result], seconds: float) -> int:
    cells: dict[str, list[Result]] = {str(cell): [] for cell in CELLS}
    for result in results:
        cells.setdefault(result[0], []).append(result)
    for what, of in cells.items():
        if not of:
            continue
        failed = [result for result in of if result[3]]
        verdict = f"{len(failed)} FAILED" if failed else "ok"
        print(f"{verdict:>9}  {what}: {len(of)} fixtures, {sum(result[2] for result in of):,} rows")
    failures = [result for result in results if result[3]]
    for what, name, _, error in failures:
        print(f"\nFAILED {name}, {what}:\n  {error}")
    print(f"\n{len(results) - len(failures)} passed, {len(failures)} failed, in {seconds:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
