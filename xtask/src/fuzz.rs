//! Feeding anything to everything that parses: with libFuzzer where it builds, in process everywhere.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::failure::Failure;
use crate::prepare;
use crate::process::{answer, cargo, counted, visible};
use crate::report::{Counts, Report};
use crate::workspace::Workspace;

const CARGO_FUZZ: &str = "0.13.2";
/// The entry points of fuzz/src/targets.rs.
const TARGETS: [&str; 9] = [
    "engine_client",
    "engine_server",
    "message",
    "publication",
    "request",
    "connection_string",
    "selector",
    "sas",
    "address",
];
const HELP: &str = "\
Usage: cargo xtask fuzz [target] [--seconds N] [--in-process]

  --seconds N    how long each target is fed (default 60)
  --in-process   random and mutated input without libFuzzer, as in `cargo xtask test fuzz`
";

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let mut seconds: u64 = 60;
    let mut in_process = false;
    let mut targets: Vec<String> = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => seconds = parser.value()?.parse()?,
            Long("in-process") => in_process = true,
            Short('h') | Long("help") => {
                print!("{HELP}\nTargets: {}\n", TARGETS.join(" "));
                return Ok(());
            }
            Value(name) => targets.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(unknown) = targets.iter().find(|name| !TARGETS.contains(&name.as_str())) {
        return Err(Failure::new(format!(
            "there is no fuzz target '{unknown}'; there are: {}",
            TARGETS.join(", ")
        )));
    }
    let names: Vec<&str> = match targets.is_empty() {
        true => TARGETS.to_vec(),
        false => targets.iter().map(String::as_str).collect(),
    };

    let mut report = Report::default();
    if in_process || answer("c++", &["--version"]).is_none() {
        if !in_process {
            println!(
                "libFuzzer needs a C++ compiler, and there is none; feeding the same entry points in process."
            );
        }
        report.step("fuzz: in process", || in_process_run(workspace, &names, seconds));
        return report.close();
    }
    let corpus = workspace.target().join("fuzz");
    report.step("fuzz: seeds", || {
        // The seeds are made by the code that the smoke test uses, so that there is one list of them.
        counted(
            cargo(workspace)
                .args([
                    "test",
                    "--quiet",
                    "--all-features",
                    "--test",
                    "fuzz",
                    "--",
                    "--exact",
                    "seeds_are_written_out",
                ])
                .env("EVENTHUBS_FUZZ_SEEDS", corpus.join("seeds")),
        )
    });
    for name in names {
        report.step(&format!("fuzz: {name}"), || {
            let tool = prepare::tool(workspace, "cargo-fuzz", CARGO_FUZZ)?;
            let found = corpus.join("corpus").join(name);
            std::fs::create_dir_all(&found)
                .map_err(|error| Failure::new(format!("cannot make {}: {error}", found.display())))?;
            let mut fuzz = std::process::Command::new(tool);
            // Without a sanitizer it builds on stable; the crate has no unsafe code for one to watch.
            fuzz.current_dir(workspace.root()).args([
                "fuzz",
                "run",
                "--sanitizer",
                "none",
                "--debug-assertions",
                "--target-dir",
            ]);
            fuzz.arg(corpus.join("build")).arg(name);
            fuzz.arg(found).arg(corpus.join("seeds").join(name));
            fuzz.args(["--", "-rss_limit_mb=4096", "-timeout=10"]);
            fuzz.arg(format!("-max_total_time={seconds}"));
            visible(&mut fuzz)?;
            Ok(Counts { passed: 1, ..Counts::default() })
        });
    }
    report.close()
}

/// A short run in process, as part of the tests.
pub fn smoke(workspace: &Workspace) -> Result<Counts, Failure> {
    counted(cargo(workspace).args(["test", "--all-features", "--test", "fuzz"]))
}

fn in_process_run(workspace: &Workspace, names: &[&str], seconds: u64) -> Result<Counts, Failure> {
    let mut tests = cargo(workspace);
    tests.args(["test", "--release", "--all-features", "--test", "fuzz", "--"]).args(names);
    counted(tests.env("EVENTHUBS_FUZZ_SECONDS", seconds.to_string()))
}
