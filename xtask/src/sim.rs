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
const GROUP_SEEDS: u64 = 400;
const LARGE_GROUP_SEEDS: u64 = 4;
const HELP: &str = "\
Usage: cargo xtask sim [--seeds N] [--from S]
       cargo xtask sim --seed S [--trace]
       cargo xtask sim --group [--seeds N] [--from S] [--seed S] [--members N] [--partitions N]
       cargo xtask sim --mutations [--seeds N]

  --seeds N     how many seeds (default 10000)
  --from S      the first of them (default 0)
  --seed S      this one only
  --trace       tell everything that happens, with the virtual time
  --group       groups of processors instead: members start, die, sleep and are cut off from the store
  --members N   how many at first (default 100)
  --partitions N  of the hub (default 1024)
  --mutations   break the code on purpose, in each of several ways, and say after how many seeds that is noticed
";

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let (mut seeds, mut from, mut seed, mut is_traced, mut mutates) = (None, 0, None, false, false);
    let mut more: Vec<OsString> = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seeds") => seeds = Some(parser.value()?.parse()?),
            Long("from") => from = parser.value()?.parse()?,
            Long("seed") => seed = Some(parser.value()?.parse::<u64>()?),
            Long("trace") => is_traced = true,
            Long("mutations") => mutates = true,
            Long("group") => more.push("--group".into()),
            Long("members") => more.extend(["--members".into(), parser.value()?]),
            Long("partitions") => more.extend(["--partitions".into(), parser.value()?]),
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if mutates {
        return mutations::run(workspace, seeds.unwrap_or(SEEDS));
    }
    let program = build(workspace.root(), workspace.target())?;
    match seed {
        Some(seed) => {
            let mut command = Command::new(program);
            command.args(["--seed", &seed.to_string()]).args(&more);
            if is_traced {
                command.arg("--trace");
            }
            visible(&mut command)
        }
        None => live(&program, from, seeds.unwrap_or(if more.is_empty() { SEEDS } else { 1_000 }), &more),
    }
}

/// What `cargo xtask test sim` does.
pub fn test(workspace: &Workspace) -> Result<Counts, Failure> {
    let counts =
        counted(cargo(workspace).args(["test", "--profile", "sim", "--package", "eventhubs-simulation"]))?;
    live(&build(workspace.root(), workspace.target())?, 0, SEEDS, &[])?;
    Ok(Counts { passed: counts.passed + SEEDS, ..counts })
}

/// What `cargo xtask test sim` does about groups of processors: small ones, and two large ones.
pub fn test_groups(workspace: &Workspace) -> Result<Counts, Failure> {
    let program = build(workspace.root(), workspace.target())?;
    let small: Vec<OsString> =
        ["--group", "--members", "10", "--partitions", "64"].map(OsString::from).into();
    live(&program, 0, GROUP_SEEDS, &small)?;
    live(&program, 0, LARGE_GROUP_SEEDS, &["--group".into()])?;
    Ok(Counts { passed: GROUP_SEEDS + LARGE_GROUP_SEEDS, ..Counts::default() })
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
fn live(program: &Path, from: u64, seeds: u64, more: &[OsString]) -> Result<(), Failure> {
    let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut lives: Vec<(Command, Child)> = Vec::new();
    for core in 0..cores.min(seeds) {
        let mut command = Command::new(program);
        command.args(more);
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
