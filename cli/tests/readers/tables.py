"""A table of an output through each of the readers, brought into one form that compares bit for bit."""

import gzip
import json
import re
import struct

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from expected import BUCKET_BITS, BUCKET_FIELDS, BUCKETS, PAIRS, TIMESTAMP, canonical_pairs

ARROW_TYPES = {
    "STRING": pa.string(),
    "JSON": pa.string(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "TIMESTAMP": TIMESTAMP,
}
RECORD_TYPES = {"label_pairs": PAIRS, "buckets": BUCKETS}
DUCKDB_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    PAIRS: 'STRUCT("name" VARCHAR, "value" VARCHAR)[]',
    BUCKETS: 'STRUCT(lower DOUBLE, upper DOUBLE, count DOUBLE)[]',
}
POLARS_TYPES = {
    pa.string(): pl.String(),
    pa.int64(): pl.Int64(),
    pa.float64(): pl.Float64(),
    TIMESTAMP: pl.Datetime("ms", "UTC"),
    PAIRS: pl.List(pl.Struct({"name": pl.String(), "value": pl.String()})),
    BUCKETS: pl.List(pl.Struct({name: pl.Float64() for name in BUCKET_FIELDS})),
}
NAN_BITS = 0x7FF8000000000000


def arrow_type(field: dict) -> pa.DataType:
    """The Arrow type of a field of a BigQuery schema."""
    return RECORD_TYPES[field["name"]] if field["type"] == "RECORD" else ARROW_TYPES[field["type"]]


class Mismatch(Exception):
    """What a reader found is not what should be there."""


def same(what: str, found, wanted) -> None:
    """Refuses what differs."""
    if found != wanted:
        raise Mismatch(f"{what}: found {_short(found)}, expected {_short(wanted)}")


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"


def same_rows(what: str, found: pa.Table, wanted: pa.Table, skip: set[str] = frozenset()) -> None:
    """Compares every column, both tables in comparable form, and names the first row that differs."""
    same(f"{what}, columns", found.column_names, wanted.column_names)
    same(f"{what}, rows", found.num_rows, wanted.num_rows)
    for name in set(wanted.column_names) - skip:
        mine, theirs = found[name].combine_chunks(), wanted[name].combine_chunks()
        same(f"{what}, type of {name}", mine.type, theirs.type)
        if not mine.equals(theirs):
            pairs = enumerate(zip(mine.to_pylist(), theirs.to_pylist()))
            at, (one, other) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
            if pa.types.is_uint64(mine.type):
                one, other = (value if value is None else f"{value:016x}" for value in (one, other))
            raise Mismatch(f"{what}, {name} in row {at}: found {_short(one)}, expected {_short(other)}")


def comparable(table: pa.Table) -> pa.Table:
    """Doubles as bits, labels in canonical form, plain Arrow types."""
    columns = {}
    for name, column in zip(table.column_names, table.columns):
        column = column.combine_chunks()
        if pa.types.is_floating(column.type):
            column = _bits(column)
        elif name == "labels":
            codes = column.cast(pa.string()).dictionary_encode()
            texts = pa.array([_canonical(text) for text in codes.dictionary.to_pylist()], pa.string())
            column = texts.take(codes.indices)
        elif pa.types.is_timestamp(column.type):
            column = column.cast(TIMESTAMP)
        elif name == "buckets":
            column = _bucket_bits(column.cast(BUCKETS))
        elif name == "counter_reset_hint":
            column = _hints(column.cast(pa.string()))
        elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = column.cast(PAIRS)
        elif not pa.types.is_integer(column.type):
            column = column.cast(pa.string())
        columns[name] = column
    return pa.table(columns)


def _bits(column: pa.Array) -> pa.Array:
    values = np.frombuffer(column.buffers()[1] or b"", np.uint64)[column.offset : column.offset + len(column)]
    return pa.array(values, mask=column.is_null().to_numpy(zero_copy_only=False))


def _bucket_bits(column: pa.ListArray) -> pa.Array:
    same("lists that are null", column.null_count, 0)
    lens = column.value_lengths().to_numpy(zero_copy_only=False)
    elements = column.flatten()
    fields = [_bits(elements.field(name)) for name in BUCKET_FIELDS]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lens)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(fields, list(BUCKET_FIELDS))).cast(BUCKET_BITS)


def _hints(column: pa.Array) -> pa.Array:
    """What is known of counters depends on the rows around; gauges are gauges."""
    found = column.to_pylist()
    same("hints", set(found) - {None, "unknown", "reset", "not_reset", "gauge"}, set())
    return pa.array([hint if hint in (None, "gauge") else "counter" for hint in found], pa.string())


def _canonical(text: str) -> str:
    return canonical_pairs(json.loads(text, object_pairs_hook=list, parse_constant=_refuse))


def one_nan(table: pa.Table) -> pa.Table:
    """Text has one NaN: bits of all others become its."""
    for at, name in enumerate(table.column_names):
        column = table[name].combine_chunks()
        if pa.types.is_uint64(column.type):
            table = table.set_column(at, name, _one_nan(column))
        elif name == "buckets":
            elements = column.flatten()
            fields = [_one_nan(elements.field(field)) for field in BUCKET_FIELDS]
            elements = pa.StructArray.from_arrays(fields, list(BUCKET_FIELDS))
            table = table.set_column(at, name, pa.ListArray.from_arrays(column.offsets, elements).cast(BUCKET_BITS))
    return table


def _one_nan(column: pa.Array) -> pa.Array:
    is_nan = pa.array(np.isnan(column.fill_null(0).to_numpy().view(np.float64)))
    return pa.compute.if_else(is_nan, pa.scalar(NAN_BITS, pa.uint64()), column)


# Parquet


def parquet_by_pyarrow(paths: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    tables = [pq.ParquetFile(path).read() for path in paths]
    for path, table in zip(paths, tables):
        same(f"{path}, fields by pyarrow", [(f.name, f.type, f.nullable) for f in map(_as_pairs, table.schema)],
             [(name, kind, True) for name, kind in types.items()])
    return pa.concat_tables(tables)


def _as_pairs(field: pa.Field) -> pa.Field:
    """Names of list elements are no part of a type's equality; their being nullable is."""
    for kind in RECORD_TYPES.values():
        if field.type.equals(kind):
            return field.with_type(kind)
    return field


def parquet_by_duckdb(db: duckdb.DuckDBPyConnection, paths: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    source = f"read_parquet({paths!r}, hive_partitioning = false)"
    described = db.execute(f"DESCRIBE FROM {source}").fetchall()
    same("types by DuckDB", [row[:3] for row in described],
         [(name, DUCKDB_TYPES[kind], "YES") for name, kind in types.items()])
    return db.sql(f"FROM {source}").to_arrow_table()


def parquet_by_polars(paths: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    frame = pl.read_parquet(paths, hive_partitioning=False)
    same("types by Polars", list(frame.schema.items()), [(name, POLARS_TYPES[kind]) for name, kind in types.items()])
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


# NDJSON


def _refuse(constant: str):
    raise Mismatch(f"{constant} is no JSON")


def _unique(pairs):
    """An object, unless a key stands in it twice."""
    found = dict(pairs)
    same("keys of an object", len(found), len(pairs))
    return found


def _integer(digits: str) -> int | float:
    return -0.0 if digits == "-0" else int(digits)


ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SPECIAL = {"NaN", "Infinity", "-Infinity"}


def ndjson_lines(path: str) -> list[str]:
    raw = open(path, "rb").read()
    if path.endswith(".gz"):
        raw = gzip.decompress(raw)
    elif path.endswith(".zst"):
        raw = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True).read()
    text = raw.decode("utf-8", "strict")
    same(f"{path}, last byte", text[-1:], "\n")
    return text[:-1].split("\n")


def ndjson_by_json(paths: list[str], schema: list[dict]) -> pa.Table:
    """As a strict parser and a loader with that BigQuery schema take it."""
    rows: dict[str, list] = {field["name"]: [] for field in schema}
    kinds = {field["name"]: field["type"] for field in schema}
    order = {name: at for at, name in enumerate(kinds)}
    for line in (line for path in paths for line in ndjson_lines(path)):
        # Labels may be equal once bytes that are not UTF-8 are replaced; no other object has a key twice.
        row = _unique(json.loads(line, object_pairs_hook=list, parse_constant=_refuse, parse_int=_integer))
        places = [order.get(name, -1) for name in row]
        if -1 in places or places != sorted(set(places)):
            raise Mismatch(f"fields {list(row)} are not those of the schema, in its order: {list(order)}")
        for name, column in rows.items():
            column.append(_loaded(name, kinds[name], row.get(name)))
    arrays = []
    for name, column in rows.items():
        kind = RECORD_TYPES[name] if kinds[name] == "RECORD" else ARROW_TYPES[kinds[name]]
        if name == "buckets":
            arrays.append(pa.array(column, BUCKET_BITS))
        elif name == "counter_reset_hint":
            arrays.append(_hints(pa.array(column, pa.string())))
        elif kind == pa.float64():
            arrays.append(pa.array([None if v is None else _bits_of(v) for v in column], pa.uint64()))
        elif kind == TIMESTAMP:
            arrays.append(pa.array(column, pa.string()).cast(TIMESTAMP))
        else:
            arrays.append(pa.array(column, kind))
    return pa.table(arrays, names=list(rows))


def _loaded(name: str, kind: str, value):
    """A value as a loader takes it into a column of that type; objects come as lists of pairs."""
    if value is None:
        return None
    match kind:
        case "STRING" if isinstance(value, str):
            return value
        case "JSON" if isinstance(value, list) and all(isinstance(text, str) for _, text in value):
            return canonical_pairs(value)
        case "INTEGER" if isinstance(value, int) and abs(value) < 2**53:
            same("integers that are small are written as numbers", name in ("samples", "histogram_schema"), True)
            return value
        case "INTEGER" if isinstance(value, str) and str(int(value)) == value:
            return int(value)
        case "FLOAT" if isinstance(value, int | float) or value in SPECIAL:
            return float(value)
        case "TIMESTAMP" if isinstance(value, str) and ISO_TIME.fullmatch(value):
            return value
        case "RECORD" if name == "buckets" and isinstance(value, list):
            buckets = [_unique(element) for element in value]
            return [{field: _bits_of(_loaded(field, "FLOAT", of)) for field, of in bucket.items()} for bucket in buckets]
        case "RECORD" if isinstance(value, list):
            return [_unique(element) for element in value]
    raise Mismatch(f"{name}: no loader takes {_short(value)} as {kind}")


def _bits_of(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def ndjson_by_duckdb(db: duckdb.DuckDBPyConnection, paths: list[str], schema: list[dict]) -> pa.Table:
    types = {field["name"]: DUCKDB_TYPES[arrow_type(field)] for field in schema}
    if "labels" in types:
        types["labels"] = "JSON"
    columns = ", ".join(f'"{name}": \'{kind}\'' for name, kind in types.items())
    fields = ", ".join('"labels"::VARCHAR AS "labels"' if n == "labels" else f'"{n}"' for n in types)
    options = f"columns = {{{columns}}}, hive_partitioning = false"
    return db.sql(f"SELECT {fields} FROM read_ndjson({paths!r}, {options})").to_arrow_table()


def ndjson_by_polars(paths: list[str], schema: list[dict]) -> pa.Table:
    """Labels stay out: Polars has no type for JSON."""
    read, cast = {}, []
    for field in schema:
        name, kind = field["name"], POLARS_TYPES[arrow_type(field)]
        read[name] = kind if field["type"] in ("RECORD", "INTEGER") and name != "series_id" else pl.String()
        if kind == pl.Datetime("ms", "UTC"):
            cast.append(pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC"))
        elif name == "buckets":
            # Not every number is one in JSON.
            read[name] = pl.List(pl.Struct({field: pl.String() for field in BUCKET_FIELDS}))
            cast.append(pl.col(name).cast(kind))
        elif kind in (pl.Int64(), pl.Float64()):
            cast.append(pl.col(name).cast(kind))
    frame = pl.scan_ndjson(paths, schema=read).with_columns(cast).collect()
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    if "labels" in table.column_names:
        at = table.column_names.index("labels")
        table = table.set_column(at, "labels", pa.nulls(len(table), pa.string()))
    return table
