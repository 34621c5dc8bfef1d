//! Health, and a page that says what is here.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};

use super::super::server::Shared;
use super::answer::{self, escape};

/// What the official emulator says when it is well.
pub(super) fn health() -> Response<Full<Bytes>> {
    const HEALTHY: &str = r#"{"status":"healthy","message":"Service is healthy."}"#;
    answer::with_type(StatusCode::OK, "application/json; charset=utf-8", HEALTHY)
}

/// Hubs, partitions and counts.
pub(super) fn page(shared: &Shared) -> Response<Full<Bytes>> {
    let mut rows = String::new();
    let now = shared.clock.now();
    for hub in shared.namespace.hubs() {
        for partition in 0..hub.partitions {
            let Some(info) = shared.namespace.partition(&hub.name, partition, now) else { continue };
            let kept = if info.is_empty { 0 } else { info.last_sequence - info.begin_sequence + 1 };
            let name = if partition == 0 { escape(&hub.name) } else { String::new() };
            // Writing to a string cannot fail.
            let _ = write!(
                rows,
                "<tr><th>{name}</th><td>{partition}</td><td>{kept}</td><td>{}</td></tr>",
                info.last_sequence + 1
            );
        }
    }
    let connections = shared.namespace.connections();
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>eventhubs emulator</title><style>{STYLE}</style>\
         <h1>eventhubs emulator</h1><p>{connections} connections\
         <table><tr><th>hub<td>partition<td>events kept<td>events ever</tr>{rows}</table></html>"
    );
    answer::with_type(StatusCode::OK, "text/html; charset=utf-8", page)
}

const STYLE: &str = ":root{color-scheme:light dark;font:16px/1.5 system-ui;margin:2rem}\
    table{border-collapse:collapse}th,td{padding:.1rem 1rem .1rem 0;text-align:right}\
    th{text-align:left;font-weight:600}";
