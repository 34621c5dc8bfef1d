//! Azure Event Hubs from one Rust core.
//!
//! Logs go to [`tracing`](https://docs.rs/tracing) and hold no key, signature or token at any level. The WebSocket library below
//! logs by itself: at `trace` its target `tungstenite` shows every message, tokens included, so leave that one at `debug`.

pub mod amqp;
#[cfg(any(feature = "emulator", feature = "simulation"))]
pub mod broker;
pub mod checkpoint;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod client;
pub mod codec;
mod consumer;
pub mod dialect;
#[cfg(all(feature = "emulator", not(target_arch = "wasm32")))]
pub mod emulator;
pub mod error;
pub mod errors;
#[cfg(feature = "emulator")]
pub mod in_page;
#[cfg(all(feature = "js", target_arch = "wasm32"))]
#[doc(hidden)]
pub mod js;
pub mod model;
#[cfg(not(target_arch = "wasm32"))]
pub mod outbox;
pub mod processor;
mod producer;
mod runtime;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;

pub use amqp::message::{Body, Properties};
pub use client::{
    AccessToken, Check, ClientBuilder, ClientOptions, Diagnosis, Health, Status, StatusStream, TokenProvider,
    Transport, Verdict,
};
pub use consumer::{
    AllPartitions, ConsumerClient, DecodedEvent, DecodedStream, EventStream, PartitionReader,
};
pub use dialect::event::EventData;
pub use dialect::management::{HubProperties, PartitionProperties};
pub use dialect::received::{LastEnqueued, ReceivedEvent};
pub use error::{Error, ErrorKind};
pub use model::connection_string::ConnectionString;
pub use model::position::StartPosition;
pub use model::publishing::PublishingState;
pub use model::retry::RetryOptions;
pub use model::value::{Symbol, Timestamp, Uuid, Value};
pub use producer::{
    BatchOptions, BufferedOptions, BufferedProducerClient, EnqueueOptions, EventBatch, ProducerClient,
    Receipt, SendOptions, SendOutcome, SendOutcomes,
};

/// The README's example is compiled and run with the other examples.
#[cfg(all(doctest, feature = "emulator"))]
#[doc = include_str!("../README.md")]
struct Readme;
