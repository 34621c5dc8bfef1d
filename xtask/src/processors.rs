//! Processors in processes of their own, killed, stopped, paused and cut off from the store at random.

use std::ffi::OsString;
use std::process::Command;

use lexopt::prelude::*;

use crate::failure::Failure;
use crate::prepare;
use crate::process::{cargo, visible};
use crate::report::Counts;
use crate::workspace::Workspace;

const HELP: &str = "\
Usage: cargo xtask processors [--minutes N | --seconds N] [--members N] [--partitions N] [--seed N]

  --minutes N     for how long (default 10)
  --members N     how many processes (default 8)
  --partitions N  of the hub (default 32)
  --seed N        decides what is done to whom (default 1)

Against an emulator process and Azurite, each member with a line of its own to the storage. Every event has to be processed; again only
what was not checkpointed; no partition may wait longer than the expiry (10 s) and a cycle (2 s).
";

struct Plan {
    seconds: u64,
    members: u64,
    partitions: u64,
    seed: u64,
}

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let mut plan = Plan { seconds: 600, members: 8, partitions: 32, seed: 1 };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("minutes") => plan.seconds = parser.value()?.parse::<u64>()? * 60,
            Long("seconds") => plan.seconds = parser.value()?.parse()?,
            Long("members") => plan.members = parser.value()?.parse()?,
            Long("partitions") => plan.partitions = parser.value()?.parse()?,
            Long("seed") => plan.seed = parser.value()?.parse()?,
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(Failure::new(format!("{}\n\n{HELP}", other.unexpected()))),
        }
    }
    play(workspace, &plan)
}

/// The short form: some kills, pauses and cuts.
pub fn test(workspace: &Workspace) -> Result<Counts, Failure> {
    play(workspace, &Plan { seconds: 25, members: 4, partitions: 8, seed: 3 })?;
    Ok(Counts { passed: 1, ..Counts::default() })
}

fn play(workspace: &Workspace, plan: &Plan) -> Result<(), Failure> {
    let emulator = prepare::binary(workspace, "debug")?;
    let node = prepare::system_node()?;
    let azurite = prepare::packages(workspace, "tests/interop/stores")?;
    let azurite = azurite.join("node_modules/azurite/dist/src/blob/main.js");
    let mut build = cargo(workspace);
    build.args(["build", "--quiet", "--all-features"]);
    for name in ["processor_member", "processor_control"] {
        build.args(["--example", name]);
    }
    visible(build.env("CARGO_TARGET_DIR", workspace.target()))?;
    let example = |name: &str| {
        workspace.target().join("debug/examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    };
    let mut control = Command::new(example("processor_control"));
    control.arg("--emulator").arg(emulator).arg("--node").arg(node).arg("--azurite").arg(azurite);
    control.arg("--member").arg(example("processor_member"));
    for (name, value) in [
        ("--seconds", plan.seconds),
        ("--members", plan.members),
        ("--partitions", plan.partitions),
        ("--seed", plan.seed),
    ] {
        control.args([name, &value.to_string()]);
    }
    visible(&mut control)
}
