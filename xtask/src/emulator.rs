//! The emulator: in the terminal, or as a process that a step needs.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::failure::Failure;
use crate::prepare;
use crate::process::cannot_start;
use crate::workspace::Workspace;

/// `cargo xtask emulator …` is `eventhubs emulator …`.
pub fn emulator(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let binary = prepare::binary(workspace, "release")?;
    become_program(Command::new(binary).arg("emulator").args(arguments))
}

/// An emulator process, ended when this is dropped.
pub struct Running {
    process: Child,
    pub port: u16,
    pub connection_string: String,
    pub ca: Option<PathBuf>,
}

impl Running {
    /// Starts `program` as an emulator on a free port, and waits until it listens.
    pub fn start(program: &Path, options: &[&str]) -> Result<Self, Failure> {
        Self::start_on(0, program, options)
    }

    /// As [`start`](Self::start), on this port.
    pub fn start_on(port: u16, program: &Path, options: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.args(["emulator", "--json", "--port", &port.to_string()]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| cannot_start(&command, &error))?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let (Some(port), Some(connection_string)) = (port, ready["connectionString"].as_str()) else {
            let _ = process.kill();
            let _ = process.wait();
            return Err(Failure::new("the emulator did not say that it listens (its error is above)"));
        };
        let ca = ready["ca"].as_str().map(PathBuf::from);
        Ok(Running { port, connection_string: connection_string.to_owned(), ca, process })
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Without a goodbye.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ctrl-C, `kill` and the exit status then belong to the program itself.
#[cfg(unix)]
pub fn become_program(command: &mut Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(cannot_start(command, &error))
}

#[cfg(not(unix))]
pub fn become_program(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    crate::process::succeeded(command, status)
}
