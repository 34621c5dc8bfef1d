//! The native platform, of which a thread takes leave while it is inside a simulated world.
//!
//! Every name is the native one's with a question in front: is there a [`world`] on this thread? Then time, tasks,
//! sockets and randomness come from there. Only builds with the feature `simulation` have the question.

#[path = "../native/mod.rs"]
mod native;
mod network;
mod random;
mod socket;
pub(crate) mod world;

use std::future::Future;
use std::task::{Context, Poll};

use super::endpoint;
use crate::model::moment::Moment;
use crate::model::value::Timestamp;
use endpoint::{DialError, Endpoint, Framing, Security, Step};

pub(crate) use native::{BoxFuture, NoRuntime, SEES_STEPS, SocketError, Trust, broken};
#[cfg(feature = "blob")]
pub(crate) use native::{HttpAnswer, HttpClient, HttpRequest, HttpServer};
pub(crate) use socket::Socket;

/// The present on the monotonic clock.
pub(crate) fn now() -> Moment {
    world::now().unwrap_or_else(native::now)
}

/// The present on the wall clock.
pub(crate) fn unix_now() -> Timestamp {
    world::unix_now().unwrap_or_else(native::unix_now)
}

/// Starts a task that nobody waits for.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Result<(), NoRuntime> {
    match world::is_here() {
        true => {
            world::spawn("client", Box::pin(task));
            Ok(())
        }
        false => native::spawn(task),
    }
}

/// Does what blocks its thread on another one; in a world there is no other, and it is done at once.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, NoRuntime> {
    match world::is_here() {
        true => Ok(Some(work())),
        false => native::blocking(work).await,
    }
}

/// Wakes the task again after the other tasks got their turn.
pub(crate) fn give_way(cx: &Context<'_>) {
    native::give_way(cx);
}

/// Unpredictable bytes; in a world, the seed predicts them.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    world::random_bytes().unwrap_or_else(native::random_bytes)
}

/// Connects to `endpoint`.
pub(crate) async fn dial(endpoint: Endpoint, trust: Trust) -> Result<Socket, DialError> {
    match world::is_here() {
        true => world::dial(endpoint.host, endpoint.port)
            .await
            .map(Socket::Simulated)
            .map_err(DialError::transient),
        false => native::dial(endpoint, trust).await.map(Socket::Native),
    }
}

/// As [`dial`], telling what it has done; a world's network does it in one step.
pub(crate) async fn probe(
    endpoint: &Endpoint,
    trust: &Trust,
    steps: &mut Vec<Step>,
) -> Result<(), DialError> {
    if !world::is_here() {
        return native::probe(endpoint, trust, steps).await;
    }
    let start = now();
    drop(dial(endpoint.clone(), trust.clone()).await?);
    let all = [
        ("dns", true),
        ("socket", true),
        ("tls", endpoint.security == Security::Tls),
        ("websocket", endpoint.framing == Framing::WebSocket),
    ];
    for (name, _) in all.into_iter().filter(|(_, is_taken)| *is_taken) {
        steps.push(Step { name, detail: "simulated".to_owned(), took: now() - start });
    }
    Ok(())
}

/// Wakes its task at a moment that may change all the time.
#[derive(Default)]
pub(crate) struct Timer {
    native: native::Timer,
    simulated: world::Timer,
}

impl Timer {
    /// Ready when `deadline` has passed.
    pub(crate) fn poll_until(&mut self, deadline: Moment, cx: &mut Context<'_>) -> Poll<()> {
        match world::is_here() {
            true => self.simulated.poll_until(deadline, cx),
            false => self.native.poll_until(deadline, cx),
        }
    }
}
