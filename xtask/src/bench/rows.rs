//! What is measured, and the tables.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::namespace::{LINKS, Namespace, READ, WRITE, links_hub, resident};
use super::peers::{Measured, Peer, run};
use super::{Log, Options};
use crate::failure::Failure;
use crate::process::{cannot_start, flush};
use crate::table::Table;

/// Bytes of bodies that the fastest move in one run: some seconds of work, little enough to stay in memory.
const VOLUME: usize = 1 << 30;
/// Events that the fastest move in one run at most, so that small bodies do not take minutes.
const MOST_EVENTS: usize = 3_000_000;
const SERIAL: usize = 20_000;
const CONNECTIONS: usize = 1_000;
/// Events read in the rows about many links, over all links together.
const LINKED: usize = 256_000;
/// What a partition may hold for reading, with room for what is stored around each body; the emulator's retention
/// is a little more.
const KEPT: usize = 384 << 20;
const AROUND: usize = 400;
/// What is stored around a body at least.
const LEAST_AROUND: usize = 150;

/// A result of one peer.
struct Row<'a> {
    peer: &'a Peer,
    outcome: Result<Measured, Failure>,
}

/// Everything that was asked for, one table a row.
pub fn measure(
    peers: &[Peer],
    namespace: &Namespace,
    options: &Options,
    log: &mut Log,
) -> Result<(), Failure> {
    let asked = |row: &str| options.rows.iter().any(|name| name == row);
    let mut keep = |title: &str, rows: &[Row<'_>]| {
        for row in rows {
            match &row.outcome {
                Ok(measured) => log.measured(title, row.peer.name, &measured.line),
                Err(failure) => log.failed(title, row.peer.name, failure),
            }
        }
    };

    for (partition, &size) in options.sizes.iter().enumerate() {
        let count = scaled(options, (VOLUME / size).min(MOST_EVENTS));
        let arguments = |mode: &str, hub: &str, count: usize| {
            vec![
                ("mode", mode.to_owned()),
                ("hub", hub.to_owned()),
                ("size", size.to_string()),
                ("partition", partition.to_string()),
                ("count", count.to_string()),
            ]
        };
        if asked("send") {
            // What a namespace does all day, not its first second: once the partition has been filled a few times, what
            // arrives takes the place of what goes. Until then most of the time is the kernel's, which clears memory
            // that was never used.
            if let Some(filler) = peers.iter().find(|peer| peer.group == "ours") {
                filler.run(namespace, &arguments("send", WRITE, 4 * KEPT / (size + LEAST_AROUND)))?;
            }
            let title = format!("batched send, {size} B");
            let rows = round(peers, options, |peer| {
                peer.run(namespace, &arguments("send", WRITE, peer.count(count)))
            });
            throughput(&title, size, &rows);
            keep(&title, &rows);
        }
        if asked("receive") {
            let title = format!("receive, {size} B");
            let filler = peers
                .iter()
                .find(|peer| peer.group == "ours")
                .or_else(|| peers.iter().find(|peer| peer.group == "fe2o3"));
            let filler = filler
                .ok_or_else(|| Failure::new("receiving needs --peers ours or fe2o3 to fill the hub first"))?;
            let count = scaled(options, kept(size));
            filler.run(namespace, &arguments("send", READ, count))?;
            let rows = round(peers, options, |peer| {
                peer.run(namespace, &arguments("receive", READ, peer.count(count)))
            });
            throughput(&title, size, &rows);
            keep(&title, &rows);
        }
    }
    if asked("single") {
        let title = "single sends, pipelined, 1024 B";
        let rows = round(peers, options, |peer| {
            let count = peer.count(scaled(options, 500_000));
            peer.run(
                namespace,
                &with(&[("mode", "single"), ("hub", WRITE), ("size", "1024"), ("partition", "6")], count),
            )
        });
        throughput(title, 1024, &rows);
        keep(title, &rows);
    }
    if asked("buffered") {
        for (title, row) in buffered(peers, namespace, options) {
            keep(&title, std::slice::from_ref(&row));
        }
    }
    if asked("latency") {
        let title = "serial send, 1024 B";
        let rows = round(peers, options, |peer| {
            let count = peer.count(scaled(options, SERIAL));
            peer.run(
                namespace,
                &with(&[("mode", "latency"), ("hub", WRITE), ("size", "1024"), ("partition", "7")], count),
            )
        });
        latency(title, &rows);
        keep(title, &rows);
    }
    let ours: Vec<&Peer> = peers.iter().filter(|peer| peer.group == "ours").collect();
    if asked("links") && !ours.is_empty() {
        let rows = links(&ours, namespace, options);
        for (title, row) in &rows {
            keep(title, std::slice::from_ref(row));
        }
    }
    if asked("idle")
        && let Some(peer) = ours.first()
        && let Err(failure) = idle(peer, namespace, options)
    {
        log.failed("idle connections", peer.name, &failure);
    }
    if asked("allocations")
        && let Some(peer) = ours.first()
    {
        let outcome = allocations(peer, namespace);
        if let Err(failure) = outcome {
            log.failed("allocations", peer.name, &failure);
        }
    }
    Ok(())
}

/// Every peer once, then every peer again: what disturbs the machine for a while disturbs all of them.
fn round<'a>(
    peers: &'a [Peer],
    options: &Options,
    run: impl Fn(&Peer) -> Result<Measured, Failure>,
) -> Vec<Row<'a>> {
    let mut all: Vec<Vec<Result<Measured, Failure>>> = peers.iter().map(|_| Vec::new()).collect();
    for turn in 0..options.runs {
        for (peer, outcomes) in peers.iter().zip(&mut all) {
            if turn < peer.runs(options.runs) {
                eprint!("\r  {} … {:<40}", peer.name, "");
                outcomes.push(run(peer));
            }
        }
    }
    eprint!("\r{:<60}\r", "");
    peers.iter().zip(all).map(|(peer, outcomes)| Row { peer, outcome: median(outcomes) }).collect()
}

/// The one in the middle by rate; a failure counts when nothing succeeded.
pub(super) fn median(outcomes: Vec<Result<Measured, Failure>>) -> Result<Measured, Failure> {
    let mut failure = Failure::new("it was not run");
    let mut measured = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(one) => measured.push(one),
            Err(why) => failure = why,
        }
    }
    measured.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    let middle = measured.len() / 2;
    measured.into_iter().nth(middle).ok_or(failure)
}

fn throughput(title: &str, size: usize, rows: &[Row<'_>]) {
    let rate = |row: &Row<'_>| row.outcome.as_ref().map(Measured::rate).ok();
    let of =
        |group: &str| rows.iter().filter(|row| row.peer.group == group).filter_map(rate).fold(None, larger);
    let raw = of("raw");
    let fe2o3 = of("fe2o3");
    let official = rows.iter().filter(|row| row.peer.is_official()).filter_map(rate).fold(None, larger);
    let mut table = Table::new([title, "events/s", "MB/s", "of raw", "× fe2o3", "× best SDK"]);
    for row in rows {
        let cells = match &row.outcome {
            Ok(measured) => {
                let rate = measured.rate();
                [
                    grouped(rate),
                    format!("{:.1}", rate * size as f64 / 1e6),
                    ratio(rate, raw),
                    ratio(rate, fe2o3),
                    ratio(rate, official),
                ]
            }
            Err(_) => ["–", "", "", "", ""].map(str::to_owned),
        };
        let [events, bytes, raw, fe2o3, official] = cells;
        table.row([row.peer.name.to_owned(), events, bytes, raw, fe2o3, official]);
    }
    println!("\n{table}");
    flush();
}

fn latency(title: &str, rows: &[Row<'_>]) {
    let at = |row: &Row<'_>, name: &str| {
        row.outcome.as_ref().ok().and_then(|measured| measured.line[name].as_f64())
    };
    let raw = rows.iter().find(|row| row.peer.group == "raw").and_then(|row| at(row, "p99Micros"));
    let mut table = Table::new([title, "p50 µs", "p99 µs", "p99 of raw"]);
    for row in rows {
        let micros = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.0}"));
        let (p50, p99) = (at(row, "p50Micros"), at(row, "p99Micros"));
        table.row([
            row.peer.name.to_owned(),
            micros(p50),
            micros(p99),
            p99.map_or(String::new(), |p99| ratio(p99, raw)),
        ]);
    }
    println!("\n{table}");
    flush();
}

/// Buffered producers: ours beside the official ones, and what receipts and numbers cost ours.
fn buffered<'a>(peers: &'a [Peer], namespace: &Namespace, options: &Options) -> Vec<(String, Row<'a>)> {
    const OURS: [(&str, &str); 3] = [
        ("", "buffered"),
        (", receipts awaited", "buffered-receipts"),
        (", idempotent", "buffered-idempotent"),
    ];
    let run_of = |peer: &Peer, mode: &str| {
        let count = peer.count(scaled(options, 1_000_000));
        let arguments = [("mode", mode), ("hub", WRITE), ("size", "1024"), ("partition", "5")];
        peer.run(namespace, &with(&arguments, count))
    };
    let mut runs: Vec<(&Peer, String, &str)> = Vec::new();
    for peer in peers {
        match peer.group {
            "ours" => runs.extend(OURS.map(|(what, mode)| (peer, format!("{}{what}", peer.name), mode))),
            _ if peer.is_official() => runs.push((peer, peer.name.to_owned(), "buffered")),
            _ => {}
        }
    }
    // Every one once, then every one again, as elsewhere.
    let mut all: Vec<Vec<Result<Measured, Failure>>> = runs.iter().map(|_| Vec::new()).collect();
    for turn in 0..options.runs {
        for ((peer, name, mode), outcomes) in runs.iter().zip(&mut all) {
            if turn < peer.runs(options.runs) {
                eprint!("\r  {name} … {:<40}", "");
                outcomes.push(run_of(peer, mode));
            }
        }
    }
    eprint!("\r{:<60}\r", "");
    let rows: Vec<(String, &str, Row<'_>)> = runs
        .into_iter()
        .zip(all)
        .map(|((peer, name, mode), outcomes)| (name, mode, Row { peer, outcome: median(outcomes) }))
        .collect();
    let rate = |row: &Row<'_>| row.outcome.as_ref().map(Measured::rate).ok();
    let best = |group: &str| {
        let of_group = rows.iter().filter(|(_, _, row)| row.peer.group == group);
        of_group.filter_map(|(_, _, row)| rate(row)).fold(None, larger)
    };
    let mut table = Table::new([
        "buffered producer, 1024 B",
        "events/s",
        "of its plain",
        "× Rust SDK",
        "× Python SDK",
        "× JS SDK",
    ]);
    for (name, mode, row) in &rows {
        let Some(own) = rate(row) else {
            table.row([
                name.clone(),
                "–".to_owned(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ]);
            continue;
        };
        let plain = rows
            .iter()
            .find(|(_, other, plain)| {
                *other == "buffered" && *mode != "buffered" && std::ptr::eq(plain.peer, row.peer)
            })
            .and_then(|(_, _, plain)| rate(plain));
        table.row([
            name.clone(),
            grouped(own),
            ratio(own, plain),
            ratio(own, best("rust")),
            ratio(own, best("python")),
            ratio(own, best("js")),
        ]);
    }
    println!("\n{table}");
    flush();
    rows.into_iter().map(|(_, mode, row)| (format!("{mode}, 1024 B"), row)).collect()
}

/// The same number of events over 1, 32 and 512 links of one connection.
fn links<'a>(ours: &[&'a Peer], namespace: &Namespace, options: &Options) -> Vec<(String, Row<'a>)> {
    let mut rows = Vec::new();
    let mut table =
        Table::new(["receive over many links, 1024 B", "links", "events/s", "ns/event", "of 1 link"]);
    let total = scaled(options, LINKED);
    let mut filled = false;
    for &peer in ours {
        let mut single = None;
        for partitions in LINKS {
            let hub = links_hub(partitions);
            let links = partitions.to_string();
            let common = [("hub", hub.as_str()), ("size", "1024"), ("links", links.as_str())];
            let fill = with(&[&common[..], &[("mode", "fill")]].concat(), total);
            let read = with(&[&common[..], &[("mode", "links")]].concat(), total);
            let filling = if filled { Ok(()) } else { peer.run(namespace, &fill).map(|_| ()) };
            let outcome = filling
                .and_then(|()| median((0..options.runs).map(|_| peer.run(namespace, &read)).collect()));
            if let Ok(measured) = &outcome {
                let cost = 1e9 / measured.rate();
                let base = *single.get_or_insert(cost);
                table.row([
                    peer.name.to_owned(),
                    links.clone(),
                    grouped(measured.rate()),
                    format!("{cost:.0}"),
                    ratio(cost, Some(base)),
                ]);
            }
            rows.push((format!("receive over {partitions} links"), Row { peer, outcome }));
        }
        filled = true;
    }
    println!("\n{table}");
    rows
}

/// Resident memory of the emulator and of the client with many connections that do nothing.
fn idle(peer: &Peer, namespace: &Namespace, options: &Options) -> Result<(), Failure> {
    let count = if options.quick { CONNECTIONS / 10 } else { CONNECTIONS };
    let before = namespace.resident();
    let mut command = Command::new(peer.program());
    command.args(["--connection-string", namespace.connection_string(), "--hub", WRITE, "--mode", "idle"]);
    command.args(["--transport", "ws", "--count", &count.to_string()]);
    let mut client = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(&command, &error))?;
    // It says when all are connected, and disconnects when its input ends.
    let mut line = String::new();
    if let Some(output) = client.stdout.take() {
        let _ = BufReader::new(output).read_line(&mut line);
    }
    let (with, own) = (namespace.resident(), resident(client.id()));
    drop(client.stdin.take());
    let status = client.wait().map_err(|error| cannot_start(&command, &error))?;
    if !status.success() || line.is_empty() {
        return Err(Failure::new(format!("the client with {count} connections failed ({status})")));
    }
    let each = |bytes: u64| format!("{:.1} KiB", bytes as f64 / 1024.0 / count as f64);
    let title = format!("{count} idle connections, ws");
    let mut table = Table::new([title.as_str(), "resident", "a connection"]);
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    match (before, with, own) {
        (Some(before), Some(with), Some(own)) => {
            table.row([
                "emulator, more than before".to_owned(),
                mebibytes(with.saturating_sub(before)),
                each(with.saturating_sub(before)),
            ]);
            table.row(["client process".to_owned(), mebibytes(own), each(own)]);
        }
        _ => table.row(["this system does not tell".to_owned(), String::new(), String::new()]),
    }
    println!("\n{table}");
    flush();
    Ok(())
}

/// What receiving allocates: were a body copied, the bytes would be twice the bodies.
fn allocations(peer: &Peer, namespace: &Namespace) -> Result<(), Failure> {
    let mut table = Table::new([
        "allocations while receiving, ws",
        "events",
        "an event",
        "bytes of bodies",
        "allocated",
        "of bodies",
    ]);
    for (partition, size) in [(3, 1024), (4, 16_384)] {
        let count = (64 << 20) / size;
        let fill = [
            ("mode", "send"),
            ("hub", READ),
            ("size", &size.to_string()),
            ("partition", &partition.to_string()),
        ];
        peer.run(namespace, &with(&fill, count))?;
        let mut command = Command::new(
            peer.program().with_file_name(format!("allocations{}", std::env::consts::EXE_SUFFIX)),
        );
        command.args([
            "--connection-string",
            namespace.connection_string(),
            "--transport",
            "ws",
            "--hub",
            READ,
            "--mode",
            "receive",
        ]);
        command.args([
            "--partition",
            &partition.to_string(),
            "--size",
            &size.to_string(),
            "--count",
            &count.to_string(),
        ]);
        let measured = run(&mut command)?;
        let number = |name: &str| measured.line[name].as_f64().unwrap_or(f64::NAN);
        let bodies = measured.events * size as f64;
        table.row([
            format!("{size} B"),
            grouped(measured.events),
            format!("{:.2}", number("allocations") / measured.events),
            grouped(bodies),
            grouped(number("allocatedBytes")),
            format!("{:.2}", number("allocatedBytes") / bodies),
        ]);
    }
    println!("\n{table}");
    Ok(())
}

fn with(arguments: &[(&'static str, &str)], count: usize) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = arguments.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    all.push(("count", count.to_string()));
    all
}

pub(super) fn scaled(options: &Options, count: usize) -> usize {
    if options.quick { (count / 10).max(1) } else { count }
}

/// How many events of a size can be read.
fn kept(size: usize) -> usize {
    (KEPT / (size + AROUND)).min(MOST_EVENTS)
}

fn larger(best: Option<f64>, rate: f64) -> Option<f64> {
    Some(best.map_or(rate, |best: f64| best.max(rate)))
}

pub(super) fn ratio(rate: f64, base: Option<f64>) -> String {
    base.map_or(String::new(), |base| match rate / base {
        ratio if ratio >= 10.0 => format!("{ratio:.0}"),
        ratio if ratio >= 0.1 => format!("{ratio:.2}"),
        ratio => format!("{ratio:.3}"),
    })
}

/// A whole number with its thousands set apart.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn measured(seconds: f64) -> Result<Measured, Failure> {
        Ok(Measured { events: 10.0, seconds, line: json!({}) })
    }

    #[test]
    fn the_median_is_the_one_in_the_middle_and_failures_do_not_count() {
        let outcomes = vec![measured(1.0), Err(Failure::new("once")), measured(3.0), measured(2.0)];
        assert_eq!(median(outcomes).map(|one| one.seconds).ok(), Some(2.0));
        assert!(median(vec![Err(Failure::new("always"))]).is_err());
    }

    #[test]
    fn ratios_keep_what_tells_them_apart() {
        assert_eq!(ratio(35.0, Some(100.0)), "0.35");
        assert_eq!(ratio(1.0, Some(100.0)), "0.010");
        assert_eq!(ratio(120.0, Some(10.0)), "12");
        assert_eq!(ratio(1.0, None), "");
        assert_eq!(grouped(1234567.8), "1 234 568");
    }
}
