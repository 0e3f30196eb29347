#!/usr/bin/env python3
"""Loads a DEST into a running bigquery-emulator and compares counts; emulator.md tells how to get one.

    python emulator.py DEST [ENDPOINT]     ENDPOINT is http://127.0.0.1:9050 by default
"""

import csv
import collections
import json
import pathlib
import re
import sys

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PROJECT, DATASET = "test", "metrics"
# A retried error of the emulator hangs for minutes.
NO_RETRY = {"retry": None, "job_retry": None}


def main(dest, endpoint="http://127.0.0.1:9050"):
    dest = pathlib.Path(dest)
    kit = dest / "_promblock" / "bigquery"
    client = bigquery.Client(
        PROJECT, credentials=AnonymousCredentials(), client_options=ClientOptions(api_endpoint=endpoint)
    )
    failures = 0

    def query(sql):
        return list(client.query(sql, **NO_RETRY).result(retry=None))

    def count(relation):
        return query(f"SELECT COUNT(*) AS n FROM `{DATASET}.{relation}`")[0]["n"]

    def check(what, found, expected):
        nonlocal failures
        failures += found != expected
        print(f"{'ok  ' if found == expected else 'FAIL'} {what}: {found}, expected {expected}")

    def run(name):
        sql = re.sub("^--.*\n", "", (kit / name).read_text(), flags=re.MULTILINE).replace("${DATASET}", DATASET)
        for statement in filter(str.strip, sql.split(";\n")):
            query(statement)

    with open(kit / "files.tsv", newline="") as lines:
        files = list(csv.DictReader(lines, delimiter="\t"))
    with open(kit / "tables.tsv", newline="") as lines:
        tables = [row["table"] for row in csv.DictReader(lines, delimiter="\t")]
    run("tables.sql")
    for table in tables:
        config = bigquery.LoadJobConfig(schema=client.schema_from_json(str(kit / f"{table}.schema.json")))
        config.source_format = bigquery.SourceFormat.NEWLINE_DELIMITED_JSON
        expected = 0
        for file in (file for file in files if file["table"] == table):
            if file["path"].endswith(".gz"):
                sys.exit("the emulator refuses gzip: convert with --compression none")
            if file["path"].endswith(".parquet"):
                config.source_format = bigquery.SourceFormat.PARQUET
                config.parquet_options = bigquery.format_options.ParquetOptions()
                config.parquet_options.enable_list_inference = True
            with open(dest / file["path"], "rb") as data:
                job = client.load_table_from_file(data, f"{PROJECT}.{DATASET}.{table}", job_config=config)
                job.result(retry=None)
            expected += int(file["rows"])
        check(f"rows of {table}", count(table), expected)
    run("views.sql")
    views = re.findall(r"VIEW `\$\{DATASET\}\.(\w+)`", (kit / "views.sql").read_text())
    for view in views:
        if view.endswith("_flat"):
            check(f"rows of {view}", count(view), count(view.removesuffix("_flat")))
    ids = query(f"SELECT COUNT(DISTINCT series_id) AS n FROM `{DATASET}.series`")[0]["n"]
    check("rows of series_all", count("series_all"), ids)
    names = collections.Counter()
    for row in query(f"SELECT labels FROM `{DATASET}.series_all`"):
        labels = row["labels"]
        names.update((json.loads(labels) if isinstance(labels, str) else labels).keys())
    for name, series in sorted(names.items())[:5]:
        path = json.dumps(f'$."{name}"')
        by_json = query(f"SELECT COUNT(*) AS n FROM `{DATASET}.series_all` WHERE JSON_VALUE(labels, {path}) IS NOT NULL")
        check(f"series with label {name}", by_json[0]["n"], series)
    # The view has to run; what it gives says nothing, see emulator.md.
    query(f"SELECT name, COUNT(*) AS n FROM `{DATASET}.series_labels` GROUP BY name")
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
