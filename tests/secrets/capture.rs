//! Everything that can be seen of a process from outside.

use std::error::Error as _;
use std::fmt::{Debug, Display};
use std::io;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// What was said, by everybody, ever: places with texts.
static SEEN: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Starts to listen to logs, those of other crates too, and to panics.
pub(crate) fn start() {
    assert_eq!(
        tracing::level_filters::STATIC_MAX_LEVEL,
        LevelFilter::TRACE,
        "logs were compiled out, so nothing would be seen of them: leave the feature js out"
    );
    // Tungstenite shows at this level what travels, tokens included. The client cannot keep it from doing so; its
    // documentation says it, and the command line does not let it.
    let filter = EnvFilter::new("trace,tungstenite=debug,tokio_tungstenite=debug");
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(Log)
        .init();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        see("a panic", panic.to_string());
        before(panic);
    }));
}

/// Keeps a text with the place where it was seen.
pub(crate) fn see(place: impl Into<String>, text: impl Into<String>) {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).push((place.into(), text.into()));
}

/// Keeps what `Debug` shows of a value.
pub(crate) fn debug(place: &str, value: &(impl Debug + ?Sized)) {
    see(format!("Debug of {place}"), format!("{value:?}\n{value:#?}"));
}

/// Keeps all that an error says, its sources included.
pub(crate) fn error(place: &str, error: &eventhubs::Error) {
    let mut source = error.source();
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n{}\n{:?}", error.message(), error.condition());
    while let Some(inner) = source {
        text.push_str(&format!("\n{inner}\n{inner:?}"));
        source = inner.source();
    }
    see(format!("the error of {place}"), text);
}

/// As [`error`], for something that must fail.
#[track_caller]
pub(crate) fn failed<T>(place: &str, result: Result<T, eventhubs::Error>) {
    match result {
        Ok(_) => panic!("{place}: it was accepted"),
        Err(why) => error(place, &why),
    }
}

/// Keeps what both `Display` and `Debug` show.
pub(crate) fn shown(place: &str, value: &(impl Display + Debug)) {
    see(place, format!("{value}\n{value:?}\n{value:#?}"));
}

pub(crate) fn all() -> Vec<(String, String)> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

struct Log;

struct Line(Vec<u8>);

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        see("the log", String::from_utf8_lossy(&self.0));
    }
}
