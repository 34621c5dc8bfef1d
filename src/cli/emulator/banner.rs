//! What a running emulator says about itself.

use std::fmt::Write as _;
use std::process;

use serde_json::json;

use crate::broker::NamespaceConfig;
use crate::emulator::Emulator;

/// One line for scripts.
pub(super) fn json(emulator: &Emulator) -> String {
    let hubs: Vec<_> = emulator
        .namespace()
        .hubs()
        .into_iter()
        .map(|hub| json!({"name": hub.name, "partitions": hub.partitions, "consumerGroups": hub.consumer_groups}))
        .collect();
    json!({
        "connectionString": emulator.connection_string(),
        "port": emulator.port(),
        "tlsPort": emulator.tls_port(),
        "healthPort": emulator.health_port(),
        "ca": emulator.ca_path(),
        "dataDir": emulator.data_dir(),
        "console": emulator.serves_console().then(|| format!("http://localhost:{}/", emulator.port())),
        "hubs": hubs,
        "pid": process::id(),
    })
    .to_string()
}

/// Lines for people.
pub(super) fn text(emulator: &Emulator) -> String {
    let port = emulator.port();
    let mut out = String::from("The emulator is ready.\n\n");
    let mut row = |label: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {label:<19}{value}");
    };
    row("connection string", &shown(&emulator.connection_string()));
    for (index, hub) in emulator.namespace().hubs().iter().enumerate() {
        let partitions = if hub.partitions == 1 { "partition" } else { "partitions" };
        let label = if index == 0 { "hubs" } else { "" };
        row(
            label,
            &format!("{}: {} {partitions}, {}", hub.name, hub.partitions, hub.consumer_groups.join(" ")),
        );
    }
    row("AMQP", &format!("amqp://localhost:{port}"));
    row("WebSocket", &format!("ws://localhost:{port}/$servicebus/websocket"));
    row(if emulator.serves_console() { "console" } else { "HTTP" }, &format!("http://localhost:{port}/"));
    match emulator.ca_path() {
        Some(ca) => {
            let also = emulator.tls_port().map(|port| format!(", amqps also on {port}")).unwrap_or_default();
            row("with TLS", &format!("amqps, wss, https on the same port{also}"));
            row("trust", &ca.display().to_string());
            row("", "as NODE_EXTRA_CA_CERTS or SSL_CERT_FILE, or in the browser");
        }
        None => row("with TLS", "no"),
    }
    if let Some(port) = emulator.health_port() {
        row("health", &format!("http://localhost:{port}/health"));
    }
    match emulator.data_dir() {
        Some(dir) => row("events", &format!("kept in {}", dir.display())),
        None => row("events", "in memory, gone when it stops (--data-dir keeps them)"),
    }
    out.push_str("\nCtrl-C stops it.\n");
    out
}

/// The connection string as it may stand on a screen: with the key that everybody knows, but with no other.
fn shown(connection_string: &str) -> String {
    let part = |part: &str| match part.strip_prefix("SharedAccessKey=") {
        Some(key) if key != NamespaceConfig::DEVELOPMENT_KEY => "SharedAccessKey=<your key>".to_owned(),
        _ => part.to_owned(),
    };
    connection_string.split(';').map(part).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_everybody_knows_is_shown() {
        let known =
            "Endpoint=sb://localhost:5672;SharedAccessKeyName=a;SharedAccessKey=SAS_KEY_VALUE;Last=1;";
        assert_eq!(shown(known), known);
        let own = known.replace("SAS_KEY_VALUE", "s3cret==");
        assert_eq!(shown(&own), known.replace("SAS_KEY_VALUE", "<your key>"));
    }
}
