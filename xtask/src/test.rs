//! All that CI runs, or a part of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::prepare;
use crate::process::{cargo, counted};
use crate::report::{Counts, Report};
use crate::workspace::Workspace;
use crate::{console, demo, fuzz, lint, outage, package, processors, sim, size, wasm};

/// The parts in the order in which they run: what is quick and likely to fail comes first.
const PARTS: [&str; 11] =
    ["lint", "unit", "sim", "behaviour", "wasm", "package", "compat", "interop", "console", "fuzz", "demo"];

/// Test files that another part runs.
const NOT_BEHAVIOUR: [&str; 4] = ["layers", "fuzz", "interop", "secrets"];

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let asked: Vec<String> =
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    if let Some(unknown) = asked.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(Failure::new(format!(
            "there is no test part '{unknown}'; there are: {}",
            PARTS.join(", ")
        )));
    }
    let mut report = Report::default();
    for part in PARTS {
        if asked.is_empty() || asked.iter().any(|name| name == part) {
            match part {
                "lint" => lint::steps(workspace, &mut report),
                "unit" => unit(workspace, &mut report),
                "sim" => {
                    report.step("sim: 10 000 simulated lives of clients and a service", || {
                        sim::test(workspace)
                    });
                    report.step("sim: 404 simulated lives of groups of processors", || {
                        sim::test_groups(workspace)
                    });
                }
                "behaviour" => behaviour(workspace, &mut report),
                "wasm" => wasm::steps(workspace, &mut report),
                "package" => package(workspace, &mut report),
                "compat" => compat(workspace, &mut report),
                "interop" => interop(workspace, &mut report),
                "console" => report.step("console: the page in Chromium, against real emulators", || {
                    console::test(workspace)
                }),
                "fuzz" => {
                    report.step("fuzz: random and mutated input, in process", || fuzz::smoke(workspace))
                }
                _ => report.step("demo: 231 083 flight records over ws://, natively and in Node", || {
                    demo::test(workspace)
                }),
            }
        }
    }
    report.close()
}

fn unit(workspace: &Workspace, report: &mut Report) {
    report.step("unit: library, binaries, benches, examples", || {
        let mut tests = cargo(workspace);
        tests.args([
            "test",
            "--workspace",
            "--exclude",
            "eventhubs-simulation",
            "--all-features",
            "--lib",
            "--bins",
            "--examples",
            "--benches",
        ]);
        counted(&mut tests)
    });
    report.step("unit: documentation examples", || {
        counted(cargo(workspace).args(["test", "--all-features", "--doc"]))
    });
}

fn behaviour(workspace: &Workspace, report: &mut Report) {
    report.step("behaviour: the public API against its own emulator", || {
        let names = test_files(workspace, &NOT_BEHAVIOUR)?;
        if names.is_empty() {
            return Err(Failure::new("there are no behaviour tests under tests/"));
        }
        let mut tests = cargo(workspace);
        // All of them in spite of one that fails: one run shows everything that is wrong.
        tests.args(["test", "--all-features", "--no-fail-fast"]);
        for name in names {
            tests.args(["--test", &name]);
        }
        counted(&mut tests)
    });
    report.step("behaviour: no key, signature or token is ever seen", || {
        // Among all features is one that compiles the logs out.
        counted(cargo(workspace).args(["test", "--features", "cli", "--test", "secrets"]))
    });
}

fn package(workspace: &Workspace, report: &mut Report) {
    report.step("package: what it weighs in a page", || {
        size::run(workspace, Vec::new())?;
        Ok(Counts { passed: 1, ..Counts::default() })
    });
    report.step("package: the facade in Node, against the emulator inside the process", || {
        let built = package::build(workspace)?;
        // Storage for the store in blobs, and the official store that shares a group with it.
        let stores = prepare::packages(workspace, "tests/interop/stores")?;
        let mut tests = Command::new(prepare::system_node()?);
        tests.current_dir(workspace.root()).args(["--test", "--test-reporter", "spec"]);
        tests.args(node_tests(&workspace.root().join("pkg-template/test"))?);
        counted(tests.env("EVENTHUBS_PACKAGE", built.folder).env("EVENTHUBS_STORES", stores))
    });
    report.step("package: the tarball in Node, Deno, Bun, bundlers, workers and type checkers", || {
        let built = package::build(workspace)?;
        let browser = prepare::browser(workspace)?;
        let binary = prepare::binary(workspace, "debug")?;
        let folder = prepare::packages(workspace, "tests/package")?;
        let mut tests = Command::new(prepare::system_node()?);
        tests.args(["--test", "--test-reporter", "spec"]).args(node_tests(&folder)?);
        tests.current_dir(folder);
        tests.env("EVENTHUBS_BIN", binary).env("EVENTHUBS_TARBALL", built.tarball);
        counted(tests.env("CHROMIUM", browser.chromium))
    });
    report.step("package: the emulator killed under our clients, natively and in Node", || {
        outage::test(workspace)
    });
}

fn compat(workspace: &Workspace, report: &mut Report) {
    report.step("compat: programs and types of @azure/event-hubs with only the import changed", || {
        let built = package::build(workspace)?;
        let binary = prepare::binary(workspace, "debug")?;
        let folder = prepare::packages(workspace, "tests/compat")?;
        let mut tests = Command::new(prepare::system_node()?);
        tests.args(["--test", "--test-reporter", "spec"]).args(node_tests(&folder)?);
        tests.current_dir(folder);
        counted(tests.env("EVENTHUBS_BIN", binary).env("EVENTHUBS_PACKAGE", built.folder))
    });
}

fn interop(workspace: &Workspace, report: &mut Report) {
    let interop = workspace.root().join("tests/interop");
    report.step("interop: official Python SDK", || {
        let python = prepare::python(workspace)?;
        let mut pytest = Command::new(python);
        pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/interop/python"]);
        counted(peers(workspace, &mut pytest)?)
    });
    report.step("interop: official JavaScript SDK", || {
        let node = prepare::node(workspace)?;
        let mut tests = Command::new(node);
        tests.args(["--test", "--test-reporter", "spec"]).args(node_tests(&interop.join("js"))?);
        counted(peers(workspace, &mut tests)?)
    });
    report.step("interop: our client and the other engines", || {
        let mut tests = cargo(workspace);
        tests.args(["test", "--all-features", "--test", "interop"]);
        counted(peers(workspace, &mut tests)?)
    });
    report.step("interop: a group of processors on Azurite, killed, paused and cut off", || {
        processors::test(workspace)
    });
}

/// What the interop tests find in their environment.
fn peers<'a>(workspace: &Workspace, command: &'a mut Command) -> Result<&'a mut Command, Failure> {
    let binary = prepare::binary(workspace, "debug")?;
    let python = prepare::python(workspace)?;
    let node = prepare::node(workspace)?;
    command
        .current_dir(workspace.root())
        .env("EVENTHUBS_INTEROP", "1")
        .env("EVENTHUBS_BIN", binary)
        .env("EVENTHUBS_PYTHON", python)
        .env("EVENTHUBS_NODE", node)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// The files of a folder that Node's test runner runs.
fn node_tests(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", folder.display())))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    Ok(files)
}

/// The integration tests under `tests/`, less some.
fn test_files(workspace: &Workspace, except: &[&str]) -> Result<Vec<String>, Failure> {
    let entries = std::fs::read_dir(workspace.root().join("tests"))
        .map_err(|error| Failure::new(format!("cannot read tests/: {error}")))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file()
        })
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .filter(|name| !except.contains(&name.as_str()))
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_named_in_the_help_exist() {
        assert!(crate::HELP.contains(&PARTS.join(" ")));
    }
}
