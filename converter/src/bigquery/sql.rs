//! SQL of the kit: `tables.sql` and `views.sql`, in GoogleSQL, with `${DATASET}` where the dataset's name goes.
//!
//! The views keep to what a rewrite of a few words turns into DuckDB's dialect, in which tests run them.

use std::fmt::Write as _;

use super::{clustering, promoted, sql_string};
use crate::resolution::Resolution;
use crate::schema::{Table, TableSchema};
use crate::sink::Layout;
use crate::time::PartitionBy;

/// `CREATE TABLE` for each table.
pub(super) fn tables(tables: &[&TableSchema], partition_by: PartitionBy) -> String {
    let mut sql = String::from(
        "-- Tables of this DEST. load.sh runs this when a table is missing; by hand, put a dataset for ${DATASET}:\n\
         --   sed 's/\\${DATASET}/my_dataset/g' tables.sql | bq query --use_legacy_sql=false\n",
    );
    for table in tables {
        let is_series = table.name == Table::Series.name();
        let time = if is_series { "min_timestamp" } else { "timestamp" };
        let partition = match partition_by {
            PartitionBy::Day => format!("PARTITION BY DATE({time})\n"),
            PartitionBy::Hour => format!("PARTITION BY TIMESTAMP_TRUNC({time}, HOUR)\n"),
            PartitionBy::Month => format!("PARTITION BY TIMESTAMP_TRUNC({time}, MONTH)\n"),
            PartitionBy::None => String::new(),
        };
        let clustering: Vec<String> = clustering(table).iter().map(|column| format!("`{column}`")).collect();
        let mut options = vec![format!("description = {}", sql_string(&description(table)))];
        if !is_series && partition_by != PartitionBy::None {
            options.push("require_partition_filter = TRUE".to_owned());
        }
        // Writing to a string cannot fail.
        let _ = write!(
            sql,
            "\nCREATE TABLE IF NOT EXISTS `${{DATASET}}.{}` (\n{}\n)\n{partition}CLUSTER BY {}\nOPTIONS ({});\n",
            table.name,
            table.ddl_columns(),
            clustering.join(", "),
            options.join(", "),
        );
    }
    sql
}

fn description(table: &TableSchema) -> String {
    match Table::of_name(&table.name) {
        Some(Table::Samples(Resolution::RAW)) => "One row per sample.".to_owned(),
        Some(Table::Histograms(Resolution::RAW)) => "One row per native histogram.".to_owned(),
        Some(Table::Samples(width)) => format!("One row per series and window of {width} with samples."),
        Some(Table::Histograms(width)) => {
            format!("One row per series and window of {width} with histograms.")
        }
        Some(Table::Series) | None => "One row per series and partition.".to_owned(),
    }
}

/// The views.
pub(super) fn views(tables: &[&TableSchema], layout: Layout, partition_by: PartitionBy) -> String {
    let mut sql = String::from(
        "-- Views of this DEST. load.sh runs this; by hand, put the name of a dataset for ${DATASET}.\n\
         --\n\
         -- A single label, wherever there is a column labels:\n\
         --   JSON_VALUE(labels, '$.job')    JSON_VALUE(labels, '$.\"k8s.io/app\"')    null when the series has none\n\
         -- Few series of many: choose them in series_all or series_labels, then read samples by series_id.\n",
    );
    let series = tables.iter().find(|table| table.name == Table::Series.name());
    if let Some(series) = series {
        sql += &series_all(series);
        sql += SERIES_LABELS;
        if layout == Layout::Star {
            for table in tables.iter().filter(|table| table.name != series.name) {
                sql += &joined(table, series, partition_by);
            }
        }
    }
    for table in tables {
        match Table::of_name(&table.name) {
            Some(Table::Samples(resolution)) if !resolution.is_raw() => sql += &rates(table),
            _ => {}
        }
    }
    sql
}

/// One row per series and label.
const SERIES_LABELS: &str = "
-- One row per series and label, the metric name apart.
CREATE OR REPLACE VIEW `${DATASET}.series_labels` AS
SELECT DISTINCT s.series_id, s.metric, pair.name, pair.value
FROM `${DATASET}.series` AS s
CROSS JOIN UNNEST(s.label_pairs) AS pair;
";

fn series_all(series: &TableSchema) -> String {
    let columns: Vec<String> = series
        .fields
        .iter()
        .map(|field| {
            let name = format!("`{}`", field.name);
            match field.name.as_str() {
                "series_id" => "s.`series_id`".to_owned(),
                "min_timestamp" => format!("MIN(s.{name}) AS {name}"),
                "max_timestamp" => format!("MAX(s.{name}) AS {name}"),
                "samples" => format!("SUM(s.{name}) AS {name}"),
                // The newest known.
                "type" | "unit" | "help" => {
                    format!("MAX_BY(s.{name}, IF(s.{name} IS NULL, NULL, s.max_timestamp)) AS {name}")
                }
                // The same in every row of a series.
                _ => format!("ANY_VALUE(s.{name}) AS {name}"),
            }
        })
        .collect();
    format!(
        "\n-- One row per series, over all partitions.\n\
         CREATE OR REPLACE VIEW `${{DATASET}}.series_all` AS\nSELECT\n  {}\n\
         FROM `${{DATASET}}.series` AS s\nGROUP BY s.series_id;\n",
        columns.join(",\n  ")
    )
}

/// Averages and rates of windows.
fn rates(table: &TableSchema) -> String {
    let name = &table.name;
    let own = table.fields.iter().take_while(|field| field.name != "resolution_ms");
    let own: Vec<String> = own.map(|field| format!("t.`{}`", field.name)).collect();
    let columns = own.join(",\n  ");
    format!(
        "
-- {name} as averages, and as rates of counters: their increase per second.
-- Over any span of whole windows, by series, here of one hour with its 3600 seconds:
--   SELECT metric, series_id, SUM(`sum`) / SUM(`count`) AS `avg`, MIN(`min`) AS `min`, MAX(`max`) AS `max`,
--     SUM(increase) / 3600 AS rate
--   FROM `${{DATASET}}.{name}`
--   WHERE timestamp >= TIMESTAMP '2026-11-20 10:00:00+00' AND timestamp < TIMESTAMP '2026-11-20 11:00:00+00'
--   GROUP BY metric, series_id;
CREATE OR REPLACE VIEW `${{DATASET}}.{name}_rates` AS
SELECT
  {columns},
  t.`sum` / t.`count` AS `avg`,
  t.`min`,
  t.`max`,
  t.`increase` / (t.`resolution_ms` / 1000) AS `rate`
FROM `${{DATASET}}.{name}` AS t;
"
    )
}

/// The columns and rows of layout flat: `labels` stands after the promoted labels, everything else as in the table.
fn joined(table: &TableSchema, series: &TableSchema, partition_by: PartitionBy) -> String {
    let after = promoted(table).last().map_or("metric", |field| field.name.as_str());
    let labels = series.fields.iter().filter(|field| field.name == "labels");
    let mut columns = Vec::new();
    for field in &table.fields {
        columns.push(format!("t.`{}`", field.name));
        if field.name == after {
            columns.extend(labels.clone().map(|field| format!("s.`{}`", field.name)));
        }
    }
    // A series has a row in every partition in which it has samples; without its partition it would match them all.
    let same = |unit| {
        format!("\n  AND TIMESTAMP_TRUNC(s.min_timestamp, {unit}) = TIMESTAMP_TRUNC(t.timestamp, {unit})")
    };
    let same_partition = match partition_by {
        PartitionBy::Day => same("DAY"),
        PartitionBy::Hour => same("HOUR"),
        PartitionBy::Month => same("MONTH"),
        PartitionBy::None => String::new(),
    };
    format!(
        "\n-- {name} with the labels of their series: the columns and rows of --layout flat.\n\
         CREATE OR REPLACE VIEW `${{DATASET}}.{name}_flat` AS\nSELECT\n  {columns}\n\
         FROM `${{DATASET}}.{name}` AS t\nLEFT JOIN `${{DATASET}}.series` AS s\n  \
         ON s.series_id = t.series_id{same_partition};\n",
        name = table.name,
        columns = columns.join(",\n  "),
    )
}
