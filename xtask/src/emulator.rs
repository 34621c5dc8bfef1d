//! The binary's own verbs, built and run in one go.

use std::ffi::OsString;
use std::process::Command;

use crate::console;
use crate::failure::Failure;
use crate::prepare;
use crate::process::cannot_start;
use crate::workspace::Workspace;

/// `cargo xtask emulator …` is `eventhubs emulator …`.
pub fn emulator(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let binary = prepare::binary(workspace, "release")?;
    become_program(Command::new(binary).arg("emulator").args(arguments))
}

/// `cargo xtask demo …` is `eventhubs demo --flights <the records> …`.
pub fn demo(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    if arguments.iter().any(|argument| argument == "--open") {
        console::build(workspace)?;
    }
    let mut command = demo_command(workspace)?;
    become_program(command.args(arguments))
}

/// The demo with its data fetched and its binary built.
pub fn demo_command(workspace: &Workspace) -> Result<Command, Failure> {
    let flights = prepare::flights(workspace)?;
    let mut command = Command::new(prepare::binary(workspace, "release")?);
    // Publishing to an account happens when it is asked for, not because a variable is set.
    command.arg("demo").arg("--flights").arg(flights).env_remove("EVENTHUB_CONNECTION_STRING");
    Ok(command)
}

/// Ctrl-C, `kill` and the exit status then belong to the program itself.
#[cfg(unix)]
fn become_program(command: &mut Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(cannot_start(command, &error))
}

#[cfg(not(unix))]
fn become_program(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    crate::process::succeeded(command, status)
}
