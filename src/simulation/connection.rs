//! Drives the service's side of one connection of a world, as the emulator does over real sockets.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;

use crate::broker::{BrokerConnection, Now};
use crate::model::moment::Moment;
use crate::runtime::world::{End, Timer};

/// Chunks read before answers are written, and chunks written before the next look at what arrived.
const BUDGET: usize = 32;
/// What may wait for a peer that takes nothing, before it is no longer listened to either.
const MOST_BACKLOG: usize = 24 << 20;
/// How long a peer that stopped sending may take to fetch what is left for it.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection and its socket.
pub(super) struct Served {
    broker: BrokerConnection,
    socket: End,
    wake: Arc<AtomicWaker>,
    timer: Timer,
    /// The socket had no room when it was last asked.
    is_blocked: bool,
    is_reading: bool,
    leave_at: Option<Moment>,
}

impl Served {
    pub(super) fn new(broker: BrokerConnection, socket: End, wake: Arc<AtomicWaker>) -> Self {
        Served {
            broker,
            socket,
            wake,
            timer: Timer::default(),
            is_blocked: false,
            is_reading: true,
            leave_at: None,
        }
    }

    /// Ready when the connection is over.
    pub(super) fn poll(&mut self, now: impl Fn() -> Now, cx: &mut Context<'_>) -> Poll<()> {
        self.wake.register(cx.waker());
        let now = now();
        if self.broker.next_deadline().is_some_and(|deadline| deadline <= now.moment) {
            self.broker.tick(now);
        }
        let (Ok(read), Ok(wrote)) = (self.read(now, cx), self.write(now, cx)) else { return Poll::Ready(()) };
        if !wrote && (!self.is_reading || self.broker.is_finished()) {
            if !self.broker.was_dropped() {
                let _ = self.socket.poll_close(cx);
            }
            return Poll::Ready(());
        }
        if self.leave_at.is_some_and(|moment| moment <= now.moment) {
            return Poll::Ready(());
        }
        // What is over is output that the socket has no room for: it is looked at when there is.
        let next = self.broker.next_deadline().filter(|at| !self.is_blocked || *at > now.moment);
        let deadline = next.into_iter().chain(self.leave_at).min();
        let is_due = deadline.is_some_and(|deadline| self.timer.poll_until(deadline, cx).is_ready());
        if read || wrote || is_due {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn read(&mut self, now: Now, cx: &Context<'_>) -> std::io::Result<bool> {
        let mut has_read = false;
        for _ in 0..BUDGET {
            if !self.is_reading || self.broker.is_full() || self.broker.backlog() > MOST_BACKLOG {
                break;
            }
            match self.socket.poll_recv(cx)? {
                Poll::Ready(Some(bytes)) => {
                    has_read = true;
                    self.broker.feed(bytes, now);
                }
                Poll::Ready(None) => {
                    self.is_reading = false;
                    self.leave_at = Some(now.moment + FAREWELL);
                }
                Poll::Pending => break,
            }
        }
        Ok(has_read)
    }

    fn write(&mut self, now: Now, cx: &Context<'_>) -> std::io::Result<bool> {
        let mut wrote = false;
        for _ in 0..BUDGET {
            self.is_blocked = self.socket.poll_ready(cx)?.is_pending();
            if self.is_blocked {
                return Ok(wrote);
            }
            let Some(bytes) = self.broker.poll_output(now) else { break };
            self.socket.start_send(bytes)?;
            wrote = true;
        }
        Ok(wrote)
    }
}
