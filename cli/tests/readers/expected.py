"""What the reference reads from a fixture, as the rows that promblock should make of it.

Nothing here knows how promblock works: order, partitions, hashes and replaced bytes follow from the documented
output alone.
"""

import datetime
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

STALE_BITS = 0x7FF0000000000002
# 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: what lies outside cannot be written.
MIN_TIME_MS, MAX_TIME_MS = -62_135_596_800_000, 253_402_300_799_999
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
UNIX_EPOCH = datetime.date(1970, 1, 1).toordinal()

TIMESTAMP = pa.timestamp("ms", "UTC")
PAIRS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))
BUCKET_FIELDS = ("lower", "upper", "count")
BUCKETS = pa.list_(pa.struct([(name, pa.float64()) for name in BUCKET_FIELDS]))
BUCKET_BITS = pa.list_(pa.struct([(name, pa.uint64()) for name in BUCKET_FIELDS]))
# The number of a hint in the expected files. What is known of counters there is known of each chunk alone.
GAUGE = 3


@dataclass
class Histogram:
    """A native histogram, doubles as their bits; a stale marker has neither count nor buckets."""

    time: int
    start: int
    count: int | None = None
    sum: int | None = None
    schema: int | None = None
    zero_threshold: int | None = None
    zero_count: int | None = None
    is_gauge: bool | None = None
    buckets: tuple[tuple[int, int, int], ...] = ()

    @property
    def is_stale(self) -> bool:
        return self.count is None


@dataclass
class Series:
    """A series with its float samples and native histograms."""

    labels: list[tuple[bytes, bytes]]
    times: np.ndarray
    bits: np.ndarray
    starts: np.ndarray
    histograms: list[Histogram]

    @property
    def metric(self) -> bytes | None:
        return dict(self.labels).get(b"__name__")

    @property
    def order(self):
        """Metric, null first; then label pairs, byte by byte."""
        return (self.metric is not None, self.metric or b"", self.labels)

    @property
    def series_id(self) -> int:
        hashed = xxhash.xxh64_intdigest(b"".join(part + b"\xff" for pair in self.labels for part in pair))
        return hashed - (1 << 64) if hashed >> 63 else hashed


@dataclass
class Expected:
    """A fixture."""

    series: list[Series]
    blocks: list[dict]

    def with_label(self, name: str, value: str) -> "Expected":
        """As `--add-label` makes it."""
        added = (name.encode(), value.encode())
        changed = []
        for series in self.series:
            labels = sorted([pair for pair in series.labels if pair[0] != added[0]] + [added])
            changed.append(Series(labels, series.times, series.bits, series.starts, series.histograms))
        return Expected(changed, self.blocks)

    def without_stale_markers(self) -> "Expected":
        """As `--stale-markers drop` makes it."""
        kept = []
        for series in self.series:
            keep = series.bits != STALE_BITS
            columns = (series.times[keep], series.bits[keep], series.starts[keep])
            histograms = [histogram for histogram in series.histograms if not histogram.is_stale]
            kept.append(Series(series.labels, *columns, histograms))
        return Expected(kept, self.blocks)

    def label_names(self) -> list[str]:
        """Labels that a command line can name, in order."""
        names = {name for series in self.series for name, _ in series.labels} - {b"__name__"}
        texts = (name.decode(errors="replace") for name in sorted(names))
        return [text for text in texts if "," not in text and "\ufffd" not in text and "\0" not in text]


def load(path: Path) -> Expected:
    """Reads an expected file."""
    with path.open(encoding="utf-8") as lines:
        blocks = json.loads(next(lines))["blocks"]
        return Expected([_series(json.loads(line)) for line in lines], blocks)


def _bytes(text) -> bytes:
    return bytes.fromhex(text["hex"]) if isinstance(text, dict) else text.encode()


def _series(line: dict) -> Series:
    samples = line.get("samples") or [
        (time + step * at, bits, start)
        for time, step, number, bits, start in line["runs"]
        for at in range(number)
    ]
    floats = [sample for sample in samples if isinstance(sample[1], str)]
    times, bits, starts = zip(*floats) if floats else ((), (), ())
    return Series(
        [(_bytes(name), _bytes(value)) for name, value in line["labels"]],
        np.array(times, np.int64),
        np.array([int(digits, 16) for digits in bits], np.uint64),
        np.array(starts, np.int64),
        [_histogram(*sample) for sample in samples if not isinstance(sample[1], str)],
    )


def _histogram(time: int, values: dict, start: int) -> Histogram:
    if values.get("stale"):
        return Histogram(time, start)
    # Counts of a float histogram are bits, others integers; those beyond 2^53 are texts.
    count = (lambda bits: int(bits, 16)) if values.get("float") else (lambda number: _bits(float(int(number))))
    return Histogram(
        time,
        start,
        count(values["count"]),
        int(values["sum"], 16),
        values["schema"],
        int(values["zero_threshold"], 16),
        count(values["zero_count"]),
        values["hint"] == GAUGE,
        tuple((int(lower, 16), int(upper, 16), count(number)) for lower, upper, number in values["buckets"]),
    )


def _bits(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def _key_of(time_ms: int, by: str) -> str:
    day = datetime.date.fromordinal(UNIX_EPOCH + time_ms // DAY_MS)
    match by:
        case "hour":
            return f"{day.isoformat()}T{time_ms % DAY_MS // HOUR_MS:02}"
        case "month":
            return day.isoformat()[:7]
        case "none":
            return "all"
    return day.isoformat()


def partition_keys(times: np.ndarray, by: str) -> np.ndarray:
    """The partition of each time, as the value of the hive key."""
    hours, inverse = np.unique(times // HOUR_MS, return_inverse=True)
    return np.array([_key_of(int(hour) * HOUR_MS, by) for hour in hours], dtype=object)[inverse]


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="replace")


def canonical_pairs(pairs) -> str:
    """Label pairs as one text, whatever they were spelled like."""
    return json.dumps([[name, value] for name, value in pairs], ensure_ascii=False)


@dataclass
class Part:
    """The rows that a series has in a partition."""

    key: str
    series: Series
    rows: np.ndarray
    histograms: list[Histogram]
    min_time: int
    max_time: int


@dataclass
class Tables:
    """The output expected: the tables in the order of all their files."""

    samples: pa.Table
    histograms: pa.Table
    series: pa.Table
    # Per partition: rows of `samples`, of `series`, and of `histograms`.
    partitions: dict[str, tuple[int, int, int]]
    # Samples of all kinds whose times no output can carry.
    unwritable: int


def tables(expected: Expected, by: str, label_columns: list[tuple[str, str]], flat: bool) -> Tables:
    """All rows.

    `labels` are in canonical form and doubles are their bits, null for a stale marker; else as in the files. Hints of
    histograms are `gauge` or `counter`.
    """
    parts, unwritable = _parts(expected, by)
    column = _columns(parts, label_columns)

    counts = [len(part.rows) for part in parts]
    owners = pa.array(np.repeat(np.arange(len(parts)), counts), pa.int64())
    rows = lambda name: pa.array(
        np.concatenate([getattr(part.series, name)[part.rows] for part in parts] or [np.array([], np.int64)])
    )
    bits, starts = rows("bits").cast(pa.uint64()), rows("starts").cast(pa.int64())
    null = pa.compute.equal(bits, pa.scalar(STALE_BITS, pa.uint64()))
    identity = ["metric", *[c for _, c in label_columns], *(["labels"] if flat else []), "series_id"]
    samples = {name: column[name].take(owners) for name in identity}
    samples |= {
        "timestamp": rows("times").cast(pa.int64()).cast(TIMESTAMP),
        "value": pa.compute.if_else(null, pa.scalar(None, pa.uint64()), bits),
        "start_timestamp": pa.compute.if_else(
            pa.compute.equal(starts, 0), pa.scalar(None, TIMESTAMP), starts.cast(TIMESTAMP)
        ),
    }
    owners = pa.array(np.repeat(np.arange(len(parts)), [len(part.histograms) for part in parts]), pa.int64())
    histograms = {name: column[name].take(owners) for name in identity}
    histograms |= _histogram_columns([histogram for part in parts for histogram in part.histograms])
    partitions: dict[str, tuple[int, int, int]] = {}
    for part in parts:
        before = partitions.get(part.key, (0, 0, 0))
        own = (len(part.rows), 1, len(part.histograms))
        partitions[part.key] = tuple(map(sum, zip(before, own)))
    return Tables(pa.table(samples), pa.table(histograms), pa.table(column), partitions, unwritable)


def _histogram_columns(histograms: list[Histogram]) -> dict[str, pa.Array]:
    """The columns of table `histograms` behind those of the series."""
    column = lambda name, kind: pa.array([getattr(histogram, name) for histogram in histograms], kind)
    hints = {None: None, True: "gauge", False: "counter"}
    return {
        "timestamp": column("time", pa.int64()).cast(TIMESTAMP),
        "start_timestamp": pa.array([histogram.start or None for histogram in histograms], TIMESTAMP),
        "count": column("count", pa.uint64()),
        "sum": column("sum", pa.uint64()),
        "histogram_schema": column("schema", pa.int64()),
        "zero_threshold": column("zero_threshold", pa.uint64()),
        "zero_count": column("zero_count", pa.uint64()),
        "counter_reset_hint": pa.array([hints[histogram.is_gauge] for histogram in histograms], pa.string()),
        "buckets": pa.array(
            [[dict(zip(BUCKET_FIELDS, bucket)) for bucket in histogram.buckets] for histogram in histograms], BUCKET_BITS
        ),
    }


def _parts(expected: Expected, by: str) -> tuple[list[Part], int]:
    parts, unwritable = [], 0
    for series in expected.series:
        fits = (series.times >= MIN_TIME_MS) & (series.times <= MAX_TIME_MS)
        histograms = [histogram for histogram in series.histograms if MIN_TIME_MS <= histogram.time <= MAX_TIME_MS]
        unwritable += int((~fits).sum()) + len(series.histograms) - len(histograms)
        rows = np.flatnonzero(fits)
        keys = partition_keys(series.times[rows], by)
        histogram_keys = partition_keys(np.array([histogram.time for histogram in histograms], np.int64), by)
        for key in sorted({*keys, *histogram_keys}):
            own = rows[keys == key]
            own_histograms = [histogram for histogram, of in zip(histograms, histogram_keys) if of == key]
            times = [*series.times[own], *(histogram.time for histogram in own_histograms)]
            parts.append(Part(key, series, own, own_histograms, int(min(times)), int(max(times))))
    parts.sort(key=lambda part: (part.key, part.series.order))
    return parts, unwritable


def _columns(parts: list[Part], label_columns: list[tuple[str, str]]) -> dict[str, pa.Array]:
    """The columns of table `series`."""
    labels = [dict(part.series.labels) for part in parts]
    text = lambda name: pa.array([_text(of.get(name)) for of in labels], pa.string())
    pairs = [
        [(_text(name), _text(value)) for name, value in part.series.labels if name != b"__name__"] for part in parts
    ]
    columns = {
        "series_id": pa.array([part.series.series_id for part in parts], pa.int64()),
        "metric": text(b"__name__"),
    }
    columns |= {column: text(label.encode()) for label, column in label_columns}
    columns |= {
        "labels": pa.array([canonical_pairs(of) for of in pairs], pa.string()),
        "label_pairs": pa.array([[{"name": n, "value": v} for n, v in of] for of in pairs], PAIRS),
        "min_timestamp": pa.array([part.min_time for part in parts], TIMESTAMP),
        "max_timestamp": pa.array([part.max_time for part in parts], TIMESTAMP),
        "samples": pa.array([len(part.rows) + len(part.histograms) for part in parts], pa.int64()),
        "type": text(b"__type__"),
        "unit": text(b"__unit__"),
        "help": pa.nulls(len(parts), pa.string()),
    }
    return columns
