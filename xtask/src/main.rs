//! `cargo xtask <verb>`: everything that a developer or CI runs, from a fresh clone.
//!
//! Needs Rust, Python and Node on the machine and installs the rest under `target/`.

mod bench;
mod console;
mod demo;
mod doctor;
mod emulator;
mod failure;
mod fuzz;
mod imports;
mod lint;
mod outage;
mod outcomes;
mod package;
mod prepare;
mod process;
mod processors;
mod report;
mod sim;
mod size;
mod soak;
mod table;
mod test;
mod wasm;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use failure::Failure;
use workspace::Workspace;

const HELP: &str = "\
Usage: cargo xtask <verb>

  demo [options]        publish 231 083 flight records to an emulator, read them back, check every one,
                        natively and through the npm package in Node; with --open, serve the console afterwards
  emulator [options]    build and run the emulator (the same options as `eventhubs emulator`)
  test [part ...]       all that CI runs; or only some of:
                        lint unit sim behaviour wasm package compat interop console fuzz demo
  lint                  formatting, clippy, documentation, layers, and licences where cargo-deny is installed
  package [--quick]     the npm package: target/package/eventhubs/ and a tarball of it; quick: without wasm-opt
  console               the console (www), built into target/console, where the emulator finds it
  size [--why]          what the package weighs in a page, beside the official SDK; fails above the limit
  bench [options]       measure against one emulator process, beside raw WebSockets and the official SDKs
  fuzz [--target NAME]  feed anything to everything that parses (--seconds 60 or --runs N)
  sim [--seeds N]       live through seeds: clients, a service and their faults in one thread, under virtual time
                        (--seed S --trace replays one; --mutations breaks the code to see that it is noticed)
  soak [--minutes N]    publish and read for long with faults on: ledger, memory, open files, a plot (--node: in Node)
  outcomes [place ...]  what comes of each fault under a send and under a receiver, as a table; places: native node chromium
  outage [options]      kill the emulator and start it again under clients, ours and the official SDKs; who lost what
  processors [options]  a group of processors in processes that are killed, paused and cut off from the store; what came of it
  doctor                what is missing on this machine, and how to get it

`cargo xtask bench --help`, `cargo xtask fuzz --help` and `cargo xtask outage --help` say more.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next().unwrap_or_else(|| OsString::from("help"));
    let rest: Vec<OsString> = arguments.collect();
    match run(&verb.to_string_lossy(), rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &str, rest: Vec<OsString>) -> Result<(), Failure> {
    let workspace = Workspace::locate()?;
    match verb {
        "demo" => demo::run(&workspace, rest),
        "emulator" => emulator::emulator(&workspace, rest),
        "test" => test::run(&workspace, rest),
        "lint" => lint::run(&workspace, rest),
        "package" => package::run(&workspace, rest),
        "console" => console::run(&workspace, rest),
        "size" => size::run(&workspace, rest),
        "bench" => bench::run(&workspace, rest),
        "fuzz" => fuzz::run(&workspace, rest),
        "sim" => sim::run(&workspace, rest),
        "soak" => soak::run(&workspace, rest),
        "outage" => outage::run(&workspace, rest),
        "processors" => processors::run(&workspace, rest),
        "outcomes" => outcomes::run(&workspace, rest),
        "doctor" => doctor::run(&workspace),
        "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(Failure::new(format!("there is no verb '{other}'.\n\n{HELP}"))),
    }
}
