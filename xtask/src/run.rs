//! Running other programs, and saying so.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Result of a chore: the message says what to do.
pub type Done<T = ()> = Result<T, String>;

/// Prints a line for the person who waits.
#[expect(clippy::print_stderr, reason = "chores talk to people; their output is on stderr, as cargo's is")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command in the root of the repository.
pub fn command(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Runs `command`, whose output goes where ours goes.
pub fn run(command: &mut Command) -> Done {
    let line = format!("{command:?}").replace('"', "");
    say(&format!("\n$ {line}"));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{line}: {status}")),
        Err(error) => Err(format!("{line}: {error}; is the program installed?")),
    }
}

/// Runs cargo.
pub fn cargo(args: &[&str]) -> Done {
    run(&mut command(env!("CARGO"), args))
}

/// Runs `command`, returns what it prints.
pub fn output(command: &mut Command) -> Done<String> {
    let line = format!("{command:?}").replace('"', "");
    let output = command.output().map_err(|error| format!("{line}: {error}; is the program installed?"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{line}: {}\n{stderr}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A Python with the readers that outputs are checked with, in a virtual environment below `target`.
pub fn python() -> Done<PathBuf> {
    let venv = target().join("venv");
    let python = venv.join("bin/python");
    let requirements = root().join("cli/tests/readers/requirements.txt");
    let wanted =
        std::fs::read_to_string(&requirements).map_err(|error| format!("{requirements:?}: {error}"))?;
    let installed = venv.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let venv = venv.to_string_lossy().into_owned();
    run(&mut command("python3", &["-m", "venv", &venv]))
        .map_err(|error| format!("{error} (Debian and Ubuntu: apt-get install python3-venv)"))?;
    let requirements = requirements.to_string_lossy().into_owned();
    run(&mut command(&python, &["-m", "pip", "install", "--quiet", "--requirement", &requirements]))?;
    std::fs::write(&installed, wanted).map_err(|error| format!("{installed:?}: {error}"))?;
    Ok(python)
}

/// Azurite, the Azure store that tests run, below `target`.
pub fn azurite() -> Done {
    let folder = target().join("azurite");
    let installed = folder.join("package.json");
    let package = root().join("teststores/azurite/package.json");
    let wanted = std::fs::read_to_string(&package).map_err(|error| format!("{package:?}: {error}"))?;
    let done = folder.join("installed.txt");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{folder:?}: {error}"))?;
    std::fs::write(&installed, &wanted).map_err(|error| format!("{installed:?}: {error}"))?;
    let mut npm =
        command("npm", &["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    run(npm.current_dir(&folder))
        .map_err(|error| format!("{error} (Debian and Ubuntu: apt-get install npm)"))?;
    std::fs::write(&done, wanted).map_err(|error| format!("{done:?}: {error}"))
}
