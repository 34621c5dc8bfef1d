//! The one emulator process that everyone is measured against.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::failure::Failure;
use crate::prepare;
use crate::process::cannot_start;
use crate::workspace::Workspace;

/// Filled once and read by everyone: one partition a size.
pub const READ: &str = "read";
/// Written by everyone: one partition a size.
pub const WRITE: &str = "write";
/// Hubs for the rows about many links, by their number of partitions.
pub const LINKS: [u32; 3] = [1, 32, 512];

/// A release-built emulator, ended when this is dropped.
pub struct Namespace {
    process: Child,
    pub connection_string: String,
    pub ca: Option<PathBuf>,
}

impl Namespace {
    pub fn start(workspace: &Workspace) -> Result<Self, Failure> {
        let mut command = Command::new(prepare::binary(workspace, "release")?);
        command.args([
            "emulator",
            "--json",
            "--port",
            "0",
            "--retention-size",
            "1200M",
            "--max-memory",
            "14G",
        ]);
        command.args(["--hub", &format!("{READ}:8"), "--hub", &format!("{WRITE}:8")]);
        for partitions in LINKS {
            command.args(["--hub", &format!("{}:{partitions}", links_hub(partitions))]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| cannot_start(&command, &error))?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(connection_string) = ready["connectionString"].as_str() else {
            let _ = process.kill();
            let _ = process.wait();
            return Err(Failure::new("the emulator did not say that it listens (its error is above)"));
        };
        let ca = ready["ca"].as_str().map(PathBuf::from);
        Ok(Namespace { connection_string: connection_string.to_owned(), ca, process })
    }

    /// Resident memory in bytes, where the system tells.
    pub fn resident(&self) -> Option<u64> {
        resident(self.process.id())
    }
}

/// Resident memory of a process in bytes.
pub fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn links_hub(partitions: u32) -> String {
    format!("links{partitions}")
}
