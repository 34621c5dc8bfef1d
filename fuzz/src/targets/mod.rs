//! What is fed to what, and what must hold whatever is fed.
//!
//! Each entry point takes any bytes, must not panic, hang or grow without bound, and checks what it can
//! about the answer. The fuzzer's programs and the short run in `tests/fuzz.rs` share them.

mod broker;
mod emulator;
mod engine;
mod messages;
mod outbox;
mod seeds;
mod texts;

pub use broker::{broker, socket};
pub use emulator::{config_file, fault, hub_description, rest_events, stored_log};
pub use engine::{engine_client, engine_server, engine_split};
pub use messages::{message, publication, received, reply, request};
pub use outbox::journal;
pub use texts::{address, connection_string, sas, selector};

/// What one input of a few kilobytes may make an entry point allocate, in bytes, everything added up: far more than any
/// needs, far less than a length that lies asks for.
pub const MOST_ALLOCATED: usize = 64 << 20;

/// One entry point, by the name of its fuzz target.
pub struct Entry {
    pub name: &'static str,
    pub feed: fn(&[u8]),
    /// Valid input to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ENTRIES: &[Entry] = &[
    Entry { name: "connection_string", feed: connection_string, seeds: texts::connection_strings },
    Entry { name: "selector", feed: selector, seeds: texts::selectors },
    Entry { name: "sas", feed: sas, seeds: texts::tokens },
    Entry { name: "address", feed: address, seeds: texts::addresses },
    Entry { name: "config_file", feed: config_file, seeds: emulator::config_files },
    Entry { name: "rest_events", feed: rest_events, seeds: emulator::publications },
    Entry { name: "hub_description", feed: hub_description, seeds: emulator::descriptions },
    Entry { name: "fault", feed: fault, seeds: emulator::faults },
    Entry { name: "stored_log", feed: stored_log, seeds: emulator::logs },
    Entry { name: "journal", feed: journal, seeds: outbox::journals },
    Entry { name: "message", feed: message, seeds: messages::messages },
    Entry { name: "publication", feed: publication, seeds: messages::publications },
    Entry { name: "received", feed: received, seeds: messages::publications },
    Entry { name: "request", feed: request, seeds: messages::requests },
    Entry { name: "reply", feed: reply, seeds: messages::replies },
    Entry { name: "engine_client", feed: engine_client, seeds: engine::server_conversation },
    Entry { name: "engine_server", feed: engine_server, seeds: engine::client_conversation },
    Entry { name: "engine_split", feed: engine_split, seeds: engine::split_conversations },
    Entry { name: "broker", feed: broker, seeds: broker::conversations },
    Entry { name: "socket", feed: socket, seeds: broker::requests },
];
