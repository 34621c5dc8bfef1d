//! The one emulator process that everyone is measured against.

use std::path::Path;

use crate::emulator::Running;
use crate::failure::Failure;
use crate::prepare;
use crate::workspace::Workspace;

/// Filled once and read by everyone: one partition a size.
pub const READ: &str = "read";
/// Written by everyone: one partition a size.
pub const WRITE: &str = "write";
/// What the rows about JavaScript write and read.
pub const JAVASCRIPT: &str = "javascript";
/// Hubs for the rows about many links, by their number of partitions.
pub const LINKS: [u32; 3] = [1, 32, 512];

/// A release-built emulator, ended when this is dropped.
pub struct Namespace(Running);

impl Namespace {
    pub fn start(workspace: &Workspace, binary: Option<&Path>) -> Result<Self, Failure> {
        let binary = match binary {
            Some(binary) => binary.to_path_buf(),
            None => prepare::binary(workspace, "release")?,
        };
        let mut options = ["--retention-size", "1200M", "--max-memory", "14G"].map(str::to_owned).to_vec();
        let links = LINKS.map(|partitions| format!("{}:{partitions}", links_hub(partitions)));
        let others = [READ, WRITE, JAVASCRIPT].map(|hub| format!("{hub}:8"));
        options.extend(others.into_iter().chain(links).flat_map(|hub| ["--hub".to_owned(), hub]));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        Running::start(&binary, &options).map(Namespace)
    }

    pub fn connection_string(&self) -> &str {
        &self.0.connection_string
    }

    pub fn ca(&self) -> Option<&Path> {
        self.0.ca.as_deref()
    }

    /// Resident memory in bytes, where the system tells.
    pub fn resident(&self) -> Option<u64> {
        resident(self.0.id())
    }
}

/// Resident memory of a process in bytes.
pub fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

pub fn links_hub(partitions: u32) -> String {
    format!("links{partitions}")
}
