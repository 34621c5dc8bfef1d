//! Drives one connection: what the socket received goes to the broker, what the broker has goes to the socket.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::task::AtomicWaker;
use tokio::time::Sleep;

use super::clock::Clock;
use super::wire::Wire;
use crate::broker::{BrokerConnection, Now};
use crate::model::moment::Moment;

/// The service's side of a connection, without its socket.
pub(super) trait Machine {
    fn feed(&mut self, bytes: Bytes, now: Now);
    fn poll_output(&mut self, now: Now) -> Option<Bytes>;
    fn next_deadline(&self) -> Option<Moment>;
    fn tick(&mut self, now: Now);
    fn is_finished(&self) -> bool;
    /// Bytes that wait to be taken by `poll_output`.
    fn backlog(&self) -> usize;
    /// Whether nothing more should be fed before the next deadline.
    fn is_full(&self) -> bool {
        false
    }
    /// Whether the connection is to end without a goodbye.
    fn was_dropped(&self) -> bool {
        false
    }
}

impl Machine for BrokerConnection {
    fn feed(&mut self, bytes: Bytes, now: Now) {
        BrokerConnection::feed(self, bytes, now);
    }

    fn poll_output(&mut self, now: Now) -> Option<Bytes> {
        BrokerConnection::poll_output(self, now)
    }

    fn next_deadline(&self) -> Option<Moment> {
        BrokerConnection::next_deadline(self)
    }

    fn tick(&mut self, now: Now) {
        BrokerConnection::tick(self, now);
    }

    fn is_finished(&self) -> bool {
        BrokerConnection::is_finished(self)
    }

    fn backlog(&self) -> usize {
        BrokerConnection::backlog(self)
    }

    fn is_full(&self) -> bool {
        BrokerConnection::is_full(self)
    }

    fn was_dropped(&self) -> bool {
        BrokerConnection::was_dropped(self)
    }
}

/// Says, from any thread, that a machine has something to do.
#[derive(Default)]
pub(super) struct Wake {
    waker: AtomicWaker,
    /// Set by anybody, taken by the driver. A set flag has woken the driver already.
    set: AtomicBool,
}

impl Wake {
    pub(super) fn wake(&self) {
        if !self.set.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }
}

/// How much is read before answers are written, so that answers share frames and reading does not starve writing.
const READ_BUDGET: usize = 512 * 1024;
/// The same in chunks: a WebSocket client may send every event in a message of its own.
const READ_CHUNKS: usize = 256;
/// How many chunks are written before the next look at what arrived.
const WRITE_CHUNKS: usize = 16;
/// Rounds before other tasks get their turn.
const ROUNDS: usize = 16;
/// What may wait for a peer that takes nothing, before it is no longer listened to either: more than the largest
/// message of any tier, so that only a peer that makes answers pile up comes that far.
const MOST_BACKLOG: usize = 24 << 20;
/// How long a peer that stopped sending may take to fetch what is left for it, and how long one that was told
/// goodbye may take to hear it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Drives a connection until it is over. Dropping the future drops the socket.
///
/// # Errors
/// When the socket fails. A peer that goes away at any point is no failure.
pub(super) async fn drive(
    machine: impl Machine,
    wire: impl Wire,
    wake: Arc<Wake>,
    clock: Clock,
) -> io::Result<()> {
    let mut driver = Driver {
        machine,
        wire,
        wake,
        clock,
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        armed: None,
        reading: true,
        leave_at: None,
        unflushed: false,
        blocked: false,
    };
    let over = poll_fn(|cx| driver.poll(cx)).await;
    match over {
        Ok(()) if driver.machine.was_dropped() => Ok(()),
        Ok(()) => {
            let _ = tokio::time::timeout(FAREWELL, poll_fn(|cx| driver.wire.poll_close(cx))).await;
            Ok(())
        }
        Err(error) if is_departure(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

struct Driver<M, W> {
    machine: M,
    wire: W,
    wake: Arc<Wake>,
    clock: Clock,
    timer: Pin<Box<Sleep>>,
    /// When the timer goes off; it may do so early, which is cheaper than moving it with every deadline.
    armed: Option<Moment>,
    /// Whether the peer may still send.
    reading: bool,
    /// When it is over whatever is left, for a peer that stopped sending.
    leave_at: Option<Moment>,
    unflushed: bool,
    /// Whether the socket had no room when it was last asked.
    blocked: bool,
}

impl<M: Machine, W: Wire> Driver<M, W> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wake.waker.register(cx.waker());
        for _ in 0..ROUNDS {
            self.wake.set.store(false, Ordering::Release);
            let now = self.clock.now();
            if self.machine.next_deadline().is_some_and(|deadline| deadline <= now.moment) {
                self.machine.tick(now);
            }
            let read = self.read(cx, now)?;
            let wrote = self.write(cx, now)?;
            let written = !wrote && !self.unflushed;
            if written && (!self.reading || self.machine.is_finished()) {
                return Poll::Ready(Ok(()));
            }
            if self.leave_at.is_some_and(|moment| moment <= now.moment) {
                return Poll::Ready(Ok(()));
            }
            if !read
                && !wrote
                && !self.wake.set.load(Ordering::Acquire)
                && self.poll_timer(cx, now).is_pending()
            {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether anything was read.
    fn read(&mut self, cx: &mut Context<'_>, now: Now) -> io::Result<bool> {
        let mut budget = READ_BUDGET;
        let mut chunks = 0;
        while self.reading && budget > 0 && chunks < READ_CHUNKS {
            if self.blocked && self.machine.backlog() > MOST_BACKLOG || self.machine.is_full() {
                break;
            }
            match self.wire.poll_read(cx)? {
                Poll::Ready(Some(bytes)) => {
                    budget = budget.saturating_sub(bytes.len());
                    chunks += 1;
                    self.machine.feed(bytes, now);
                }
                Poll::Ready(None) => {
                    self.reading = false;
                    self.leave_at = Some(now.moment + FAREWELL);
                }
                Poll::Pending => break,
            }
        }
        Ok(chunks > 0)
    }

    /// Whether anything was taken for writing. The machine is asked only while the socket has room.
    fn write(&mut self, cx: &mut Context<'_>, now: Now) -> io::Result<bool> {
        let mut wrote = false;
        for _ in 0..WRITE_CHUNKS {
            self.blocked = self.wire.poll_ready(cx)?.is_pending();
            if self.blocked {
                return Ok(wrote);
            }
            let Some(bytes) = self.machine.poll_output(now) else { break };
            self.wire.start_send(cx, bytes)?;
            self.unflushed = true;
            wrote = true;
        }
        if self.unflushed && self.wire.poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(wrote)
    }

    /// Ready when a deadline may have passed.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Now) -> Poll<()> {
        // The machine has just been told the time: what is over is output that the socket has no room for.
        let next = self.machine.next_deadline().filter(|at| !self.blocked || *at > now.moment);
        let deadlines = next.into_iter().chain(self.leave_at);
        let Some(deadline) = deadlines.min() else { return Poll::Pending };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.timer.as_mut().reset(self.clock.instant(deadline));
            self.armed = Some(deadline);
        }
        let went_off = self.timer.as_mut().poll(cx);
        if went_off.is_ready() {
            self.armed = None;
        }
        went_off
    }
}

/// Errors that only say that the peer is gone.
fn is_departure(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests;
