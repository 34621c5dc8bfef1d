//! An emulator in this process.

use std::path::{Path, PathBuf};

use eventhubs::emulator::{Emulator, EmulatorConfig};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) use super::proxy::Proxy;
use super::wanted::Wanted;

/// An emulator, and the directory with what it keeps and its certificate authority. Both go with it.
pub(crate) struct Service {
    emulator: Emulator,
    port: u16,
    connection_string: String,
    ca_path: PathBuf,
    _dir: TempDir,
}

impl Service {
    pub(crate) async fn start(wanted: Wanted) -> Self {
        Self::start_with_authority(wanted, None).await
    }

    /// With certificates of the authority that is kept there, unless it is not to be trusted.
    pub(crate) async fn start_with_authority(wanted: Wanted, authority: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("ca");
        let mut config = EmulatorConfig::default();
        config = config.with_ca_dir(authority.filter(|_| !wanted.is_untrusted).unwrap_or(&own));
        config.namespace = wanted.namespace;
        if wanted.is_durable {
            config = config.with_data_dir(dir.path().join("data"));
        }
        let emulator = Emulator::start(config).await.unwrap();
        Service {
            port: emulator.port(),
            connection_string: emulator.connection_string(),
            ca_path: emulator.ca_path().unwrap().to_owned(),
            emulator,
            _dir: dir,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn connection_string(&self) -> String {
        self.connection_string.clone()
    }

    /// The certificate authority, where it is not trusted anyway.
    pub(crate) fn ca_pem(&self) -> Option<Vec<u8>> {
        Some(std::fs::read(&self.ca_path).unwrap())
    }

    pub(crate) async fn stop(&mut self) {
        self.emulator.stop().await.unwrap();
    }

    /// Stops without a goodbye.
    pub(crate) async fn kill(&mut self) {
        self.emulator.kill().await.unwrap();
    }

    /// Starts again on the same port, with what it has kept.
    pub(crate) async fn start_again(&mut self) {
        self.emulator.start_again().await.unwrap();
    }

    /// Asks the emulator over HTTP; the answer's status and its JSON.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
    }
}
