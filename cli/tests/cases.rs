//! The command line, case by case: each file in `cases/` is a shell session with what it prints.
//!
//! ```text
//! # a comment
//! $ promblock dump $F/blocks/xor_basic --match up      run by `sh` in a folder of its own
//! | a line of standard output                          [..] stands for anything within a line
//! ! a line of standard error
//! = 1                                                  the exit code; left out when it is 0
//! ```
//! `$F` is the folder of fixtures, in the output as well. `UPDATE=1 cargo test -p promblock --test cases` writes what
//! is printed now into the files; lines that still match stay as they are.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command with what is expected of it.
#[derive(Default)]
struct Step {
    /// Comments and empty lines before it.
    before: String,
    command: String,
    stdout: Vec<String>,
    stderr: Vec<String>,
    exit: i32,
}

fn parse(text: &str) -> (Vec<Step>, String) {
    let (mut steps, mut before): (Vec<Step>, String) = (Vec::new(), String::new());
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let (before, command) = (std::mem::take(&mut before), command.to_owned());
            steps.push(Step { before, command, ..Step::default() });
            continue;
        }
        let output = line.split_at_checked(1).filter(|(mark, _)| ["|", "!", "="].contains(mark));
        match (output, steps.last_mut()) {
            (Some((mark, rest)), Some(step)) => {
                let rest = rest.strip_prefix(' ').unwrap_or(rest).to_owned();
                match mark {
                    "|" => step.stdout.push(rest),
                    "!" => step.stderr.push(rest),
                    _ => step.exit = rest.trim().parse().unwrap(),
                }
            }
            _ => writeln!(before, "{line}").unwrap(),
        }
    }
    (steps, before)
}

fn print(steps: &[Step], after: &str) -> String {
    let mut text = String::new();
    for step in steps {
        writeln!(text, "{}$ {}", step.before, step.command).unwrap();
        for (mark, lines) in [("|", &step.stdout), ("!", &step.stderr)] {
            for line in lines {
                writeln!(text, "{}", format!("{mark} {line}").trim_end()).unwrap();
            }
        }
        if step.exit != 0 {
            writeln!(text, "= {}", step.exit).unwrap();
        }
    }
    text + after
}

/// True when `line` is what `pattern` says.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

fn all_match(expected: &[String], found: &[String]) -> bool {
    expected.len() == found.len() && expected.iter().zip(found).all(|(pattern, line)| matches(pattern, line))
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").canonicalize().unwrap()
}

fn run(command: &str, folder: &Path) -> Step {
    let bin = Path::new(env!("CARGO_BIN_EXE_promblock")).parent().unwrap().to_owned();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", path)
        .env("F", fixtures())
        .env("TMPDIR", folder)
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let fixtures = fixtures().display().to_string();
    let lines = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).replace(&fixtures, "$F");
        text.lines().map(|line| line.trim_end().to_owned()).collect()
    };
    let exit = output.status.code().unwrap_or(-1);
    let (stdout, stderr) = (lines(&output.stdout), lines(&output.stderr));
    Step { stdout, stderr, exit, ..Step::default() }
}

/// Runs a case; the text of its file with what is printed now where that differs.
fn run_case(text: &str) -> String {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let (mut steps, after) = parse(text);
    for step in &mut steps {
        let found = run(&step.command, folder.path());
        if !all_match(&step.stdout, &found.stdout) {
            step.stdout = found.stdout;
        }
        if !all_match(&step.stderr, &found.stderr) {
            step.stderr = found.stderr;
        }
        step.exit = found.exit;
    }
    print(&steps, &after)
}

/// The lines that differ, those around them left out.
fn difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let same_end =
        before[same..].iter().rev().zip(after[same..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut text = format!("line {}\n", same + 1);
    for (mark, lines) in [("expected", &before), ("found", &after)] {
        for line in &lines[same..lines.len() - same_end] {
            writeln!(text, "{mark:>8}: {line}").unwrap();
        }
    }
    text
}

#[test]
fn every_case_prints_what_its_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let update = std::env::var_os("UPDATE").is_some();
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failed = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "case")) {
        let text = fs::read_to_string(file).unwrap();
        let now = run_case(&text);
        if now == text {
            continue;
        }
        if update {
            fs::write(file, &now).unwrap();
        } else {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            failed.push(format!("{name}: {}", difference(&text, &now)));
        }
    }
    assert!(failed.is_empty(), "\n{}\nUPDATE=1 writes what is printed now into the files", failed.join("\n"));
}

#[test]
fn wildcards_match_within_a_line() {
    assert!(matches("in [..] s", "in 0.1 s"));
    assert!(matches("a[..]b[..]c", "a1b2c"));
    assert!(matches("[..]", ""));
    assert!(!matches("a[..]c", "ab"));
    assert!(!matches("ab", "abc"));
    assert!(!matches("aa[..]aa", "aaa"));
}
