//! What the steps need besides Rust: installed under `target/`, once, from pinned lists.

mod browser;
mod wasm;

pub use browser::{Browser, INSTALL_BROWSER, browser, find_browser};
pub use wasm::{
    INSTALL_TARGET, find_wasm_bindgen, find_wasm_pack, find_wasm_target, rust_sources, wasm_bindgen,
    wasm_pack, wasm_target,
};

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::process::{answer, cargo, quiet, shown, visible};
use crate::workspace::Workspace;

/// The oldest Python that the pinned packages install on.
pub const PYTHON: (u32, u32) = (3, 9);
/// The oldest Node that the tools run on which build the console: Vite's `engines`.
pub const NODE: (u32, u32) = (20, 19);
/// The package with the demo's data. 1.31 is the last one that has the flights' airports beside the
/// 231 083 records of `flights-200k.json`; from 3.0 on it has other records under that name.
const VEGA_DATASETS: &str = "vega-datasets@1.31.1";

pub const INSTALL_PYTHON: &str = "on Debian: apt-get install python3 python3-venv";
pub const INSTALL_NODE: &str =
    "on Debian: apt-get install nodejs npm (version 20.19 or later, or from nodejs.org)";

/// The Python of the environment with the packages that the interop tests need.
pub fn python(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let requirements = workspace.root().join("tests/interop/python/requirements.txt");
    let wanted = read(&requirements)?;
    let home = workspace.target().join("interop/venv");
    let python = if cfg!(windows) { home.join("Scripts/python.exe") } else { home.join("bin/python") };
    let stamp = home.join("installed-requirements.txt");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let system = system_python()?;
    quiet(
        workspace,
        "Making a Python environment",
        Command::new(system).args(["-m", "venv", "--clear"]).arg(&home),
    )
    .map_err(|failure| {
        Failure::new(format!("{failure}. Python's venv module may be missing: {INSTALL_PYTHON}"))
    })?;
    quiet(
        workspace,
        "Installing Python packages",
        Command::new(&python)
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r"])
            .arg(&requirements),
    )?;
    write(&stamp, &wanted)?;
    Ok(python)
}

/// Node, with the packages that the JavaScript interop tests need.
pub fn node(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let node = system_node()?;
    packages(workspace, "tests/interop/js")?;
    packages(workspace, "tests/interop/stores")?;
    Ok(node)
}

/// What the package-lock.json of a folder of the checkout names, installed beside it.
pub fn packages(workspace: &Workspace, folder: &str) -> Result<PathBuf, Failure> {
    let name = folder;
    let folder = workspace.root().join(folder);
    let wanted = read(&folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules/.installed-lock.json");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let mut npm = npm()?;
    npm.current_dir(&folder).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    quiet(workspace, &format!("Installing the npm packages of {name}"), &mut npm)?;
    write(&stamp, &wanted)?;
    Ok(folder)
}

/// The folder with the demo's flight records.
pub fn flights(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let home = workspace.target().join("demo");
    let data = home.join("node_modules/vega-datasets/data");
    let stamp = home.join("installed.txt");
    if data.join("flights-200k.json").is_file()
        && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == VEGA_DATASETS)
    {
        return Ok(data);
    }
    create(&home)?;
    write(&home.join("package.json"), "{ \"private\": true }\n")?;
    let mut npm = npm()?;
    npm.current_dir(&home).args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"]);
    quiet(workspace, "Fetching the flight records (npm package vega-datasets)", npm.arg(VEGA_DATASETS))?;
    write(&stamp, VEGA_DATASETS)?;
    Ok(data)
}

/// The `eventhubs` binary, built in the given profile.
pub fn binary(workspace: &Workspace, profile: &str) -> Result<PathBuf, Failure> {
    let mut build = cargo(workspace);
    build.args(["build", "--features", "cli", "--bin", "eventhubs"]);
    if profile == "release" {
        build.arg("--release");
    }
    // On stderr: the first line on stdout is the program's own, and scripts read it.
    eprintln!("$ {}", shown(&build));
    let status = build.status().map_err(|error| crate::process::cannot_start(&build, &error))?;
    crate::process::succeeded(&build, status)?;
    Ok(workspace.binary(profile))
}

/// An example of the crate, built as the tests are.
pub fn example(workspace: &Workspace, name: &str) -> Result<PathBuf, Failure> {
    let mut build = cargo(workspace);
    build.args(["build", "--all-features", "--example", name]);
    visible(&mut build)?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(workspace.target().join("debug/examples").join(file))
}

/// A tool from crates.io, installed under `target/tools` at a pinned version.
pub fn tool(workspace: &Workspace, name: &str, version: &str) -> Result<PathBuf, Failure> {
    package_of_tools(workspace, name, name, version)
}

/// A tool whose package has another name than its program.
fn package_of_tools(
    workspace: &Workspace,
    package: &str,
    name: &str,
    version: &str,
) -> Result<PathBuf, Failure> {
    let home = workspace.target().join("tools");
    let program = home.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let stamp = home.join(format!("{name}.version"));
    if program.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == version) {
        return Ok(program);
    }
    let build = |lock: Option<&str>| {
        let mut install = cargo(workspace);
        install.arg("install").args(lock).args(["--version", version, "--root"]).arg(&home).arg(package);
        // The tools share what they are made of, and run for seconds: they need not be made as fast as can be.
        install.arg("--target-dir").arg(home.join("build"));
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
        install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
        quiet(workspace, &format!("Building {package} {version}"), &mut install)
    };
    // A version that a tool's lock file names may have been withdrawn since.
    build(Some("--locked")).or_else(|_| build(None))?;
    write(&stamp, version)?;
    Ok(program)
}

pub fn system_python() -> Result<&'static str, Failure> {
    for name in ["python3", "python"] {
        if let Some(version) = answer(name, &["--version"])
            && at_least(&version, PYTHON)
        {
            return Ok(name);
        }
    }
    Err(Failure::new(format!("Python {}.{} or later is missing: {INSTALL_PYTHON}", PYTHON.0, PYTHON.1)))
}

pub fn system_node() -> Result<PathBuf, Failure> {
    match answer("node", &["--version"]) {
        Some(version) if at_least(&version, NODE) => {
            let path = answer("node", &["-p", "process.execPath"]);
            Ok(path.map_or_else(|| PathBuf::from("node"), PathBuf::from))
        }
        Some(version) => Err(Failure::new(format!("Node is {version} and too old: {INSTALL_NODE}"))),
        None => Err(Failure::new(format!("Node is missing: {INSTALL_NODE}"))),
    }
}

pub fn npm() -> Result<Command, Failure> {
    // On Windows npm is a script that only its full name starts.
    let name = if cfg!(windows) { "npm.cmd" } else { "npm" };
    answer(name, &["--version"])
        .map(|_| Command::new(name))
        .ok_or_else(|| Failure::new(format!("npm is missing: {INSTALL_NODE}")))
}

/// Whether the first dotted number of a version line is at least `wanted`.
pub fn at_least(line: &str, wanted: (u32, u32)) -> bool {
    let Some(start) = line.find(|c: char| c.is_ascii_digit()) else { return false };
    let mut numbers =
        line[start..].split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}

fn create(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", directory.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(at_least("Python 3.11.7", (3, 9)));
        assert!(at_least("v20.20.2", (20, 0)));
        assert!(!at_least("v18.19.0", (20, 0)));
        assert!(!at_least("Python 2.7.18", (3, 9)));
        assert!(at_least("rustc 1.95.0 (59807616e 2026-04-14)", (1, 92)));
        assert!(!at_least("no number", (1, 0)));
    }
}
