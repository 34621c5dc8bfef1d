//! `cargo xtask demo`: the flight records there and back, natively and through the npm package in Node.

use std::ffi::OsString;
use std::process::Command;

use crate::emulator::{Running, become_program};
use crate::failure::Failure;
use crate::process::{cannot_start, followed, succeeded, visible};
use crate::report::Counts;
use crate::workspace::Workspace;
use crate::{console, package, prepare};

/// Where the program for Node is.
const EXAMPLE: &str = "examples/node";
/// The native demo's options that the one in Node has, too.
const SHARED: [&str; 3] = ["--event-hub", "--flights", "--count"];
/// How the one in Node is told where to connect: what is printed as run has no key in it.
const CONNECTION_STRING: &str = "EVENTHUB_CONNECTION_STRING";

/// `eventhubs demo --flights <the records> …`, and the same through WebAssembly.
pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let arguments: Vec<String> =
        arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let has = |names: &[&str]| arguments.iter().any(|argument| names.contains(&argument.as_str()));
    let mut native = native(workspace)?;
    native.args(&arguments);
    if has(&["-h", "--help"]) {
        return become_program(&mut native);
    }
    if has(&["--open"]) {
        console::build(workspace)?;
        in_node(workspace, &arguments, visible)?;
        // What it published is what the console shows, until Ctrl-C.
        return become_program(&mut native);
    }
    // Not printed as it is run: a connection string has a key in it.
    let status = native.status().map_err(|error| cannot_start(&native, &error))?;
    if !status.success() {
        return Err(Failure::new(format!("`eventhubs demo` failed ({status})")));
    }
    in_node(workspace, &arguments, visible)
}

/// Both, and that both saw the same bytes: two tests.
pub fn test(workspace: &Workspace) -> Result<Counts, Failure> {
    let native = digest(&mut native(workspace)?)?;
    let one = Counts { passed: 1, ..Counts::default() };
    let wasm = in_node(workspace, &[], digest).map_err(|failure| failure.with_counts(one))?;
    if native != wasm {
        let why = format!("natively all bodies have the digest {native}, in Node {wasm}");
        return Err(Failure::new(why).with_counts(one));
    }
    Ok(Counts { passed: 2, ..Counts::default() })
}

/// The native demo with its data fetched and its binary built.
fn native(workspace: &Workspace) -> Result<Command, Failure> {
    let flights = prepare::flights(workspace)?;
    let mut command = Command::new(prepare::binary(workspace, "release")?);
    // Publishing to an account happens when it is asked for, not because a variable is set.
    command.arg("demo").arg("--flights").arg(flights).env_remove(CONNECTION_STRING);
    Ok(command)
}

/// The demo in Node, against an emulator of its own unless the arguments name a namespace.
fn in_node<R>(
    workspace: &Workspace,
    arguments: &[String],
    run: impl FnOnce(&mut Command) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let example = package::install(workspace, EXAMPLE)?;
    let mut command = Command::new(prepare::system_node()?);
    command.arg(example.join("flights.mjs")).arg("--flights").arg(prepare::flights(workspace)?);
    for (name, value) in values(arguments, &SHARED) {
        command.arg(format!("{name}={value}"));
    }
    if let Some((_, namespace)) = values(arguments, &["--connection-string"]).last() {
        return run(command.env(CONNECTION_STRING, namespace));
    }
    let partitions = values(arguments, &["--partitions"]).last().map_or("4", |(_, value)| value);
    let hub = format!("flights:{partitions}");
    let emulator = Running::start(&workspace.binary("release"), &["--one-port", "--no-tls", "--hub", &hub])?;
    command.args(["--alone", "--event-hub", "flights"]);
    run(command.env(CONNECTION_STRING, &emulator.connection_string))
}

/// Runs a demo and returns the digest of all bodies that it printed.
fn digest(command: &mut Command) -> Result<String, Failure> {
    let (digest, status) = followed(command, |digest: &mut String, line| {
        if let Some(found) = line.trim().strip_prefix("SHA-256 of all bodies: ") {
            found.clone_into(digest);
        }
    })?;
    succeeded(command, status)?;
    match digest.as_str() {
        "" => Err(Failure::new("the demo printed no digest of what came back")),
        _ => Ok(digest),
    }
}

/// The options with these names, given as `--name value` or `--name=value`; `-n` is `--count`.
fn values<'a>(arguments: &'a [String], names: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    arguments.iter().enumerate().filter_map(move |(index, argument)| {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, value),
            None => (argument.as_str(), arguments.get(index + 1)?.as_str()),
        };
        let name = if name == "-n" { "--count" } else { name };
        names.contains(&name).then_some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_in_both_spellings() {
        let arguments =
            ["--event-hub=a", "--open", "-n", "5", "--transport", "tcp", "--count", "6"].map(str::to_owned);
        let found: Vec<_> = values(&arguments, &SHARED).collect();
        assert_eq!(found, [("--event-hub", "a"), ("--count", "5"), ("--count", "6")]);
        assert_eq!(values(&arguments, &["--partitions"]).count(), 0);
    }
}
