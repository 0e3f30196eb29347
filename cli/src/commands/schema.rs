//! `promblock schema`: the output tables for the options given.

use std::io::{self, BufWriter, Write};

use serde_json::{Map, Value, json};
use tsdb_converter::error::error_chain;
use tsdb_converter::schema::{Table, TableSchema};

use crate::args::{SchemaArgs, SchemaForm};
use crate::exit::{DONE, Failure};

/// Runs the command.
pub fn run(args: &SchemaArgs) -> Result<u8, Failure> {
    let options = args.output.options();
    options.validate().map_err(|error| Failure::Message(error_chain(&error)))?;
    let resolution = args.resolution.unwrap_or_default();
    let of_kind = |table: Table| match table {
        Table::Samples(_) => "samples",
        Table::Histograms(_) => "histograms",
        Table::Series => "series",
    };
    let wanted = |table: &&Table| args.table.as_deref().is_none_or(|name| name == of_kind(**table));
    let schema = |table: &Table| {
        TableSchema::new(*table, &options).map_err(|error| Failure::Message(error_chain(&error)))
    };
    let tables = Table::of([resolution]);
    let tables = tables.iter().filter(wanted).map(schema).collect::<Result<Vec<_>, _>>()?;
    let mut out = BufWriter::new(io::stdout().lock());
    match args.form {
        SchemaForm::Bigquery => write_json(&mut out, args, &tables, TableSchema::bigquery_json)?,
        SchemaForm::Arrow => write_json(&mut out, args, &tables, arrow_json)?,
        SchemaForm::Ddl => {
            for table in &tables {
                writeln!(out, "CREATE TABLE IF NOT EXISTS `{}` (\n{}\n);", table.name, table.ddl_columns())?;
            }
        }
    }
    out.flush()?;
    Ok(DONE)
}

/// The only table asked for as it is, as `bq` takes it; several by name.
fn write_json(
    out: &mut dyn Write,
    args: &SchemaArgs,
    tables: &[TableSchema],
    json: impl Fn(&TableSchema) -> Value,
) -> io::Result<()> {
    let value = match (args.table.is_some(), tables) {
        (true, [table]) => json(table),
        _ => {
            Value::Object(tables.iter().map(|table| (table.name.clone(), json(table))).collect::<Map<_, _>>())
        }
    };
    writeln!(out, "{value:#}")
}

fn arrow_json(table: &TableSchema) -> Value {
    let schema = table.arrow();
    let fields = schema.fields().iter();
    fields
        .map(|field| json!({ "name": field.name(), "type": field.data_type().to_string(), "nullable": field.is_nullable() }))
        .collect()
}
