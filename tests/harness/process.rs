//! The program as an emulator in a process of its own: one that can be killed, and whose memory and output are its own.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// An emulator process, ended when this is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// Without a hub's name.
    pub(crate) connection_string: String,
    pub(crate) port: u16,
}

impl Process {
    /// On a free port, with these options besides; when this returns it listens.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_with(options, |_| {})
    }

    /// As [`start`](Self::start), with something more to be said to the command.
    pub(crate) fn start_with(options: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventhubs"));
        command.args(["emulator", "--json", "--port", "0", "--no-tls"]).args(options).stdout(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
        let connection_string = said["connectionString"].as_str().unwrap().to_owned();
        let port = said["port"].as_u64().unwrap().try_into().unwrap();
        Process { child, connection_string, port }
    }

    /// The connection string of a hub.
    pub(crate) fn hub(&self, name: &str) -> String {
        format!("{}EntityPath={name}", self.connection_string)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
