#!/usr/bin/env bash
# Loads the DEST that this kit belongs to into a BigQuery dataset. `load.sh --help` tells how to use it.
#
# Beside this script lie
#   tables.tsv   the tables, with their clustering columns
#   files.tsv    the published files: table, partition, decorator, fingerprint, path, rows, bytes
#   loaded.tsv   written here: what was loaded into which dataset. Keep it; without it everything is new
#   pending/     written here: jobs that were begun and whose end is not known yet
#
# How it stays correct: a load job is all or nothing, and its id follows from what it loads. A job that is begun
# twice is refused by BigQuery as "Already Exists", and then its outcome counts. A partition is replaced as a whole.
# One that DEST holds at another resolution now is removed only when that is loaded.
set -euo pipefail

# Written by promblock for this DEST.
load_flags=(@LOAD_FLAGS@)
dest_url='@DEST_URL@' # Empty when DEST is the folder two above this one.

# BigQuery allows 1,500 load jobs per table and day, 4,000 partitions and 10,000 URIs per job, 10,000 partitions
# per table. Linux allows 131,072 bytes per argument, and the URIs of a job are one argument.
max_jobs_per_day=1400
max_partitions_per_job=4000
max_uris_per_job=10000
max_partitions_per_table=10000
max_argument_bytes=120000

usage() {
    cat <<'USAGE'
Usage: load.sh [FLAGS] DATASET [GCS_STAGING]

Loads this DEST into the BigQuery dataset DATASET: `name`, or `project:name`. Run it again after every
`promblock convert`: it loads what is new or has changed, partition by partition, and nothing twice.

  GCS_STAGING          gs://bucket/prefix to which files are copied first; needed when DEST is not on GCS

  --dry-run            print the commands and run none
  --file-set-manifest  name the files of a job in a list on GCS instead of the command line: fewer jobs
  --dest GCS_URL       load from this full copy of DEST on GCS instead of from DEST
  --max-jobs N         run at most N load jobs per table; run again for the rest
  --prune              remove the partitions from BigQuery that DEST no longer has (otherwise they are named);
                       those that it has at another resolution are removed without this, once that is loaded
  --help

Needs bq, awk, sed, grep and coreutils; gcloud or gsutil where something is copied. Exit code 0: done.
1: a command failed; run it again to go on from there. 2: misused or refused, nothing was loaded.
USAGE
}

say() { printf 'load.sh: %s\n' "$*" >&2; }
refuse() {
    say "$@"
    exit 2
}
fail() {
    say "$@"
    exit 1
}

# --- Arguments

dry_run='' manifest='' prune='' max_jobs=999999 dataset='' staging='' copied_dest=''
while [[ $# -gt 0 ]]; do
    case $1 in
    --help | -h) usage && exit 0 ;;
    --dry-run) dry_run=yes ;;
    --file-set-manifest) manifest=yes ;;
    --prune) prune=yes ;;
    --dest) [[ $# -gt 1 ]] || refuse "--dest needs a gs:// URL" && copied_dest=$2 && shift ;;
    --dest=*) copied_dest=${1#*=} ;;
    --max-jobs) [[ $# -gt 1 ]] || refuse "--max-jobs needs a number" && max_jobs=$2 && shift ;;
    --max-jobs=*) max_jobs=${1#*=} ;;
    -*) refuse "unknown flag $1; load.sh --help lists all" ;;
    *)
        if [[ -z $dataset ]]; then
            dataset=$1
        elif [[ -z $staging ]]; then
            staging=$1
        else
            refuse "unexpected argument $1; load.sh --help tells the usage"
        fi
        ;;
    esac
    shift
done

[[ -n $dataset ]] || refuse "DATASET is missing; load.sh --help tells the usage"
if [[ $dataset =~ ^(([a-z0-9.-]+:)?[a-z][a-z0-9-]*)[:.]([A-Za-z0-9_]+)$ ]]; then
    sql_dataset=${BASH_REMATCH[1]}.${BASH_REMATCH[3]} dataset=${BASH_REMATCH[1]}:${BASH_REMATCH[3]}
elif [[ $dataset =~ ^[A-Za-z0-9_]+$ ]]; then
    sql_dataset=$dataset
else
    refuse "DATASET $dataset is no dataset; it looks like name or project:name"
fi
[[ $max_jobs =~ ^[1-9][0-9]{0,5}$ ]] || refuse "--max-jobs $max_jobs is no number above 0"

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
[[ -z $copied_dest || $copied_dest == gs://?* ]] || refuse "--dest $copied_dest is no gs:// URL"
dest_url=${copied_dest:-$dest_url}
dest_url=${dest_url%/} staging=${staging%/}
for url in "$dest_url" "$staging"; do
    # A comma would split the list of URIs, and these others are wildcards.
    [[ $url != *[,*?\"\\]* && $url != *'['* && $url != *']'* ]] ||
        refuse "$url holds one of , * ? \" \\ [ ], which bq cannot load from; use another prefix"
done
if [[ -n $staging && $staging != gs://?* ]]; then
    refuse "GCS_STAGING $staging is no gs:// URL"
elif [[ $dest_url == gs://* ]]; then
    # The files are where BigQuery reads them: staging is only for lists of files.
    copy_files='' base=$dest_url lists=${staging:-$dest_url}/_promblock/bigquery/lists
elif [[ -z $staging ]]; then
    refuse "DEST ${dest_url:-$(cd -- "$here/../.." && pwd)} is not on GCS, and BigQuery loads from there:" \
        "give a GCS_STAGING, as in load.sh $dataset gs://bucket/prefix"
elif [[ -n $dest_url && $dest_url != s3://* ]]; then
    refuse "gcloud cannot copy from $dest_url: copy DEST to GCS by other means, then load.sh --dest gs://… $dataset"
else
    copy_files=yes base=$staging lists=$staging/_promblock/bigquery/lists
fi

# --- Commands

# bq needs the location of a job to find it again.
bq_flags=(--headless --quiet)
bigquery() { bq "${bq_flags[@]}" "$@"; }

# Prints a command instead of running it.
print_command() { (printf '%q' "$1" && shift && printf ' %q' "$@" && printf '\n') >&3; }
exec 3>&1

# Copies the paths on stdin into the folder $1 on GCS.
copy_to() {
    local copy=(gcloud storage cp --read-paths-from-stdin "$1")
    if ! command -v gcloud >/dev/null; then
        copy=(gsutil -m cp -I "$1")
    fi
    if [[ -n $dry_run ]]; then
        print_command "${copy[@]}"
        sed 's/^/# stdin: /' >&3
    else
        "${copy[@]}" >&2
    fi
}

# The value of a field in the JSON on stdin; nothing when it has none.
json_field() { tr -d '\n' | sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p'; }

hash_of() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-32
}

# Runs the SQL file $1.
run_sql() {
    if [[ -n $dry_run ]]; then
        print_command bq "${bq_flags[@]}" query --use_legacy_sql=false
        printf '# stdin: %s for dataset %s\n' "$1" "$sql_dataset" >&3
    else
        # shellcheck disable=SC2016 # It is the SQL that has the placeholder.
        sed 's/\${DATASET}/'"$sql_dataset"'/g' "$here/$1" >"$work/sql"
        bigquery query --use_legacy_sql=false <"$work/sql" >&2
    fi
}

# --- State: lines of loaded.tsv are time, dataset, table, its creation, partition, fingerprint, job, outcome.
# Outcomes: done; failed (a job that counts); removed (the partition); first (the table's first load is complete);
# made (the views, under the hash of what they depend on).
# A table that was made anew has another creation: what was loaded before no longer counts.

state=$here/loaded.tsv
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# Records the outcome $1 of lines on stdin: dataset, table, creation, partition, fingerprint, job.
record() { awk -v OFS='\t' -v time="$(now)" -v outcome="$1" '{ print time, $0, outcome }' >>"$state"; }
record_line() {
    local outcome=$1
    shift
    (IFS=$'\t' && printf '%s\n' "$*") | record "$outcome"
}
# True when the outcome $3 is recorded for table $1, created at $2; any outcome without $3.
recorded() {
    awk -F'\t' -v dataset="$dataset" -v table="$1" -v created="$2" -v outcome="${3-}" '
        BEGIN { dataset = dataset ""; table = table ""; created = created "" }
        $2 == dataset && $3 == table && $4 == created && (outcome == "" || $8 == outcome) { found = 1 }
        END { exit !found }' "$state"
}

# Prints what became of the job $1: done, failed, absent or unknown. Waits for it while it runs.
outcome_of() {
    local json
    if ! json=$(bigquery --format=json show -j "$1" 2>&1); then
        [[ $json == *"Not found"* ]] || fail "cannot look up job $1: $json"
        echo absent
        return
    fi
    case $(json_field state <<<"$json") in
    DONE) if [[ $json == *'"errorResult"'* ]]; then echo failed; else echo "done"; fi ;;
    PENDING | RUNNING)
        say "waiting for job $1"
        if bigquery wait "$1" >&2; then echo "done"; else echo failed; fi
        ;;
    *) echo unknown ;;
    esac
}

# Finds out what became of jobs that an earlier run began and did not see end.
settle() {
    local pending job outcome
    for pending in "$here"/pending/*.tsv; do
        [[ -f $pending && $(head -n 1 "$pending" | cut -f 1) == "$dataset" ]] || continue
        job=$(basename "$pending" .tsv)
        outcome=$(outcome_of "$job")
        case $outcome in
        done | failed) record "$outcome" <"$pending" && say "job $job of an earlier run: $outcome" ;;
        esac
        rm "$pending"
    done
}

# Sets created and rows of the table $1; both are empty when there is no such table.
look_up() {
    local json
    created='' rows=''
    if [[ -n $dry_run ]]; then
        created=$(awk -F'\t' -v d="$dataset" -v t="$1" '$2 == d "" && $3 == t "" { c = $4 } END { print c }' "$state")
        created=${created:--}
    elif json=$(bigquery --format=json show "$dataset.$1" 2>&1); then
        created=$(json_field creationTime <<<"$json") rows=$(json_field numRows <<<"$json")
        created=${created:--}
    elif [[ $json != *"Not found"* ]]; then
        fail "cannot look up table $dataset.$1: $json"
    fi
}

# --- Planning

# Writes one file per job of table $1 (created at $2) into the folder $3: its files, with partition, decorator,
# fingerprint, how often the partition was loaded before, path, URI. The names tell append from replace.
# Prints partitions that were loaded and that DEST no longer has.
plan() {
    awk -F'\t' -v OFS='\t' -v dataset="$dataset" -v table="$1" -v created="$2" -v folder="$3" \
        -v base="$base" -v flat="$copy_files" -v max_partitions=$max_partitions_per_job \
        -v max_uris=$max_uris_per_job -v max_bytes="$([[ -n $manifest ]] || echo $max_argument_bytes)" '
        function open_job(mode) {
            if (job != "") close(job)
            job = sprintf("%s/%05d-%s.tsv", folder, ++jobs, mode)
            partitions = uris = bytes = 0
        }
        function add(p,    i) {
            for (i = 1; i <= files[p]; i++) {
                print p, decorator[p], fingerprint[p], times[p] + 0, path[p, i], uri[p, i] >job
            }
            partitions++
            uris += files[p]
            bytes += length_of[p]
        }
        # Names and fingerprints are compared as strings, even where they look like numbers.
        BEGIN { dataset = dataset ""; table = table ""; created = created "" }
        FNR == 1 { input++; next }
        input == 1 {
            if ($2 != dataset || $3 != table || $4 != created) next
            if ($8 == "done") { loaded[$5] = $6; times[$5]++ }
            if ($8 == "removed") delete loaded[$5]
            if ($8 == "first") first_is_complete = 1
            next
        }
        $1 == table {
            if (!($2 in files)) order[++count] = $2
            i = ++files[$2]
            decorator[$2] = $3
            fingerprint[$2] = $4 ""
            path[$2, i] = $5
            name = $5
            # Copies lie side by side: the names of parts are unique in a table.
            if (flat != "") { sub(/.*\//, "", name); name = table "/" name }
            uri[$2, i] = base "/" name
            length_of[$2] += length(uri[$2, i]) + 1
        }
        END {
            for (n = 1; n <= count; n++) {
                p = order[n]
                if (loaded[p] == fingerprint[p]) continue
                if (first_is_complete || p in times || decorator[p] == "-") { replaced[++replaces] = p; continue }
                full = partitions + 1 > max_partitions || uris + files[p] > max_uris
                if (max_bytes != "" && bytes + length_of[p] > max_bytes) full = 1
                if (job == "" || full) open_job("append")
                add(p)
            }
            for (n = 1; n <= replaces; n++) { open_job("replace"); add(replaced[n]) }
            for (p in loaded) if (loaded[p] != "" && !(p in files)) print p
        }' "$state" "$here/files.tsv" | LC_ALL=C sort
}

# Prints how many jobs ran for table $1 within the last 24 hours, in whatever time zone the quota is counted.
jobs_of_last_day() {
    local since
    since=$(($(date -u +%s) - 86400))
    since=$(date -u -d "@$since" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r $since +%Y-%m-%dT%H:%M:%SZ)
    awk -F'\t' -v dataset="$dataset" -v table="$1" -v since="$since" '
        BEGIN { dataset = dataset ""; table = table "" }
        $2 == dataset && $3 == table && $1 >= since && ($8 == "done" || $8 == "failed") { jobs[$7] }
        END { for (job in jobs) count++; print count + 0 }' "$state"
}

# Prints the number of partitions, or the sum of rows, of table $1 in DEST.
partitions_of() { awk -F'\t' -v t="$1" '$1 == t && !seen[$2]++ { n++ } END { print n + 0 }' "$here/files.tsv"; }
rows_of() { awk -F'\t' -v t="$1" '$1 == t { n += $6 } END { printf "%.0f\n", n }' "$here/files.tsv"; }
clustering_of() { awk -F'\t' -v t="$1" '$1 == t { print $2 }' "$here/tables.tsv"; }

# Prints the partitions that table $1 has no more, with what became of each:
#   moved    DEST has it at other resolutions, and they are loaded
#   moving   they are not loaded yet
#   gone     DEST has it at none
fates_of() {
    awk -F'\t' -v OFS='\t' -v dataset="$dataset" -v table="$1" -v work="$work" '
        function kind_of(name) { sub(/_.*/, "", name); return name }
        function created_of(name,    line) {
            if (!(name in created)) {
                getline line <(work "/" name ".created")
                close(work "/" name ".created")
                created[name] = line ""
            }
            return created[name]
        }
        BEGIN { dataset = dataset "" }
        FNR == 1 { input++ }
        input == 1 {
            if (FNR == 1 || $2 != dataset || kind_of($3) != kind_of(table) || $4 != created_of($3)) next
            if ($8 == "done") loaded[$3, $5] = $6 ""
            if ($8 == "removed") delete loaded[$3, $5]
            next
        }
        input == 2 {
            if (FNR == 1 || kind_of($1) != kind_of(table)) next
            if (!($2 in fate)) fate[$2] = "moved"
            if (loaded[$1, $2] != $4 "") fate[$2] = "moving"
            next
        }
        { print $1, ($1 in fate) ? fate[$1] : "gone" }' "$state" "$here/files.tsv" "$work/$1.vanished"
}

# Says what a partition in files.tsv is called in BigQuery: 2026-11-20T05 becomes 2026112005.
decorator_of() { printf '%s\n' "${1//[-T]/}"; }

# --- Loading

# Prints what `record` takes of each partition that `load` is loading by job $1.
partitions_of_job() {
    awk -F'\t' -v OFS='\t' -v dataset="$dataset" -v table="$table" -v created="$created" -v job="$1" '
        !seen[$1]++ { print dataset, table, created, $1, $3, job }' "$job_file"
}

# Loads the job file $2 into table $1 (created at $3).
load() {
    local table=$1 job_file=$2 created=$3 target=$dataset.$1 flags=("${load_flags[@]}") log=$work/log
    local uris list_bytes source base_id id attempt pending outcome
    uris=$(wc -l <"$job_file" | tr -d ' ')
    if [[ $job_file == *-replace.tsv ]]; then
        flags+=(--replace)
        case $(head -n 1 "$job_file" | cut -f 2) in
        -) flags+=(--clustering_fields="$(clustering_of "$table")") ;;
        *) target+=\$$(head -n 1 "$job_file" | cut -f 2) ;;
        esac
    fi
    # The URIs are left out: what is loaded does not depend on where it was copied to.
    base_id=promblock_${table}_$( (printf '%s\n' "$target" "$created" && cut -f 1-5 "$job_file") | hash_of)

    if [[ -n $copy_files ]]; then
        (
            # Relative paths: those hold no wildcards, whatever the folder above them is called.
            cd -- "$here/../.." &&
                awk -F'\t' -v folder="${dest_url:+$dest_url/}" '{ print folder $5 }' "$job_file" >"$work/paths" &&
                copy_to "$base/$table/" <"$work/paths"
        ) || fail "cannot copy files of $target to $base; run it again to go on from there"
    fi
    list_bytes=$(cut -f 6 "$job_file" | wc -c)
    if [[ -n $manifest || $uris -gt $max_uris_per_job || $list_bytes -gt $max_argument_bytes ]]; then
        # One partition with too many files comes here as well: it cannot be split, since it is replaced as a whole.
        flags+=(--file_set_spec_type=NEW_LINE_DELIMITED_MANIFEST)
        cut -f 6 "$job_file" >"$work/$base_id.txt"
        printf '%s\n' "$base_id.txt" >"$work/paths"
        (cd -- "$work" && copy_to "$lists/" <"$work/paths") ||
            fail "cannot copy a list of files to $lists; run it again to go on from there"
        source=$lists/$base_id.txt
    else
        source=$(cut -f 6 "$job_file" | paste -s -d , -)
    fi

    for attempt in 1 2 3 4 5 6 7 8 9; do
        id=$base_id
        [[ $attempt == 1 ]] || id+=_$attempt
        if [[ -n $dry_run ]]; then
            print_command bq "${bq_flags[@]}" --job_id="$id" load "${flags[@]}" "$target" "$source" \
                "$here/$table.schema.json"
            partitions_of_job "$id" | record "done"
            return
        fi
        pending=$here/pending/$id.tsv
        partitions_of_job "$id" >"$pending.new"
        mv "$pending.new" "$pending"
        say "loading $target: partitions $(wc -l <"$pending" | tr -d ' '), files $uris"
        outcome="done"
        if ! bigquery --job_id="$id" load "${flags[@]}" "$target" "$source" "$here/$table.schema.json" \
            >"$log" 2>&1 </dev/null; then
            # bq may have failed while the job did not; and what exists already may have succeeded.
            outcome=$(outcome_of "$id")
        fi
        case $outcome in
        "done")
            record "done" <"$pending"
            rm "$pending"
            return
            ;;
        failed)
            rm "$pending"
            # An earlier try has this id and has failed: the next id.
            if grep -q 'Already Exists: Job' "$log"; then continue; fi
            record_line failed "$dataset" "$table" "$created" '*' '*' "$id"
            ;;
        esac
        # Anything else needs a person. The next run looks up what is pending before it loads anything.
        cat "$log" >&2
        fail "job $id did not load $target; mend what bq names above and run it again to go on from there"
    done
    fail "the job for $target has failed $attempt times; bq show -j $id tells why"
}

# --- The run

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tables=$(sed 1d "$here/tables.tsv" | cut -f 1)
if [[ -z $dry_run ]]; then
    mkdir -p "$here/pending"
    [[ -f $state ]] || printf 'time\tdataset\ttable\tcreated\tpartition\tfingerprint\tjob\toutcome\n' >"$state"
    # A line that a killed run did not finish stays alone.
    [[ -z $(tail -c 1 "$state") ]] || echo >>"$state"
    if ! about=$(bigquery --format=json show "$dataset" 2>&1); then
        refuse "cannot look up dataset $dataset: $about; make one with: bq --location=LOCATION mk -d $dataset"
    fi
    location=$(json_field location <<<"$about")
    [[ -z $location ]] || bq_flags+=(--location="$location")
    settle
else
    # What would be done is recorded in a copy.
    { cat "$state" 2>/dev/null || echo; } >"$work/loaded.tsv"
    state=$work/loaded.tsv
fi

missing=''
for table in $tables; do
    look_up "$table"
    printf '%s\n' "$created" >"$work/$table.created"
    printf '%s\n' "${rows:-0}" >"$work/$table.rows"
    [[ -n $created && ($created != - || -z $dry_run) ]] || missing=yes
done
if [[ -n $missing ]]; then
    say "creating the tables that $dataset lacks"
    run_sql tables.sql
    for table in $tables; do
        [[ -z $(cat "$work/$table.created") ]] || continue
        look_up "$table"
        [[ -n $created ]] || fail "table $dataset.$table is not there, although tables.sql has run"
        printf '%s\n' "$created" >"$work/$table.created"
    done
fi

# Everything is planned, and refused if need be, before anything is loaded.
for table in $tables; do
    created=$(cat "$work/$table.created") rows=$(cat "$work/$table.rows")
    if [[ $rows != 0 ]] && ! recorded "$table" "$created"; then
        refuse "table $dataset.$table holds $rows rows that were not loaded from here ($state does not name them):" \
            "choose another dataset, or remove the table with: bq rm -t $dataset.$table"
    fi
    partitions=$(partitions_of "$table")
    if [[ $partitions -gt $max_partitions_per_table ]]; then
        refuse "table $table has $partitions partitions, BigQuery allows $max_partitions_per_table:" \
            "convert to another DEST with a coarser --partition-by, or less time (--min-time, --max-time)"
    fi
    mkdir "$work/$table"
    plan "$table" "$created" "$work/$table" >"$work/$table.vanished"
    jobs=0
    for job_file in "$work/$table"/*.tsv; do
        [[ ! -f $job_file ]] || jobs=$((jobs + 1))
    done
    wanted=$((jobs < max_jobs ? jobs : max_jobs))
    earlier=$(jobs_of_last_day "$table")
    if [[ $wanted -gt 0 && $((wanted + earlier)) -gt $max_jobs_per_day ]]; then
        refuse "table $dataset.$table needs $wanted load jobs, and $earlier ran within 24 hours; BigQuery allows 1,500" \
            "per table and day, failed ones included, and load.sh stops at $max_jobs_per_day. Load in parts, one a day" \
            "(--max-jobs N, today $((max_jobs_per_day > earlier ? max_jobs_per_day - earlier : 0)) are left);" \
            "or load everything into a new dataset, which takes few jobs; or convert with a coarser --partition-by"
    fi
done

loaded=0 left=0
for table in $tables; do
    created=$(cat "$work/$table.created")
    loaded_here=0 left_here=0
    for job_file in "$work/$table"/*.tsv; do
        [[ -f $job_file ]] || continue
        if [[ $loaded_here -lt $max_jobs ]]; then
            load "$table" "$job_file" "$created"
            loaded_here=$((loaded_here + 1))
        else
            left_here=$((left_here + 1))
        fi
    done
    loaded=$((loaded + loaded_here)) left=$((left + left_here))
    if [[ -z $dry_run && $left_here == 0 && $(partitions_of "$table") != 0 ]] &&
        ! recorded "$table" "$created" first; then
        record_line first "$dataset" "$table" "$created" '*' '*' '*'
    fi
done

# Only now, so that a partition whose resolution has changed is there at every time.
for table in $tables; do
    [[ -s $work/$table.vanished ]] || continue
    created=$(cat "$work/$table.created")
    fates_of "$table" >"$work/$table.fates"
    while IFS=$'\t' read -r partition fate; do
        what="partition $partition of $dataset.$table, which DEST no longer has,"
        [[ $fate == gone ]] || what="partition $partition of $dataset.$table, which DEST has at another resolution now,"
        if [[ $partition == all ]]; then
            say "$what is kept; empty it with: bq truncate $dataset.$table"
        elif [[ $fate == gone && -z $prune ]]; then
            say "$what is kept; --prune removes it"
        elif [[ $fate == moving ]]; then
            say "$what is kept until that is loaded"
        else
            remove=(bq "${bq_flags[@]}" rm -f -t "$dataset.$table\$$(decorator_of "$partition")")
            if [[ -n $dry_run ]]; then
                print_command "${remove[@]}"
            else
                say "$what is removed"
                "${remove[@]}" >&2 </dev/null
                record_line removed "$dataset" "$table" "$created" "$partition" '*' '*'
            fi
            continue
        fi
        printf '%s\n' "$partition" >>"$work/$table.kept"
    done <"$work/$table.fates"
done

# Views are made anew when they have changed, or the tables have.
views=$( (cat "$here/views.sql" "$work"/*.created) | hash_of)
if ! recorded views.sql "$views"; then
    run_sql views.sql
    [[ -n $dry_run ]] || record_line made "$dataset" views.sql "$views" '*' '*' '*'
fi

# What was loaded is counted where it arrived.
differs=''
for table in $tables; do
    [[ $loaded -gt 0 && $left == 0 && -z $dry_run && ! -s $work/$table.kept ]] || continue
    look_up "$table"
    if [[ -n $rows && $rows != "$(rows_of "$table")" ]]; then
        say "$dataset.$table holds $rows rows, DEST $(rows_of "$table"): something else writes to that table"
        differs=yes
    fi
done
[[ -z $differs ]] || fail "loaded by $loaded jobs, but $dataset differs from DEST"
if [[ -n $dry_run ]]; then
    say "$loaded jobs would run"
elif [[ $left -gt 0 ]]; then
    say "loaded by $loaded jobs; $left jobs are left, run it again for those"
elif [[ $loaded == 0 ]]; then
    say "nothing to load, $dataset has all of DEST"
else
    say "loaded by $loaded jobs, $dataset has all of DEST"
fi
