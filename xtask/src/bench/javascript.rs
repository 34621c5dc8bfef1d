//! The npm package beside the official SDK: in Node and in Chromium, with the same bytes. The programs are those of
//! `peers/javascript`; peers/README.md says what they take and print.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespace::{JAVASCRIPT, Namespace};
use super::peers::{Measured, run};
use super::rows::{grouped, median, ratio, scaled};
use super::{Log, Options};
use crate::failure::Failure;
use crate::process::flush;
use crate::table::Table;
use crate::workspace::Workspace;
use crate::{package, prepare};

const FOLDER: &str = "peers/javascript";
const SIZE: usize = 1024;
// Partitions of the hub: written by everyone; read by everyone; a few events; events at a rate.
const WRITTEN: &str = "0";
const READ: &str = "1";
const FEW: &str = "2";
const PACED: &str = "3";
/// How many events lie ready to be read: little enough to be kept, enough for the fastest.
const READABLE: usize = 600_000;
/// What fills a partition to where old events make room for new ones.
const FILL: usize = 1_000_000;
/// Fresh processes and pages, of which the median counts.
const STARTS: usize = 5;
/// Events a second that a page has to take without being held up, and for how long.
const RATE: usize = 50_000;
const SECONDS: usize = 10;
/// No task of the page's main thread may take longer.
const LONGEST_MILLIS: f64 = 50.0;

/// Where a program runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Node,
    Chromium,
}

/// Whose code it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Raw,
    Ours,
    Official,
}

/// A program, how it is started and what it is expected to do.
struct Contender {
    name: &'static str,
    place: Place,
    whose: Whose,
    transport: &'static str,
    /// As the programs call it.
    case: &'static str,
    /// Events before the clock starts, and events that are measured: some seconds of work each.
    events: (usize, usize),
}

const fn contender(
    name: &'static str,
    place: Place,
    whose: Whose,
    transport: &'static str,
    case: &'static str,
    events: (usize, usize),
) -> Contender {
    Contender { name, place, whose, transport, case, events }
}

use Place::{Chromium, Node};
use Whose::{Official, Ours, Raw};

const SENDING: [Contender; 9] = [
    contender("Node: raw `ws`, 64 KiB", Node, Raw, "ws", "send", (200_000, 1_000_000)),
    contender("Node: eventhubs, batches", Node, Ours, "ws", "send", (100_000, 600_000)),
    contender("Node: eventhubs, send(list)", Node, Ours, "ws", "list", (100_000, 600_000)),
    contender("Node: official, tcp", Node, Official, "tcp", "send", (20_000, 120_000)),
    contender("Node: official, ws", Node, Official, "ws", "send", (20_000, 100_000)),
    contender("Chromium: raw, 64 KiB", Chromium, Raw, "ws", "send", (200_000, 600_000)),
    contender("Chromium: eventhubs, batches", Chromium, Ours, "ws", "send", (50_000, 400_000)),
    contender("Chromium: eventhubs, send(list)", Chromium, Ours, "ws", "list", (50_000, 400_000)),
    contender("Chromium: official, ws", Chromium, Official, "ws", "send", (10_000, 50_000)),
];

const RECEIVING: [Contender; 9] = [
    contender("Node: raw `ws`, 64 KiB", Node, Raw, "ws", "receive", (200_000, 1_000_000)),
    contender("Node: eventhubs, batches", Node, Ours, "ws", "receive", (100_000, 480_000)),
    contender("Node: eventhubs, one by one", Node, Ours, "ws", "each", (100_000, 480_000)),
    contender("Node: official, tcp", Node, Official, "tcp", "receive", (20_000, 100_000)),
    contender("Node: official, ws", Node, Official, "ws", "receive", (20_000, 100_000)),
    contender("Chromium: raw, 64 KiB", Chromium, Raw, "ws", "receive", (200_000, 600_000)),
    contender("Chromium: eventhubs, batches", Chromium, Ours, "ws", "receive", (50_000, 300_000)),
    contender("Chromium: eventhubs, one by one", Chromium, Ours, "ws", "each", (50_000, 300_000)),
    contender("Chromium: official, ws", Chromium, Official, "ws", "receive", (10_000, 50_000)),
];

const STARTING: [Contender; 5] = [
    contender("Node: eventhubs", Node, Ours, "ws", "first", (0, 1)),
    contender("Node: official, tcp", Node, Official, "tcp", "first", (0, 1)),
    contender("Node: official, ws", Node, Official, "ws", "first", (0, 1)),
    contender("Chromium: eventhubs", Chromium, Ours, "ws", "first", (0, 1)),
    contender("Chromium: official, ws", Chromium, Official, "ws", "first", (0, 1)),
];

/// What it takes to run the programs.
pub struct Programs {
    node: PathBuf,
    folder: PathBuf,
    chromium: PathBuf,
}

/// A contender and the median of its runs.
struct Row<'a> {
    contender: &'a Contender,
    outcome: Result<Measured, Failure>,
}

/// Builds the package and installs it beside the official SDK.
pub fn prepare(workspace: &Workspace) -> Result<Programs, Failure> {
    let chromium = prepare::browser(workspace)?.chromium;
    let folder = package::install(workspace, FOLDER)?;
    Ok(Programs { node: prepare::system_node()?, folder, chromium })
}

/// All tables. What could not be measured is added to `log`.
pub fn measure(
    programs: &Programs,
    namespace: &Namespace,
    options: &Options,
    log: &mut Log,
) -> Result<(), Failure> {
    let fill = |partition: &str, count: usize| {
        let count = count.to_string();
        let mut command = programs.command("node", namespace, partition);
        run(command.args(["--case", "list", "--count", &count])).map(|_| ())
    };
    fill(WRITTEN, scaled(options, FILL))?;
    fill(READ, scaled(options, READABLE))?;
    fill(FEW, 100)?;

    let one = |contender: &Contender, partition: &str| {
        let (warmup, count) = contender.events;
        let mut command = programs.command(contender.program(), namespace, partition);
        command.args(contender.arguments());
        command.args(["--warmup", &scaled(options, warmup).to_string()]);
        run(command.args(["--count", &scaled(options, count).to_string()]))
    };
    for (title, contenders, partition) in
        [("batched send, 1024 B", &SENDING, WRITTEN), ("receive, 1024 B", &RECEIVING, READ)]
    {
        let rows = rounds(contenders, options.runs, |contender| one(contender, partition));
        throughput(title, &rows);
        keep(title, &rows, log);
    }
    let title = "import to first event";
    let starts = if options.quick { 1 } else { STARTS };
    let rows = rounds(&STARTING, starts, |contender| one(contender, FEW));
    starting(title, &rows);
    keep(title, &rows, log);

    let title = "50 000 events/s into a page";
    let paced = [
        contender("Chromium: eventhubs", Chromium, Ours, "ws", "", (0, RATE * SECONDS)),
        contender("Chromium: official, ws", Chromium, Official, "ws", "", (0, RATE * SECONDS)),
    ];
    let rows = rounds(&paced, 1, |contender| {
        let seconds = if options.quick { 3 } else { SECONDS };
        let mut command = programs.command("smooth", namespace, PACED);
        command.args(contender.arguments());
        run(command.args(["--rate", &RATE.to_string(), "--seconds", &seconds.to_string()]))
    });
    smoothness(title, &rows);
    keep(title, &rows, log);
    Ok(())
}

impl Programs {
    fn command(&self, program: &str, namespace: &Namespace, partition: &str) -> Command {
        let mut command = Command::new(&self.node);
        command.arg(self.script(program)).env("CHROMIUM", &self.chromium);
        command.args(["--connection-string", namespace.connection_string()]);
        command.args(["--hub", JAVASCRIPT, "--partition", partition, "--size", &SIZE.to_string()]);
        command
    }

    fn script(&self, program: &str) -> PathBuf {
        Path::new(&self.folder).join(format!("{program}.mjs"))
    }
}

impl Contender {
    fn program(&self) -> &'static str {
        match (self.whose, self.place) {
            (Raw, Node) => "raw",
            (_, Node) => "node",
            (_, Chromium) => "chromium",
        }
    }

    fn arguments(&self) -> [&'static str; 6] {
        let sdk = match self.whose {
            Raw => "raw",
            Ours => "ours",
            Official => "official",
        };
        ["--sdk", sdk, "--transport", self.transport, "--case", self.case]
    }
}

/// Everyone once, then everyone again: what disturbs the machine for a while disturbs all of them.
fn rounds<'a>(
    contenders: &'a [Contender],
    runs: usize,
    one: impl Fn(&Contender) -> Result<Measured, Failure>,
) -> Vec<Row<'a>> {
    let mut all: Vec<Vec<Result<Measured, Failure>>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (contender, outcomes) in contenders.iter().zip(&mut all) {
            eprint!("\r  {} … {:<40}", contender.name, "");
            outcomes.push(one(contender));
        }
    }
    eprint!("\r{:<76}\r", "");
    contenders
        .iter()
        .zip(all)
        .map(|(contender, outcomes)| Row { contender, outcome: median(outcomes) })
        .collect()
}

fn throughput(title: &str, rows: &[Row<'_>]) {
    let mut table = Table::new([title, "events/s", "MB/s", "of raw", "× official", "goal"]);
    for row in rows {
        let Contender { name, whose, place, .. } = *row.contender;
        let Ok(measured) = &row.outcome else {
            table.row([name, "–", "", "", "", ""].map(str::to_owned));
            continue;
        };
        let rate = measured.rate();
        let (raw, official) = (best(rows, Raw, place), best(rows, Official, place));
        let goal = match (whose, place) {
            // The other ways to say the same are there to be looked at.
            (Ours, _) if matches!(row.contender.case, "list" | "each") => String::new(),
            (Ours, Node) => of_both(judged(rate, official, 4.0), judged(rate, raw, 0.2)),
            (Ours, Chromium) => judged(rate, official, 3.0),
            _ => String::new(),
        };
        table.row([
            name.to_owned(),
            grouped(rate),
            format!("{:.1}", rate * SIZE as f64 / 1e6),
            ratio(rate, raw),
            ratio(rate, official),
            goal,
        ]);
    }
    println!("\n{table}");
    flush();
}

fn starting(title: &str, rows: &[Row<'_>]) {
    let mut table = Table::new([title, "ms", "of official", "goal"]);
    for row in rows {
        let Contender { name, whose, place, .. } = *row.contender;
        let Ok(measured) = &row.outcome else {
            table.row([name, "–", "", ""].map(str::to_owned));
            continue;
        };
        // The rate of starts: the official's best is its shortest.
        let official = best(rows, Official, place).map(|rate| 1.0 / rate);
        let goal = match whose {
            Ours => judged(measured.rate(), best(rows, Official, place), 1.0).replace("≥ 1 ×", "no slower"),
            _ => String::new(),
        };
        table.row([
            name.to_owned(),
            format!("{:.0}", measured.seconds * 1e3),
            ratio(measured.seconds, official),
            goal,
        ]);
    }
    println!("\n{table}");
    flush();
}

fn smoothness(title: &str, rows: &[Row<'_>]) {
    let heading = [
        title,
        "arrived/s",
        "longest task, ms",
        "on the core",
        "> 50 ms",
        "p99 task, ms",
        "thread busy",
        "goal",
    ];
    let mut table = Table::new(heading);
    for row in rows {
        let name = row.contender.name;
        let Ok(measured) = &row.outcome else {
            table.row([name, "–", "", "", "", "", "", ""].map(str::to_owned));
            continue;
        };
        let number = |name: &str| measured.line[name].as_f64().unwrap_or(f64::NAN);
        let longest = number("longestMillis");
        // Held up by nothing is easy where little arrives.
        let arrives = measured.rate() >= 0.98 * RATE as f64;
        let goal = match (row.contender.whose, longest <= LONGEST_MILLIS && arrives) {
            (Ours, true) => "reached: ≤ 50 ms",
            (Ours, false) if !arrives => "missed: not all arrive",
            (Ours, false) => "missed: ≤ 50 ms",
            _ => "",
        };
        table.row([
            name.to_owned(),
            grouped(measured.rate()),
            format!("{longest:.1}"),
            format!("{:.1}", number("longestRunMillis")),
            format!("{:.0}", number("over50")),
            format!("{:.1}", number("p99Millis")),
            format!("{:.0} %", 100.0 * number("busy")),
            goal.to_owned(),
        ]);
    }
    println!("\n{table}");
    flush();
}

/// The best rate of those of a kind.
fn best(rows: &[Row<'_>], whose: Whose, place: Place) -> Option<f64> {
    let of_kind = |row: &&Row<'_>| row.contender.whose == whose && row.contender.place == place;
    let rates = rows.iter().filter(of_kind).filter_map(|row| row.outcome.as_ref().ok().map(Measured::rate));
    rates.reduce(f64::max)
}

fn judged(rate: f64, base: Option<f64>, goal: f64) -> String {
    match base {
        Some(base) if rate / base >= goal => format!("reached: ≥ {goal} ×"),
        Some(_) => format!("missed: ≥ {goal} ×"),
        None => "nothing to compare with".to_owned(),
    }
}

/// The official's, unless the raw limit's is the one that is missed.
fn of_both(official: String, raw: String) -> String {
    if official.starts_with("reached") && !raw.starts_with("reached") {
        format!("{raw} raw")
    } else {
        official
    }
}

fn keep(title: &str, rows: &[Row<'_>], log: &mut Log) {
    for row in rows {
        match &row.outcome {
            Ok(measured) => log.measured(title, row.contender.name, &measured.line),
            Err(failure) => log.failed(title, row.contender.name, failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(contender: &Contender, rate: f64) -> Row<'_> {
        Row { contender, outcome: Ok(Measured { events: rate, seconds: 1.0, line: json!({}) }) }
    }

    #[test]
    fn the_best_of_a_kind_and_place_is_what_is_compared_with() {
        let rows: Vec<_> = SENDING
            .iter()
            .zip([9.0, 8.0, 7.0, 3.0, 2.0, 10.0, 6.0, 5.0, 1.0])
            .map(|(c, r)| row(c, r))
            .collect();
        assert_eq!(best(&rows, Official, Node), Some(3.0));
        assert_eq!(best(&rows, Official, Chromium), Some(1.0));
        assert_eq!(best(&rows[..5], Official, Chromium), None);
    }

    #[test]
    fn a_goal_is_reached_or_missed() {
        assert_eq!(judged(8.0, Some(2.0), 4.0), "reached: ≥ 4 ×");
        assert_eq!(judged(7.9, Some(2.0), 4.0), "missed: ≥ 4 ×");
        assert_eq!(of_both(judged(8.0, Some(2.0), 4.0), judged(1.0, Some(10.0), 0.2)), "missed: ≥ 0.2 × raw");
    }

    #[test]
    fn what_is_read_lies_ready() {
        assert!(RECEIVING.iter().all(|c| c.whose == Raw || c.events.0 + c.events.1 < READABLE));
    }
}
