//! A client that works while the emulator goes away: a process that is told little and tells its ledger.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{HUB, Plan};
use crate::failure::Failure;
use crate::prepare;
use crate::process::cannot_start;
use crate::workspace::Workspace;

/// What a client is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Native,
    Node,
    Chromium,
    Python,
    SdkJs,
}

/// Ended when this is dropped.
pub struct Client {
    pub kind: Kind,
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Native, Kind::Node, Kind::Chromium, Kind::Python, Kind::SdkJs];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Native => "native",
            Kind::Node => "node",
            Kind::Chromium => "chromium",
            Kind::Python => "python",
            Kind::SdkJs => "sdk-js",
        }
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Kind::Native | Kind::Node | Kind::Chromium)
    }

    pub fn list(names: &str) -> Result<Vec<Kind>, Failure> {
        let kind = |name: &str| Kind::ALL.into_iter().find(|kind| kind.name() == name);
        let names = names.split(',').map(str::trim);
        names
            .map(|name| {
                kind(name).ok_or_else(|| {
                    let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                    Failure::new(format!("there is no client '{name}'; there are: {}", known.join(", ")))
                })
            })
            .collect()
    }

    /// Everything but where it connects to.
    fn command(self, workspace: &Workspace, package: Option<&Path>) -> Result<Command, Failure> {
        let program = |name: &str| workspace.root().join("tests/outage").join(name);
        let mut command = match self {
            Kind::Native => Command::new(prepare::example(workspace, "outage_client")?),
            Kind::Python => Command::new(prepare::python(workspace)?),
            Kind::Node | Kind::SdkJs => {
                prepare::packages(workspace, "tests/interop/js")?;
                Command::new(prepare::system_node()?)
            }
            Kind::Chromium => {
                prepare::packages(workspace, "tests/package")?;
                Command::new(prepare::system_node()?)
            }
        };
        match self {
            Kind::Native => {}
            Kind::Node => drop(command.arg(program("node.mjs")).arg("ours")),
            Kind::SdkJs => drop(command.arg(program("node.mjs")).arg("sdk")),
            Kind::Python => drop(command.arg(program("sdk.py")).env("PYTHONDONTWRITEBYTECODE", "1")),
            Kind::Chromium => {
                command.arg(program("chromium.mjs")).env("CHROMIUM", prepare::browser(workspace)?.chromium);
            }
        }
        if let Some(package) = package {
            command.env("EVENTHUBS_PACKAGE", package);
        }
        Ok(command)
    }
}

/// The consumer group of the client with this number.
pub fn group(number: usize) -> String {
    format!("client-{number}")
}

impl Client {
    pub fn start(
        workspace: &Workspace,
        kind: Kind,
        connection_string: &str,
        number: usize,
        plan: &Plan,
    ) -> Result<Self, Failure> {
        let mut command = kind.command(workspace, plan.package.as_deref())?;
        if let Some(longest) = plan.max_delay {
            command.env("EVENTHUBS_OUTAGE_MAX_DELAY_MS", longest.to_string());
        }
        command.args([connection_string, HUB, &number.to_string(), &group(number)]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| cannot_start(&command, &error))?;
        let input = process.stdin.take();
        let (say, lines) = channel();
        if let Some(output) = process.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = say.send(line);
                }
            });
        }
        Ok(Client { kind, process, input, lines })
    }

    pub fn say(&mut self, word: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{word}").and_then(|()| input.flush());
        }
    }

    /// Whether it says this in time.
    pub fn wait_for(&mut self, word: &str, limit: Duration) -> bool {
        self.wait(limit, |line| (line == word).then_some(())).is_some()
    }

    /// What it has to say at its end.
    pub fn wait_for_ledger(&mut self, limit: Duration) -> Option<Value> {
        self.wait(limit, |line| serde_json::from_str(line.strip_prefix("ledger ")?).ok())
    }

    fn wait<T>(&mut self, limit: Duration, take: impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        loop {
            let line = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())).ok()?;
            if let Some(taken) = take(&line) {
                return Some(taken);
            }
            if !["ready", "working"].contains(&line.as_str()) {
                println!("  {}: {line}", self.kind.name());
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Who drives a browser ends it when its input ends.
        drop(self.input.take());
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_their_names() {
        assert_eq!(Kind::list("native, sdk-js").ok(), Some(vec![Kind::Native, Kind::SdkJs]));
        assert!(Kind::list("native,java").is_err());
    }
}
