//! The programs that are measured; peers/README.md says what they take and print.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Options;
use super::namespace::Namespace;
use crate::failure::Failure;
use crate::prepare;
use crate::process::{cannot_start, cargo, visible};
use crate::workspace::Workspace;

/// More than anyone reads ahead, so that nobody is measured by what lay ready.
const FEWEST: usize = 3_000;

/// A program over one transport.
pub struct Peer {
    /// As in `--peers`.
    pub group: &'static str,
    /// As in the tables.
    pub name: &'static str,
    transport: &'static str,
    program: PathBuf,
    script: Option<PathBuf>,
    /// Roughly how many times fewer events than the fastest it is given, so that each run takes seconds.
    slower: usize,
}

/// What one run of a program said.
pub struct Measured {
    pub events: f64,
    pub seconds: f64,
    pub line: Value,
}

impl Measured {
    pub fn rate(&self) -> f64 {
        self.events / self.seconds
    }
}

/// Builds or installs what is asked for.
pub fn build(workspace: &Workspace, options: &Options) -> Result<Vec<Peer>, Failure> {
    let asked = |group: &str| options.peers.iter().any(|peer| peer == group);
    let mut peers = Vec::new();
    if asked("raw") {
        let program = crate_of(workspace, "raw-ws", "peer-raw-ws")?;
        peers.push(Peer {
            group: "raw",
            name: "raw WebSocket",
            transport: "ws",
            program,
            script: None,
            slower: 1,
        });
    }
    if asked("ours") {
        let program = ours(workspace, "bench")?;
        if options.rows.iter().any(|row| row == "allocations") {
            ours(workspace, "allocations")?;
        }
        for (name, transport) in [("eventhubs, ws", "ws"), ("eventhubs, tcp", "tcp")] {
            peers.push(Peer {
                group: "ours",
                name,
                transport,
                program: program.clone(),
                script: None,
                slower: 1,
            });
        }
    }
    if asked("fe2o3") {
        let program = crate_of(workspace, "fe2o3", "peer-fe2o3")?;
        for (name, transport) in [("fe2o3-amqp, tcp", "tcp"), ("fe2o3-amqp, ws", "ws")] {
            peers.push(Peer {
                group: "fe2o3",
                name,
                transport,
                program: program.clone(),
                script: None,
                slower: 8,
            });
        }
    }
    if asked("rust") {
        let program = crate_of(workspace, "azure-sdk", "peer-azure-sdk")?;
        peers.push(Peer {
            group: "rust",
            name: "Azure SDK for Rust, tcp",
            transport: "tcp",
            program,
            script: None,
            slower: 20,
        });
    }
    if asked("python") {
        let program = prepare::python(workspace)?;
        let script = Some(workspace.root().join("peers/python/bench.py"));
        for (name, transport) in [("Azure SDK for Python, tcp", "tcp"), ("Azure SDK for Python, ws", "ws")] {
            let (program, script) = (program.clone(), script.clone());
            peers.push(Peer { group: "python", name, transport, program, script, slower: 100 });
        }
    }
    if asked("js") {
        let program = prepare::node(workspace)?;
        let script = Some(workspace.root().join("peers/js/bench.mjs"));
        for (name, transport) in [("Azure SDK for JS, tcp", "tcp"), ("Azure SDK for JS, wss", "wss")] {
            let (program, script) = (program.clone(), script.clone());
            peers.push(Peer { group: "js", name, transport, program, script, slower: 40 });
        }
    }
    Ok(peers)
}

/// One of this crate's own measuring programs under `examples/`.
fn ours(workspace: &Workspace, example: &str) -> Result<PathBuf, Failure> {
    visible(cargo(workspace).args(["build", "--release", "--example", example]))?;
    Ok(workspace.target().join("release/examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX)))
}

/// A crate under `peers/`, with its own lock file; all of them build into one directory.
fn crate_of(workspace: &Workspace, folder: &str, program: &str) -> Result<PathBuf, Failure> {
    let target = workspace.target().join("peers");
    let manifest = workspace.root().join("peers").join(folder).join("Cargo.toml");
    let mut build = cargo(workspace);
    build
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target);
    visible(&mut build)?;
    Ok(target.join("release").join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
}

impl Peer {
    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    pub fn is_official(&self) -> bool {
        matches!(self.group, "rust" | "python" | "js")
    }

    pub fn count(&self, fastest: usize) -> usize {
        (fastest / self.slower).max(FEWEST).min(fastest)
    }

    /// How often it is worth repeating: the slow ones are given one run, they are far enough away.
    pub fn runs(&self, asked: usize) -> usize {
        if self.slower > 20 { 1 } else { asked }
    }

    /// Runs the program and reads its line.
    pub fn run(&self, namespace: &Namespace, arguments: &[(&str, String)]) -> Result<Measured, Failure> {
        let mut command = Command::new(&self.program);
        command.args(&self.script);
        command.args(["--connection-string", namespace.connection_string(), "--transport", self.transport]);
        for (name, value) in arguments {
            command.arg(format!("--{name}")).arg(value);
        }
        if let Some(ca) = namespace.ca() {
            command.env("NODE_EXTRA_CA_CERTS", ca);
        }
        run(&mut command)
    }
}

/// Runs a measuring program and reads the line of JSON it prints.
pub fn run(command: &mut Command) -> Result<Measured, Failure> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default();
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    match (output.status.success(), line["events"].as_f64(), line["seconds"].as_f64()) {
        (true, Some(events), Some(seconds)) if seconds > 0.0 => Ok(Measured { events, seconds, line }),
        _ => {
            let error = String::from_utf8_lossy(&output.stderr);
            let program = Path::new(command.get_program())
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let last = error
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("it printed no result")
                .to_owned();
            Err(Failure::new(format!("{program}: {last}")))
        }
    }
}
