//! `bench`: the table of ratios, everything measured side by side in one run.
//!
//! Block: 50,000 series × 2 h at 15 s, 24 million float samples, made by the reference's writer; beside it blocks of
//! half a million histograms for their decoders. Processor time is user + system of the whole process, the median of
//! a few runs that alternate with the reference's. Peak memory is the largest `RssAnon` seen, so file-mapped pages are
//! apart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fixtures::go;
use crate::run::{Done, cargo, command, output, say, target};

/// Samples of the benchmark block.
const SAMPLES: f64 = 24_000_000.0;
/// Clock ticks per second in `/proc/<pid>/stat`.
const TICKS: f64 = 100.0;

/// The command that converts with a name for its DEST, a number of threads and flags; and its DEST.
type Convert<'a> = dyn Fn(&str, &str, &[&str]) -> (Command, PathBuf) + 'a;

/// What one run of a program took.
#[derive(Clone, Copy)]
struct Cost {
    cpu_s: f64,
    wall_s: f64,
    peak_anon_mib: f64,
}

/// What a cost is compared with.
#[derive(Clone, Copy)]
struct Reference {
    name: &'static str,
    cpu_s: f64,
    /// Times its processor time at most.
    bound: f64,
}

/// Prints the table. `--runs N` repeats each measurement, 3 times without it.
pub fn bench(args: &[&str]) -> Done {
    let runs = match args {
        [] => 3,
        ["--runs", runs] => runs.parse().map_err(|_| format!("--runs {runs}: expected a number"))?,
        _ => return Err("usage: cargo xtask bench [--runs N]".into()),
    };
    let folder = target().join("bench");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let tools = reference_tools(&folder)?;
    let xor = block(&folder, "xor", &[".", "--large"])?;
    let xor2 = block(&folder, "xor2", &[".", "--large-xor2"])?;
    let histograms =
        |name: &str, flags: &[&str]| block(&folder, name, &[&["./cmd/histogramblock"], flags].concat());
    let integer = histograms("histogram", &[])?;
    let float = histograms("float_histogram", &["-float"])?;
    let custom = histograms("custom_histogram", &["-custom"])?;
    cargo(&["build", "--release", "--package", "promblock"])?;
    let promblock = target().join("release/promblock");

    for (name, block) in [
        ("decode_xor", &xor),
        ("decode_xor2", &xor2),
        ("decode_histogram", &integer),
        ("decode_histogram", &float),
        ("decode_histogram", &custom),
    ] {
        let reference = format!("{:.2}", go_iterators(&tools, block, runs)?);
        let (block, flag) = (block.to_string_lossy().into_owned(), "--reference-ns");
        cargo(&[
            "bench",
            "--package",
            "benches",
            "--bench",
            name,
            "--",
            "--block",
            &block,
            flag,
            &reference,
        ])?;
    }
    cargo(&["bench", "--package", "benches", "--bench", "write_ndjson"])?;

    let snapshot = with_wal(&folder, &xor)?;
    let dump = |program: &Path| {
        let mut command = Command::new(program);
        command.args(["tsdb", "dump"]).arg(&snapshot).stdout(Stdio::null());
        command
    };
    let reference = median(1, || measure(&mut dump(&tools.join("promtool"))))?;
    row("promtool tsdb dump", reference, None, None);
    let promtool = |bound| Some(Reference { name: "promtool", cpu_s: reference.cpu_s, bound });

    let source = xor.parent().unwrap_or(&xor).to_owned();
    let convert = |name: &str, threads: &str, flags: &[&str]| {
        let dest = folder.join("out").join(name);
        let mut command = Command::new(&promblock);
        command
            .arg("convert")
            .arg(&source)
            .arg("--to")
            .arg(&dest)
            .args(["--threads", threads, "-q"])
            .args(flags);
        (command, dest)
    };
    let mut costs = Vec::new();
    for (name, flags, bound) in [
        ("star compact", &["--profile", "compact"][..], 0.02),
        ("star bigquery", &["--profile", "bigquery"][..], 0.035),
        ("flat compact", &["--profile", "compact", "--layout", "flat"][..], 0.023),
        ("ndjson plain", &["--format", "ndjson", "--compression", "none"][..], 0.2),
    ] {
        let mut size = 0;
        let cost = median(runs, || {
            let (mut command, dest) = convert(name, "1", flags);
            remove(&dest)?;
            let cost = measure(command.stdout(Stdio::null()));
            size = size_of(&dest.join("samples"));
            remove(&dest)?;
            cost
        })?;
        row(&format!("convert {name}"), cost, promtool(bound), Some(size));
        costs.push(cost);
    }
    if let [star, _, flat, ..] = costs.as_slice() {
        say(&format!("flat / star: {:.3} (bound 1.15)", flat.cpu_s / star.cpu_s));
    }
    let prom = median(runs, || {
        let mut command = Command::new(&promblock);
        measure(command.arg("dump").arg(&source).args(["--format", "prom"]).stdout(Stdio::null()))
    })?;
    row("dump --format prom", prom, promtool(0.08), None);
    downsampling(runs, &tools, &xor, &convert)?;
    two_threads(runs, &convert)
}

/// Windows of 5 minutes against Thanos' own downsampling of the block.
fn downsampling(runs: usize, tools: &Path, block: &Path, convert: &Convert<'_>) -> Done {
    let flags = ["--resolution", "5m", "--profile", "compact"];
    let mut thanos = f64::INFINITY;
    let mut size = 0;
    let cost = median(runs, || {
        let passes = ["-passes", "1", &block.to_string_lossy()];
        let json = output(&mut command(tools.join("thanosbench"), &passes))?;
        thanos = thanos.min(best_cpu_ns(&json)?);
        let (mut command, dest) = convert("downsampled", "1", &flags);
        remove(&dest)?;
        let cost = measure(command.stdout(Stdio::null()));
        size = size_of(&dest.join("samples_5m"));
        remove(&dest)?;
        cost
    })?;
    let reference = Reference { name: "Thanos", cpu_s: thanos * SAMPLES / 1e9, bound: 0.15 };
    row("downsample to 5 min", cost, Some(reference), Some(size));
    let (block, thanos) = (block.to_string_lossy().into_owned(), format!("{thanos:.2}"));
    let args = ["bench", "--package", "benches", "--bench", "downsample", "--", "--block", &block];
    cargo(&[&args[..], &["--reference-ns", &thanos]].concat())
}

/// Two threads against two single-thread processes side by side.
fn two_threads(runs: usize, convert: &Convert<'_>) -> Done {
    let flags = ["--profile", "compact"];
    let mut ratios = Vec::new();
    for _ in 0..runs {
        let (mut one, dest) = convert("threads", "2", &flags);
        remove(&dest)?;
        let together = measure(one.stdout(Stdio::null()))?.wall_s;
        remove(&dest)?;
        let mut children = Vec::new();
        let begun = Instant::now();
        for name in ["first", "second"] {
            let (mut command, dest) = convert(name, "1", &flags);
            remove(&dest)?;
            children.push((command.stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?, dest));
        }
        for (mut child, dest) in children {
            child.wait().map_err(|error| error.to_string())?;
            remove(&dest)?;
        }
        // Two processes do twice the work of the one with two threads.
        ratios.push(begun.elapsed().as_secs_f64() / 2.0 / together);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
    say(&format!("two threads / two processes, throughput: {median:.2} (bound 0.9)"));
    Ok(())
}

fn row(name: &str, cost: Cost, reference: Option<Reference>, size: Option<u64>) {
    let ns = cost.cpu_s * 1e9 / SAMPLES;
    let mut line =
        format!("{name:<24} {ns:8.1} ns CPU per sample, peak {:5.0} MiB anonymous", cost.peak_anon_mib);
    if let Some(Reference { name, cpu_s, bound }) = reference {
        line.push_str(&format!(", {:.4} × {name} (bound {bound})", cost.cpu_s / cpu_s));
    }
    if let Some(size) = size {
        #[expect(clippy::cast_precision_loss, reason = "sizes of files are far below 2^52")]
        let per_sample = size as f64 / SAMPLES;
        line.push_str(&format!(", {per_sample:.2} bytes per sample"));
    }
    say(&line);
}

/// Builds promtool and the timers of the reference's iterators and of Thanos from the pinned modules.
fn reference_tools(folder: &Path) -> Done<PathBuf> {
    let tools = folder.join("reference");
    for (name, package) in
        [("promtool", "github.com/prometheus/prometheus/cmd/promtool"), ("refbench", "./cmd/refbench")]
    {
        let path = tools.join(name);
        if !path.exists() {
            go(&["build", "-o", &path.to_string_lossy(), package])?;
        }
    }
    let thanosbench = tools.join("thanosbench");
    if !thanosbench.exists() {
        let thanosbench = std::path::absolute(&thanosbench).map_err(|error| error.to_string())?;
        // Thanos pins another version of Prometheus, so that its timer is in a module of its own.
        go(&["build", "-C", "thanos", "-o", &thanosbench.to_string_lossy(), "./cmd/thanosbench"])?;
    }
    Ok(tools)
}

/// A benchmark block that the program and flags of `made_by` write, made when it is not there yet.
fn block(folder: &Path, name: &str, made_by: &[&str]) -> Done<PathBuf> {
    let parent = folder.join(name);
    fs::create_dir_all(&parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    let first = |parent: &Path| {
        let mut entries = fs::read_dir(parent).ok()?;
        entries
            .find_map(|entry| entry.ok().map(|entry| entry.path()).filter(|path| path.join("index").exists()))
    };
    if first(&parent).is_none() {
        go(&[&["run"], made_by, &[parent.to_string_lossy().as_ref()]].concat())?;
    }
    first(&parent).ok_or_else(|| format!("no block in {}", parent.display()))
}

/// promtool wants a data directory with a `wal` folder.
fn with_wal(folder: &Path, block: &Path) -> Done<PathBuf> {
    let data = folder.join("data");
    let copy = data.join(block.file_name().unwrap_or_default());
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(data.join("wal"))?;
        fs::create_dir_all(&copy)?;
        for file in ["meta.json", "index", "chunks"] {
            if !copy.join(file).exists() {
                std::os::unix::fs::symlink(block.join(file), copy.join(file))?;
            }
        }
        Ok(())
    };
    make().map_err(|error| format!("{}: {error}", data.display()))?;
    Ok(data)
}

/// CPU per sample of the reference's iterators: the best run, which is what they can do.
fn go_iterators(tools: &Path, block: &Path, runs: usize) -> Done<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let json = output(&mut command(tools.join("refbench"), &[&block.to_string_lossy()]))?;
        best = best.min(best_cpu_ns(&json)?);
    }
    Ok(best)
}

/// What the reference's timers print.
fn best_cpu_ns(json: &str) -> Done<f64> {
    let ns = json.split("\"best_cpu_ns_per_sample\":").nth(1).and_then(|rest| {
        rest.trim_start().split(|c: char| c != '.' && !c.is_ascii_digit()).next()?.parse::<f64>().ok()
    });
    ns.ok_or_else(|| format!("the timer printed {json}"))
}

fn median(runs: usize, mut measure: impl FnMut() -> Done<Cost>) -> Done<Cost> {
    let mut costs = Vec::new();
    for _ in 0..runs.max(1) {
        costs.push(measure()?);
    }
    costs.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    costs.get(costs.len() / 2).copied().ok_or_else(|| "no runs".into())
}

/// Runs `command` to its end.
fn measure(command: &mut Command) -> Done<Cost> {
    let before = children_cpu_s();
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib: f64 = 0.0;
    let exit = loop {
        if let Some(exit) = child.try_wait().map_err(|error| error.to_string())? {
            break exit;
        }
        peak_kib = peak_kib.max(anon_kib(&status).unwrap_or_default());
        sleep(Duration::from_millis(10));
    };
    if !exit.success() {
        return Err(format!("{command:?}: {exit}"));
    }
    let wall_s = begun.elapsed().as_secs_f64();
    Ok(Cost { cpu_s: children_cpu_s() - before, wall_s, peak_anon_mib: peak_kib / 1024.0 })
}

fn anon_kib(status: &Path) -> Option<f64> {
    let status = fs::read_to_string(status).ok()?;
    status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?.split_whitespace().next()?.parse().ok()
}

/// User and system time of all children that have ended.
fn children_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn remove(folder: &Path) -> Done {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}
