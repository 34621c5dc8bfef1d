//! The emulator killed and started again under clients that work: ours, natively and in Chromium, and the official SDKs.

mod client;
mod ledger;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use serde_json::Value;

use crate::emulator::Running;
use crate::failure::Failure;
use crate::package;
use crate::prepare;
use crate::report::Counts;
use crate::workspace::Workspace;
use client::{Client, Kind};
use ledger::Ledger;

const HELP: &str = "\
Usage: cargo xtask outage [--seconds N] [--clients LIST] [--max-delay MS] [--package DIR]

  --seconds N     how long the emulator is away (default 30)
  --clients LIST  of native,node,chromium,python,sdk-js (default native,chromium,python,sdk-js)
  --max-delay MS  the longest pause between two attempts of our clients (default: theirs)
  --package DIR   the npm package, where it has been built before

Once with a data directory, once with memory only. Each client sends about 50 numbered events a second to a partition of its own and
reads them in a consumer group of its own.
";
/// How long all is well before the emulator goes away.
const BEFORE: Duration = Duration::from_secs(10);
/// And after every client works again.
const AFTER: Duration = Duration::from_secs(5);
/// A client that does not begin to work within this does not work.
const START_LIMIT: Duration = Duration::from_secs(90);
/// One that does not work again so long after the return has given up.
const RETURN_LIMIT: Duration = Duration::from_secs(150);
/// One that has not told its ledger so long after it was stopped hangs.
const END_LIMIT: Duration = Duration::from_secs(90);
const HUB: &str = "outage";

struct Plan {
    away: Duration,
    before: Duration,
    kinds: Vec<Kind>,
    /// The longest pause between two attempts of our clients, in milliseconds.
    max_delay: Option<u64>,
    package: Option<PathBuf>,
}

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let mut plan = Plan {
        away: Duration::from_secs(30),
        before: BEFORE,
        kinds: vec![Kind::Native, Kind::Chromium, Kind::Python, Kind::SdkJs],
        max_delay: None,
        package: None,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => plan.away = Duration::from_secs(parser.value()?.parse()?),
            Long("clients") => plan.kinds = Kind::list(&parser.value()?.string()?)?,
            Long("max-delay") => plan.max_delay = Some(parser.value()?.parse()?),
            Long("package") => plan.package = Some(std::path::absolute(parser.value()?).unwrap_or_default()),
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(Failure::new(format!("{}\n\n{HELP}", other.unexpected()))),
        }
    }
    play(workspace, plan).map(drop)
}

/// The short version: ours, natively and in Node.
pub fn test(workspace: &Workspace) -> Result<Counts, Failure> {
    let plan = Plan {
        away: Duration::from_secs(3),
        before: Duration::from_secs(3),
        kinds: vec![Kind::Native, Kind::Node],
        // A reader has to be back before a log that begins anew is longer than the one before was, or its position means something
        // else there, which nobody can notice.
        max_delay: Some(500),
        package: None,
    };
    play(workspace, plan)
}

/// Plays it with a data directory and without, prints what came of it, and judges our clients.
fn play(workspace: &Workspace, mut plan: Plan) -> Result<Counts, Failure> {
    if plan.package.is_none() && plan.kinds.iter().any(|kind| matches!(kind, Kind::Node | Kind::Chromium)) {
        plan.package = Some(package::build(workspace)?.folder);
    }
    let binary = prepare::binary(workspace, "debug")?;
    let mut counts = Counts::default();
    let mut wrong = Vec::new();
    for keeps in [true, false] {
        let ledgers = play_once(workspace, &binary, &plan, keeps)?;
        let kept = if keeps { "with a data directory" } else { "with memory only" };
        println!(
            "\nThe emulator killed, {} s away, {kept}\n\n{}",
            plan.away.as_secs(),
            ledger::table(&ledgers, keeps)
        );
        for ledger in ledgers.iter().filter(|ledger| ledger.kind.is_ours()) {
            match ledger.judge(keeps) {
                Ok(()) => counts.passed += 1,
                Err(why) => {
                    counts.failed += 1;
                    wrong.push(format!("{}, {kept}: {why}", ledger.kind.name()));
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(counts);
    }
    Err(Failure::new(wrong.join("; ")).with_counts(counts))
}

fn play_once(workspace: &Workspace, binary: &Path, plan: &Plan, keeps: bool) -> Result<Vec<Ledger>, Failure> {
    let data = workspace.target().join("xtask/outage-data");
    let _ = std::fs::remove_dir_all(&data);
    let mut emulator = start(binary, 0, plan.kinds.len(), keeps.then_some(&*data))?;
    let port = emulator.port;
    let mut clients = Vec::new();
    for (number, kind) in plan.kinds.iter().enumerate() {
        clients.push(Client::start(workspace, *kind, &emulator.connection_string, number, plan)?);
    }
    let begin = Instant::now();
    for client in &mut clients {
        if !client.wait_for("ready", START_LIMIT.saturating_sub(begin.elapsed())) {
            return Err(Failure::new(format!("the client {} does not work at all", client.kind.name())));
        }
    }
    println!("All clients work; the emulator is killed in {} s …", plan.before.as_secs());
    std::thread::sleep(plan.before);
    emulator.kill();
    println!("It is away for {} s …", plan.away.as_secs());
    std::thread::sleep(plan.away);
    emulator = start(binary, port, plan.kinds.len(), keeps.then_some(&*data))?;
    clients.iter_mut().for_each(|client| client.say("back"));
    println!("It is back; waiting until the clients work again …");
    let back = Instant::now();
    for client in &mut clients {
        let limit = RETURN_LIMIT.saturating_sub(back.elapsed());
        if !client.wait_for("working", limit) {
            println!("  {} does not work again within {} s", client.kind.name(), RETURN_LIMIT.as_secs());
        }
    }
    std::thread::sleep(AFTER);
    clients.iter_mut().for_each(|client| client.say("stop"));
    let end = Instant::now();
    let ledgers = clients.iter_mut().map(|client| {
        let text = client.wait_for_ledger(END_LIMIT.saturating_sub(end.elapsed()));
        Ledger { kind: client.kind, text: text.unwrap_or(Value::Null) }
    });
    let ledgers = ledgers.collect();
    drop(emulator);
    Ok(ledgers)
}

/// The emulator, with a consumer group for each client.
fn start(binary: &Path, port: u16, clients: usize, data: Option<&Path>) -> Result<Running, Failure> {
    let mut options = vec!["--one-port".to_owned(), "--hub".to_owned(), format!("{HUB}:{clients}")];
    for number in 0..clients {
        options.extend(["--consumer-group".to_owned(), format!("{HUB}/{}", client::group(number))]);
    }
    if let Some(data) = data {
        options.extend(["--data-dir".to_owned(), data.display().to_string()]);
    }
    Running::start_on(port, binary, &options.iter().map(String::as_str).collect::<Vec<_>>())
}
