"""What a Parquet file says of itself, and whether BigQuery would take it."""

import json
import re

import pyarrow.parquet as pq

from tables import Mismatch, same

DICTIONARY = {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}
COMPACT = {"timestamp": "DELTA_BINARY_PACKED", "start_timestamp": "DELTA_BINARY_PACKED"}
COMPACT |= dict.fromkeys(
    ("value", "count", "sum", "zero_threshold", "zero_count", "buckets.list.element.count"), "BYTE_STREAM_SPLIT"
)
# These may repeat or not.
BOUNDS = ("buckets.list.element.lower", "buckets.list.element.upper")
CODECS = {"zstd": "ZSTD", "snappy": "SNAPPY", "none": "UNCOMPRESSED"}
# Physical and logical types that become STRING, INTEGER, FLOAT and TIMESTAMP. Left out on purpose: INT96, unsigned
# integers, nanoseconds, bytes without an annotation, JSON and ENUM, which load as something else or not at all.
BIGQUERY_TYPES = {
    ("BYTE_ARRAY", "String"): "STRING",
    ("INT64", "None"): "INTEGER",
    ("DOUBLE", "None"): "FLOAT",
    ("INT64", "Timestamp"): "TIMESTAMP",
}
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
RESERVED = (
    "_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier",
    "_change_sequence_number", "_change_type", "_change_timestamp",
)


def check_names(table: str, names: list[str]) -> None:
    """Column names that BigQuery takes, external tables included; none is the hive key."""
    for name in names:
        if not COLUMN_NAME.fullmatch(name) or name.lower().startswith(RESERVED) or name.lower() == "dt":
            raise Mismatch(f"{table}: column name {name!r} is not for BigQuery")
    same(f"{table}: names that differ in more than case", len({name.lower() for name in names}), len(names))


def check_file(path: str, table: str, profile: str, compression: str, schema: list[dict]) -> None:
    """The layout of a file against the profile, its columns against the schema of the loader."""
    with pq.ParquetFile(path) as file:
        meta, fields = file.metadata, file.schema
        same(f"{path}, key-value metadata", meta.metadata, None)
        _check_columns(path, file, schema)
        # Sorted by metric, nulls first; where a metric has been mended with U+FFFD order is not promised.
        metric = fields.names.index("metric")
        for at in range(meta.num_row_groups):
            group = meta.row_group(at)
            sorting = [(s.column_index, s.descending, s.nulls_first) for s in group.sorting_columns]
            if sorting != [(metric, False, True)]:
                texts = file.read_row_group(at, ["metric"]).column(0).to_pylist()
                if not any("\ufffd" in text for text in texts if text):
                    raise Mismatch(f"{path}: sorting columns {sorting}")
            for number in range(meta.num_columns):
                _check_chunk(path, table, group.column(number), profile, compression)
            _check_statistics(path, file, at)


def _check_columns(path: str, file: pq.ParquetFile, schema: list[dict]) -> None:
    wanted = []
    for field in schema:
        if field["type"] == "RECORD":
            leaves = [(f"{field['name']}.list.element.{leaf['name']}", leaf["type"], 4, 1) for leaf in field["fields"]]
            wanted.extend(leaves)
        else:
            wanted.append((field["name"], field["type"], 1, 0))
    found = []
    for column in (file.schema.column(at) for at in range(len(file.schema))):
        logical = json.loads(column.logical_type.to_json())
        kind = BIGQUERY_TYPES.get((column.physical_type, logical["Type"]), f"{column.physical_type} {logical}")
        if kind == "TIMESTAMP":
            same(f"{path}, {column.path}", (logical["timeUnit"], logical["isAdjustedToUTC"]), ("milliseconds", True))
        found.append((column.path, kind, column.max_definition_level, column.max_repetition_level))
    same(f"{path}: columns, their BigQuery types and levels", found, wanted)


def _check_chunk(path: str, table: str, chunk, profile: str, compression: str) -> None:
    what = f"{path}, {chunk.path_in_schema}"
    special = COMPACT.get(chunk.path_in_schema) if table != "series" and profile == "compact" else None
    encodings = set(chunk.encodings)
    if profile == "compact" and chunk.path_in_schema in BOUNDS:
        encodings -= {"BYTE_STREAM_SPLIT"}
    if special:
        # A page of nothing but nulls has no values to encode.
        nulls = chunk.statistics.null_count
        allowed = {"RLE", special} if nulls == 0 else {"RLE", special, "PLAIN"}
        if not encodings <= allowed or (nulls < chunk.num_values and special not in encodings):
            raise Mismatch(f"{what}: encodings {sorted(encodings)}, expected {special}")
    elif not encodings <= DICTIONARY:
        raise Mismatch(f"{what}: encodings {sorted(encodings)} in profile {profile}")
    same(f"{what}, codec", chunk.compression, CODECS[compression])
    same(f"{what}, offset index", chunk.has_offset_index, True)
    if chunk.path_in_schema in ("metric", "series_id", "timestamp", "min_timestamp", "max_timestamp"):
        same(f"{what}, column index", chunk.has_column_index, True)
    # A page header begins with its type: field 1, i32 in the compact protocol, 0 for a data page of version 1.
    with open(path, "rb") as raw:
        raw.seek(chunk.data_page_offset)
        same(f"{what}, page header", raw.read(2), b"\x15\x00")
        if chunk.has_dictionary_page:
            raw.seek(chunk.dictionary_page_offset)
            same(f"{what}, dictionary page header", raw.read(2), b"\x15\x04")


def _check_statistics(path: str, file: pq.ParquetFile, group: int) -> None:
    """Readers skip row groups by these, so every value must lie within."""
    rows = file.read_row_group(group)
    meta = file.metadata.row_group(group)
    for at, name in enumerate(file.schema.names):
        statistics = meta.column(at).statistics
        if statistics is None or "." in meta.column(at).path_in_schema:
            continue
        column = rows[name]
        if statistics.has_null_count:
            same(f"{path}, nulls of {name}", statistics.null_count, column.null_count)
        values = column.drop_null().to_pylist()
        if statistics.has_min_max and values and not isinstance(values[0], float):
            bounds = (statistics.min, statistics.max)
            if isinstance(values[0], str):
                values, bounds = [value.encode() for value in values], [_raw(bound) for bound in bounds]
            if not (bounds[0] <= min(values) and max(values) <= bounds[1]):
                raise Mismatch(f"{path}: statistics of {name} are {bounds}, values {min(values)} to {max(values)}")


def _raw(bound) -> bytes:
    return bound.encode() if isinstance(bound, str) else bound
