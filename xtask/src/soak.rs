//! Running for a long time with faults on: a ledger of every event, and what the processes hold meanwhile.

mod faults;
mod plot;
mod sample;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use serde_json::Value as Json;

use crate::emulator::Running;
use crate::failure::Failure;
use crate::process::{cannot_start, flush, visible};
use crate::workspace::Workspace;
use crate::{package, prepare};
use faults::Faults;
use sample::{Row, slope};

const HELP: &str = "\
Usage: cargo xtask soak [--minutes N] [--node [--package DIR]] [--no-faults]

  --minutes N    how long it runs (default 5)
  --node         through the npm package in Node, instead of natively
  --package DIR  a package that was built before, such as target/package/eventhubs
  --no-build     with the programs as they were built before
  --no-faults    nothing goes wrong on purpose

Publishes and reads over real sockets, against an emulator in a process of its own in which things go wrong every few
seconds. Writes target/soak/<native|node>.csv and .svg, and fails when the ledger does not balance or memory grows.
";

/// How often the processes are looked at.
const EACH: Duration = Duration::from_secs(2);
/// How often something goes wrong.
const FAULT_EACH: Duration = Duration::from_secs(7);
/// What the last two thirds of a run may grow by in total, in KiB, and still count as flat: the noise of an allocator.
const FLAT_KIB: f64 = 8.0 * 1024.0;
/// From how many minutes on growth can be told from noise.
const MEANINGFUL_MINUTES: u64 = 5;
/// What the emulator may hold; it must be full soon, so that what grows behind that is a leak.
const RETENTION: &str = "8M";

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let (mut minutes, mut node, mut builds, mut faulty) = (5_u64, false, true, true);
    let mut built: Option<PathBuf> = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("minutes") => minutes = parser.value()?.parse()?,
            Long("node") => node = true,
            Long("package") => built = Some(parser.value()?.into()),
            Long("no-build") => builds = false,
            Long("no-faults") => faulty = false,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if !Path::new("/proc/self/status").exists() {
        return Err(Failure::new(
            "soak reads what processes hold from /proc, which this system does not have",
        ));
    }
    let name = if node { "node" } else { "native" };
    // Both at once, whichever is needed: one after the other they would be built twice, since examples bring more along.
    let mut build = crate::process::cargo(workspace);
    build.args(["build", "--release", "--features", "cli", "--bin", "eventhubs", "--example", "soak"]);
    if builds {
        visible(&mut build)?;
    }
    let mut client = match node {
        true => {
            let folder = match &built {
                Some(built) => package::install_built(workspace, built, "examples/node")?,
                None => package::install(workspace, "examples/node")?,
            };
            let mut node = Command::new(prepare::system_node()?);
            node.arg(folder.join("soak.mjs"));
            node
        }
        false => Command::new(workspace.target().join("release/examples/soak")),
    };
    let binary = workspace.binary("release");
    let options = ["--one-port", "--no-tls", "--hub", "soak:4", "--retention-size", RETENTION];
    let emulator = Running::start(&binary, &options)?;
    let connection_string = format!("{}EntityPath=soak", emulator.connection_string);
    client.arg((minutes * 60).to_string()).env("EVENTHUB_CONNECTION_STRING", &connection_string);
    println!("soaking for {minutes} minutes ({name})");
    flush();

    let rows = watch(&mut client, &emulator, faulty)?;
    let home = workspace.target().join("soak");
    fs::create_dir_all(&home).map_err(|error| cannot_write(&home, &error))?;
    write_csv(&home.join(format!("{name}.csv")), &rows.rows)?;
    plot::draw(&home.join(format!("{name}.svg")), name, &rows.rows)?;
    conclude(name, minutes, &rows)
}

/// What came of a run.
struct Outcome {
    rows: Vec<Row>,
    verdict: Json,
    faults: Vec<(&'static str, u64)>,
    succeeded: bool,
}

/// Runs the client to its end; looks at it and at the emulator, and breaks things, meanwhile.
fn watch(client: &mut Command, emulator: &Running, faulty: bool) -> Result<Outcome, Failure> {
    client.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = client.spawn().map_err(|error| cannot_start(client, &error))?;
    let said = Arc::new(Mutex::new(Json::Null));
    let output = process.stdout.take();
    let listener = {
        let said = said.clone();
        std::thread::spawn(move || {
            let Some(output) = output else { return };
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(now) = serde_json::from_str(&line) {
                    *said.lock().unwrap_or_else(PoisonError::into_inner) = now;
                }
            }
        })
    };
    let started = Instant::now();
    let mut faults = Faults::of(&emulator.connection_string)?;
    let (mut rows, mut fault_at, mut told) = (Vec::new(), FAULT_EACH, Instant::now());
    let status = loop {
        if let Some(status) = process.try_wait().map_err(|error| cannot_start(client, &error))? {
            break status;
        }
        std::thread::sleep(EACH);
        let now = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let row = Row::look(started.elapsed(), process.id(), emulator.id(), &now, rows.last());
        if row.is_alive() && told.elapsed() > Duration::from_secs(20) {
            println!("  {row}");
            flush();
            told = Instant::now();
        }
        // Between its end and our noticing it holds nothing.
        if row.is_alive() {
            rows.push(row);
        }
        // The end of a run is quiet, so that everything can arrive.
        let is_over = now["verdict"].is_object();
        if faulty && started.elapsed() > fault_at && !is_over {
            fault_at += FAULT_EACH;
            faults.next()?;
        }
    };
    let _ = listener.join();
    let faults = faults.finish()?;
    let verdict = said.lock().unwrap_or_else(PoisonError::into_inner)["verdict"].clone();
    Ok(Outcome { rows, verdict, faults, succeeded: status.success() })
}

fn conclude(name: &str, minutes: u64, outcome: &Outcome) -> Result<(), Failure> {
    let rows = &outcome.rows;
    let tail = &rows[rows.len() / 3..];
    let span = tail.last().map_or(0.0, |last| last.seconds - tail[0].seconds) / 60.0;
    println!("\nthe last two thirds ({span:.1} min), least squares:");
    let mut grows = Vec::new();
    for (what, of, unit, is_memory) in Row::COLUMNS {
        let values: Vec<(f64, f64)> = tail.iter().map(|row| (row.seconds / 60.0, of(row))).collect();
        if values.iter().all(|(_, value)| *value == 0.0) {
            continue;
        }
        let per_minute = slope(&values);
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), (_, v)| (a.min(*v), b.max(*v)));
        println!("  {what:<24} {per_minute:>10.2} {unit}/min   between {least:.0} and {most:.0} {unit}");
        if is_memory && per_minute * span > FLAT_KIB {
            grows.push(what);
        }
    }
    let faults: Vec<String> = outcome.faults.iter().map(|(kind, count)| format!("{kind} ×{count}")).collect();
    println!("faults: {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") });
    println!("ledger: {}", outcome.verdict);
    println!("target/soak/{name}.csv, target/soak/{name}.svg");
    if !outcome.succeeded || outcome.verdict["good"] != Json::Bool(true) {
        return Err(Failure::new("the ledger does not balance"));
    }
    if minutes >= MEANINGFUL_MINUTES && !grows.is_empty() {
        return Err(Failure::new(format!("it grows: {}", grows.join(", "))));
    }
    Ok(())
}

fn write_csv(path: &Path, rows: &[Row]) -> Result<(), Failure> {
    let mut text = String::from("seconds");
    for (what, _, unit, _) in Row::COLUMNS {
        text.push_str(&format!(",{what} ({unit})"));
    }
    text.push('\n');
    for row in rows {
        text.push_str(&format!("{:.1}", row.seconds));
        for (_, of, _, _) in Row::COLUMNS {
            text.push_str(&format!(",{:.1}", of(row)));
        }
        text.push('\n');
    }
    let mut file = fs::File::create(path).map_err(|error| cannot_write(path, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}
