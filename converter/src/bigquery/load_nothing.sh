#!/usr/bin/env bash
# Tells why this DEST cannot be loaded into BigQuery, and what to do.
cat >&2 <<'TEXT'
load.sh: BigQuery cannot load NDJSON compressed with zstd, so this kit has no load command.
Convert to another DEST with --compression gzip or --compression none, or with --format parquet.
The schemas, tables.sql and views.sql beside this script hold for those too.
TEXT
exit 2
