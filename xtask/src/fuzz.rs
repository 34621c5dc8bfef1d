//! Feeding anything to everything that parses: with libFuzzer where it builds, in process everywhere.

mod corpus;
mod libfuzzer;

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::failure::Failure;
use crate::process::{answer, cargo, counted};
use crate::report::{Counts, Report};
use crate::table::Table;
use crate::workspace::Workspace;
use libfuzzer::{Bound, Outcome};

/// The entry points of fuzz/src/targets.
const TARGETS: [&str; 20] = [
    "connection_string",
    "selector",
    "sas",
    "address",
    "config_file",
    "rest_events",
    "hub_description",
    "fault",
    "stored_log",
    "journal",
    "message",
    "publication",
    "received",
    "request",
    "reply",
    "engine_client",
    "engine_server",
    "engine_split",
    "broker",
    "socket",
];
const HELP: &str = "\
Usage: cargo xtask fuzz [--target NAME ...] [--seconds N | --runs N] [--keep] [--in-process]

  --target NAME  only this one (may be repeated)
  --seconds N    how long each target is fed (default 60)
  --runs N       how often each target is fed, instead
  --keep         afterwards put what is worth keeping of the inputs into fuzz/corpus
  --in-process   random and mutated input without libFuzzer, as in `cargo xtask test fuzz`

An input that makes a target fail is written to target/fuzz/findings/<target>/. It goes to fuzz/regressions/<target>/,
which every test run feeds again, together with what fixes it.
";

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let mut bound = Bound::Seconds(60);
    let mut in_process = false;
    let mut keep = false;
    let mut targets: Vec<String> = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => bound = Bound::Seconds(parser.value()?.parse()?),
            Long("runs") => bound = Bound::Runs(parser.value()?.parse()?),
            Long("keep") => keep = true,
            Long("in-process") => in_process = true,
            Short('h') | Long("help") => {
                print!("{HELP}\nTargets: {}\n", TARGETS.join(" "));
                return Ok(());
            }
            Long("target") => targets.push(parser.value()?.string()?),
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
        let Bound::Seconds(seconds) = bound else {
            return Err(Failure::new("--runs needs libFuzzer; say --seconds instead"));
        };
        report.step("fuzz: in process", || in_process_run(workspace, &names, seconds));
        return report.close();
    }
    report.step("fuzz: seeds", || corpus::write_seeds(workspace));
    report.step("fuzz: programs", || libfuzzer::build(workspace, &names));
    let mut outcomes = Vec::new();
    for name in names {
        report.step(&format!("fuzz: {name}"), || {
            let outcome = libfuzzer::run(workspace, name, bound)?;
            let failure = outcome.failure(name);
            if keep && failure.is_none() {
                corpus::keep(workspace, name)?;
            }
            outcomes.push((name, outcome));
            failure.map_or(Ok(Counts { passed: 1, ..Counts::default() }), Err)
        });
    }
    println!("\n{}", summary(&outcomes));
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

fn summary(outcomes: &[(&str, Outcome)]) -> Table {
    let mut table =
        Table::new(["target", "executions", "exec/s", "coverage", "features", "corpus", "peak", "findings"]);
    for (name, outcome) in outcomes {
        table.row([
            (*name).to_owned(),
            outcome.executions.to_string(),
            outcome.per_second.to_string(),
            outcome.coverage.to_string(),
            outcome.features.to_string(),
            outcome.corpus.clone(),
            format!("{} MB", outcome.peak_mb),
            outcome.findings.len().to_string(),
        ]);
    }
    table
}
