//! What processes hold, and whether it grows.

use std::fmt;
use std::fs;
use std::time::Duration;

use serde_json::Value as Json;

/// One look.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub seconds: f64,
    client_kib: f64,
    emulator_kib: f64,
    client_files: f64,
    emulator_files: f64,
    /// Events a second, since the last look.
    sent: f64,
    received: f64,
    /// Tokio's tasks; in Node what keeps it running.
    tasks: f64,
    wasm_kib: f64,
    heap_kib: f64,
    handles: f64,
    connected: f64,
    total_sent: f64,
    total_received: f64,
}

/// What it is called, the value, its unit, whether it is memory.
pub type Column = (&'static str, fn(&Row) -> f64, &'static str, bool);

impl Row {
    pub const COLUMNS: [Column; 11] = [
        ("client RSS", |row| row.client_kib, "KiB", true),
        ("emulator RSS", |row| row.emulator_kib, "KiB", true),
        ("wasm memory", |row| row.wasm_kib, "KiB", true),
        ("JavaScript heap", |row| row.heap_kib, "KiB", true),
        ("client's open files", |row| row.client_files, "", false),
        ("emulator's open files", |row| row.emulator_files, "", false),
        ("tasks", |row| row.tasks, "", false),
        ("handles", |row| row.handles, "", false),
        ("sent", |row| row.sent, "events/s", false),
        ("received", |row| row.received, "events/s", false),
        ("connections made", |row| row.connected, "", false),
    ];

    /// Looks at both processes; `said` is what the client last said about itself.
    pub fn look(since: Duration, client: u32, emulator: u32, said: &Json, before: Option<&Row>) -> Self {
        let seconds = since.as_secs_f64();
        let number = |name: &str| said[name].as_f64().unwrap_or(0.0);
        let before = before.cloned().unwrap_or_default();
        let rate = |now: f64, then: f64| (now - then) / (seconds - before.seconds).max(0.001);
        Row {
            seconds,
            client_kib: resident_kib(client),
            emulator_kib: resident_kib(emulator),
            client_files: open_files(client),
            emulator_files: open_files(emulator),
            sent: rate(number("sent"), before.total_sent),
            received: rate(number("received"), before.total_received),
            tasks: number("tasks"),
            wasm_kib: number("wasmBytes") / 1024.0,
            heap_kib: number("heapBytes") / 1024.0,
            handles: number("handles"),
            connected: number("connected"),
            total_sent: number("sent"),
            total_received: number("received"),
        }
    }
}

impl Row {
    /// Whether there was a client to look at.
    pub fn is_alive(&self) -> bool {
        self.client_kib > 0.0
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>5.0} s  {:>6.0} events/s sent, {:>6.0} received  client {:.1} MiB, {} files  emulator {:.1} MiB, {} files  \
             {} tasks, {} connections made",
            self.seconds,
            self.sent,
            self.received,
            self.client_kib / 1024.0,
            self.client_files,
            self.emulator_kib / 1024.0,
            self.emulator_files,
            self.tasks,
            self.connected,
        )
    }
}

/// By how much `y` grows for each of `x`: least squares.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), point| {
        (over + (point.0 - x) * (point.1 - y), under + (point.0 - x) * (point.0 - x))
    });
    if under == 0.0 { 0.0 } else { over / under }
}

fn resident_kib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0.0)
}

fn open_files(process: u32) -> f64 {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0.0, |files| files.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_around_it_changes_little() {
        let line: Vec<_> = (0..100).map(|n| (f64::from(n), 3.0 * f64::from(n) + 7.0)).collect();
        assert!((slope(&line) - 3.0).abs() < 1e-9);
        let noisy: Vec<_> =
            line.iter().map(|&(x, y)| (x, y + if x % 2.0 == 0.0 { 5.0 } else { -5.0 })).collect();
        assert!((slope(&noisy) - 3.0).abs() < 0.05);
        assert_eq!((slope(&[]), slope(&[(1.0, 2.0)])), (0.0, 0.0));
    }

    #[test]
    fn this_process_has_memory_and_files() {
        if std::path::Path::new("/proc/self/status").exists() {
            let me = std::process::id();
            assert!(resident_kib(me) > 100.0 && open_files(me) >= 3.0);
        }
    }
}
