#!/usr/bin/env python3
"""Runs the SQL of a DEST's BigQuery kit in DuckDB, and checks what it gives.

    python duckdb_views.py DEST      needs duckdb and pytz; exit code 1 when something does not hold

Tables are views over the published files, under the names they have in BigQuery. The kit's views.sql runs on them
after the rewrites below, which are all that differs between the dialects in what the kit uses.
"""

import csv
import json
import pathlib
import re
import sys

import duckdb

REWRITES = [
    (r"`\$\{DATASET\}\.(\w+)`", r'"\1"'),
    (r"`([^`]*)`", r'"\1"'),
    (r"TIMESTAMP_TRUNC\(([^,()]+), (\w+)\)", r"date_trunc('\2', \1)"),
    (r"UNNEST\(([^()]+)\) AS (\w+)", r"UNNEST(\1) AS unnested(\2)"),
    (r"JSON_VALUE\(", r"json_extract_string("),
]
TYPES = {"STRING": "VARCHAR", "INTEGER": "BIGINT", "FLOAT": "DOUBLE", "TIMESTAMP": "TIMESTAMP WITH TIME ZONE", "JSON": "JSON"}


def duckdb_sql(sql):
    for pattern, replacement in REWRITES:
        sql = re.sub(pattern, replacement, sql)
    return sql


def duckdb_type(field):
    kind = TYPES.get(field["type"])
    if field["type"] == "RECORD":
        kind = "STRUCT(" + ", ".join(f'"{f["name"]}" {duckdb_type(f)}' for f in field["fields"]) + ")"
    return kind + ("[]" if field["mode"] == "REPEATED" else "")


class Dest:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.kit = self.root / "_promblock" / "bigquery"
        self.db = duckdb.connect()
        self.db.execute("SET TimeZone = 'UTC'")
        self.failures = []
        with open(self.kit / "files.tsv", newline="") as lines:
            self.files = list(csv.DictReader(lines, delimiter="\t"))
        with open(self.kit / "tables.tsv", newline="") as lines:
            self.tables = [row["table"] for row in csv.DictReader(lines, delimiter="\t")]

    def check(self, what, found, expected):
        print(f"{'ok  ' if found == expected else 'FAIL'} {what}: {found}" + ("" if found == expected else f", expected {expected}"))
        if found != expected:
            self.failures.append(what)

    def value(self, sql):
        return self.db.execute(sql).fetchone()[0]

    def rows(self, relation):
        return self.value(f'SELECT count(*) FROM "{relation}"')

    def files_are_those_of_the_manifest(self):
        manifest = json.loads((self.root / "_promblock" / "manifest.json").read_text())
        named = sorted(file["path"] for unit in manifest["units"] for file in unit["files"])
        self.check("files of the manifest in files.tsv", sorted(file["path"] for file in self.files) == named, True)

    def register(self, table):
        fields = json.loads((self.kit / f"{table}.schema.json").read_text())
        columns = ", ".join(f'"{field["name"]}" {duckdb_type(field)}' for field in fields)
        paths = [str(self.root / file["path"]) for file in self.files if file["table"] == table]
        if not paths:
            self.db.execute(f'CREATE TABLE "{table}" ({columns})')
            return
        listed = "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"
        if paths[0].endswith(".parquet"):
            self.db.execute(f"CREATE VIEW \"{table}\" AS SELECT * FROM read_parquet({listed}, hive_partitioning = false)")
        else:
            spec = ", ".join(f"'{field['name']}': '{duckdb_type(field)}'" for field in fields)
            self.db.execute(
                f"CREATE VIEW \"{table}\" AS SELECT * FROM read_json({listed}, format = 'newline_delimited', "
                f"hive_partitioning = false, columns = {{{spec}}})"
            )
        found = [(row[0], row[1].replace('"', "")) for row in self.db.execute(f'DESCRIBE "{table}"').fetchall()]
        expected = [(field["name"], duckdb_type(field).replace('"', "")) for field in fields]
        self.check(f"columns of {table} are those of its schema file", found == expected, True)
        if found != expected:
            print(f"     found {found}\n     expected {expected}")

    def samples(self, table):
        """Samples that a table tells of."""
        if "_" not in table:
            return self.rows(table)
        column = "count" if table.startswith("samples_") else "samples"
        return int(self.value(f'SELECT coalesce(sum("{column}"), 0) FROM "{table}"'))

    def rates(self, table):
        view = f"{table}_rates"
        self.check(f"rows of {view}", self.rows(view), self.rows(table))
        joined = f'"{view}" AS v JOIN "{table}" AS t USING (series_id, timestamp)'
        wrong = 'isfinite(t.sum) AND (v.avg < t.min - 1e-9 * abs(t.min) OR v.avg > t.max + 1e-9 * abs(t.max))'
        self.check(f"averages of {view} beyond the extremes", self.value(f"SELECT count(*) FROM {joined} WHERE {wrong}"), 0)
        wrong = "isfinite(t.increase) AND abs(v.rate * t.resolution_ms / 1000 - t.increase) > 1e-9 * t.increase"
        self.check(f"rates of {view} that are no increase per second", self.value(f"SELECT count(*) FROM {joined} WHERE {wrong}"), 0)
        wrong = "(v.rate IS NULL) <> (t.increase IS NULL)"
        self.check(f"rates of {view} of what is no counter", self.value(f"SELECT count(*) FROM {joined} WHERE {wrong}"), 0)

    def run(self):
        self.files_are_those_of_the_manifest()
        for table in self.tables:
            self.register(table)
            self.check(f"rows of {table}", self.rows(table), sum(int(f["rows"]) for f in self.files if f["table"] == table))
        self.db.execute(duckdb_sql((self.kit / "views.sql").read_text()))
        for table in self.tables:
            if self.value(f"SELECT count(*) FROM duckdb_views() WHERE view_name = '{table}_flat'"):
                self.check(f"rows of {table}_flat", self.rows(f"{table}_flat"), self.rows(table))
            labels = self.db.execute(f"SELECT count(*) FROM duckdb_columns() WHERE table_name = '{table}_flat' AND column_name = 'labels'")
            if labels.fetchone()[0]:
                self.check(f"rows of {table}_flat without their series", self.value(f'SELECT count(*) FROM "{table}_flat" WHERE labels IS NULL'), 0)
        self.check("rows of series_all", self.rows("series_all"), self.value("SELECT count(DISTINCT series_id) FROM series"))
        self.check("samples of series_all", self.value("SELECT sum(samples) FROM series_all"), self.value("SELECT sum(samples) FROM series"))
        samples = sum(self.samples(table) for table in self.tables if table != "series")
        self.check("samples of series and of the other tables", int(self.value("SELECT coalesce(sum(samples), 0) FROM series")), samples)
        for table in self.tables:
            if table.startswith("samples_"):
                self.rates(table)
        for query in re.findall(r"^(--   SELECT .*?);$", (self.kit / "views.sql").read_text(), re.MULTILINE | re.DOTALL):
            self.db.execute(duckdb_sql(query.replace("\n--", "\n")[2:])).fetchall()
            print("ok   a query in a comment")
        pairs = "SELECT count(*) FROM (SELECT DISTINCT series_id, unnest(label_pairs) FROM series)"
        self.check("rows of series_labels", self.rows("series_labels"), self.value(pairs))
        names = self.db.execute("SELECT DISTINCT name FROM series_labels WHERE name NOT LIKE '%\"%' AND name NOT LIKE '%\\%' ORDER BY name").fetchall()
        for (name,) in names[:20]:
            by_json = duckdb_sql("SELECT count(*) FROM series_all WHERE JSON_VALUE(labels, '$.\"NAME\"') IS NOT NULL")
            by_json = by_json.replace("NAME", name.replace("'", "''"))
            self.check(f"series with label {name}", self.value(by_json), self.db.execute("SELECT count(*) FROM series_labels WHERE name = ?", [name]).fetchone()[0])
        return 1 if self.failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(Dest(sys.argv[1]).run())
