//! Simulated lives of clients and a service: as many seeds as asked for, on every core.

mod mutations;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;

use lexopt::prelude::*;

use crate::failure::Failure;
use crate::process::{cannot_start, cargo, counted, succeeded, visible};
use crate::report::Counts;
use crate::workspace::Workspace;

/// What CI lives through.
const SEEDS: u64 = 10_000;
const HELP: &str = "\
Usage: cargo xtask sim [--seeds N] [--from S]
       cargo xtask sim --seed S [--trace]
       cargo xtask sim --mutations [--seeds N]

  --seeds N     how many seeds (default 10000)
  --from S      the first of them (default 0)
  --seed S      this one only
  --trace       tell everything that happens, with the virtual time
  --mutations   break the code on purpose, in each of several ways, and say after how many seeds that is noticed
";

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let (mut seeds, mut from, mut seed, mut is_traced, mut mutates) = (SEEDS, 0, None, false, false);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seeds") => seeds = parser.value()?.parse()?,
            Long("from") => from = parser.value()?.parse()?,
            Long("seed") => seed = Some(parser.value()?.parse::<u64>()?),
            Long("trace") => is_traced = true,
            Long("mutations") => mutates = true,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if mutates {
        return mutations::run(workspace, seeds);
    }
    let program = build(workspace.root(), workspace.target())?;
    match seed {
        Some(seed) => {
            let mut command = Command::new(program);
            command.args(["--seed", &seed.to_string()]);
            if is_traced {
                command.arg("--trace");
            }
            visible(&mut command)
        }
        None => live(&program, from, seeds),
    }
}

/// What `cargo xtask test sim` does.
pub fn test(workspace: &Workspace) -> Result<Counts, Failure> {
    let counts =
        counted(cargo(workspace).args(["test", "--profile", "sim", "--package", "eventhubs-simulation"]))?;
    live(&build(workspace.root(), workspace.target())?, 0, SEEDS)?;
    Ok(Counts { passed: counts.passed + SEEDS, ..counts })
}

/// Builds the program that lives through seeds.
fn build(root: &Path, target: &Path) -> Result<PathBuf, Failure> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(root).args([
        "build",
        "--quiet",
        "--profile",
        "sim",
        "--package",
        "eventhubs-simulation",
    ]);
    visible(build.env("CARGO_TARGET_DIR", target))?;
    Ok(target.join("sim").join(format!("simulate{}", std::env::consts::EXE_SUFFIX)))
}

/// Seeds in as many processes as there are cores: each is one thread, so that its memory can be counted.
fn live(program: &Path, from: u64, seeds: u64) -> Result<(), Failure> {
    let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut lives: Vec<(Command, Child)> = Vec::new();
    for core in 0..cores.min(seeds) {
        let mut command = Command::new(program);
        // Every so many-th seed each, so that all are done at about the same time.
        let share = (seeds - core).div_ceil(cores);
        command.args(["--from", &(from + core).to_string(), "--step", &cores.to_string()]);
        command.args(["--seeds", &share.to_string()]).stdin(Stdio::null());
        let child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
        lives.push((command, child));
    }
    let mut outcome = Ok(());
    for (command, mut child) in lives {
        let status = child.wait().map_err(|error| cannot_start(&command, &error))?;
        outcome = outcome.and(succeeded(&command, status));
    }
    outcome
}
