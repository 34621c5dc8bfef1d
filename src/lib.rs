//! Azure Event Hubs from one Rust core.

pub mod amqp;
#[cfg(feature = "emulator")]
pub mod broker;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod error;
pub mod model;
mod runtime;

pub use error::{Error, ErrorKind};
pub use model::connection_string::ConnectionString;
pub use model::position::StartPosition;
pub use model::retry::RetryOptions;
