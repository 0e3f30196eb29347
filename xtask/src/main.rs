//! The project's own chores: `cargo xtask check | demo | azurite | fixtures | fuzz | bench`.
//!
//! Each is one command that does its own set-up, on a laptop as in CI.

mod bench;
mod check;
mod demo;
mod fixtures;
mod fuzz;
mod run;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask check                 everything that must hold: format, lints, tests, docs, readers, fuzz targets
cargo xtask demo                  converts the shipped snapshot and queries the result
cargo xtask azurite               installs the Azure store that tests run (needs npm); check does it as well
cargo xtask fixtures [--large DIR]  writes the fixtures again, or the benchmark block (needs Go)
cargo xtask fuzz [SECONDS]        runs every fuzz target, seeded from the fixtures
cargo xtask bench [--small]       prints the table of ratios (needs Go)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["check"] => check::check(),
        ["demo"] => demo::demo(),
        ["azurite"] => run::azurite(),
        ["fixtures"] => fixtures::regenerate(),
        ["fixtures", "--large", folder] => fixtures::large(folder),
        ["fuzz"] => fuzz::fuzz(10),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::fuzz(seconds),
            Err(_) => Err(format!("SECONDS is {seconds}, expected a number")),
        },
        ["bench", rest @ ..] => bench::bench(rest),
        _ => Err(format!("usage:\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            run::say(&format!("xtask: {message}"));
            ExitCode::FAILURE
        }
    }
}
