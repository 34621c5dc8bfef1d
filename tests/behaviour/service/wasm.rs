//! An emulator that `test_host` lends.

use serde_json::{Value, json};

use super::wanted::Wanted;
use crate::harness::Line;

/// An emulator. It goes with its line.
pub(crate) struct Service {
    line: Line,
    port: u16,
    connection_string: String,
}

/// Forwards connections to a port of this machine until they are cut.
pub(crate) struct Proxy {
    line: Line,
    pub(crate) port: u16,
}

impl Service {
    pub(crate) async fn start(wanted: Wanted) -> Self {
        let mut line = Line::open("/emulator").await;
        let started = line.ask(&wanted.write()).await;
        let connection_string = started["connection_string"].as_str().unwrap().to_owned();
        Service { line, port: started["port"].as_u64().unwrap() as u16, connection_string }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn connection_string(&self) -> String {
        self.connection_string.clone()
    }

    /// The certificate authority, where it is not trusted anyway.
    pub(crate) fn ca_pem(&self) -> Option<Vec<u8>> {
        None
    }

    pub(crate) async fn stop(&mut self) {
        self.line.ask("stop").await;
    }

    /// Stops without a goodbye.
    pub(crate) async fn kill(&mut self) {
        self.line.ask("kill").await;
    }

    /// Starts again on the same port, with what it has kept.
    pub(crate) async fn start_again(&mut self) {
        self.line.ask("start").await;
    }

    /// Asks the emulator over HTTP; the answer's status and its JSON.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer =
            self.line.ask(&json!({ "method": method, "path": path, "body": body }).to_string()).await;
        (answer["status"].as_u64().unwrap() as u16, answer["body"].clone())
    }
}

impl Proxy {
    pub(crate) async fn to(target: u16) -> Self {
        let mut line = Line::open("/proxy").await;
        let started = line.ask(&json!({ "target": target }).to_string()).await;
        Proxy { line, port: started["port"].as_u64().unwrap() as u16 }
    }

    /// Cuts every connection there is now.
    pub(crate) async fn cut(&mut self) {
        self.line.ask("cut").await;
    }

    /// How many connections there have been.
    pub(crate) async fn connections(&mut self) -> usize {
        self.line.ask("count").await["connections"].as_u64().unwrap() as usize
    }
}
