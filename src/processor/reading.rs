//! The events of one partition, as long as it is owned.

use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;

use super::lease::{Tenancy, lost};
use super::options::Options;
use super::partition::{Part, PartitionContext};
use super::status::{Board, CloseReason, Operation, ProcessorStatus};
use crate::consumer::EventStream;
use crate::dialect::received::ReceivedEvent;
use crate::error::{Error, ErrorKind};
use crate::model::moment::{Moment, earliest};
use crate::model::position::StartPosition;
use crate::runtime::{BoxFuture, Timer, now};

/// How long events that lie ready are handed out by the clock and the lease's news alone.
const LOOK: Duration = Duration::from_millis(50);
/// The pause after a failure of reading that may pass.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A partition that was pulled from a processor: its events as a stream, and what [`PartitionContext`] offers.
///
/// Asking for the next event says that those before are processed; automatic checkpoints go by that. The stream ends when the
/// partition is not this processor's any more, and says why: with an error of the kind
/// [`OwnershipLost`](ErrorKind::OwnershipLost) when somebody else has it, without one when the processor stops. Dropping it gives
/// the partition up, without a last automatic checkpoint; [`close`](Self::close) writes one.
pub struct PartitionClient {
    /// Dropped before the tenancy, so that nobody reads when the partition is let go of.
    stream: Option<EventStream>,
    context: PartitionContext,
    board: Arc<Board>,
    options: Arc<Options>,
    position: StartPosition,
    has_begun: bool,
    was_paused: bool,
    was_sure: bool,
    timer: Timer,
    /// The last event that was taken from the stream: another one begins behind it.
    taken: Option<i64>,
    /// Until when nothing but the clock and the lease's news has to be looked at before an event is handed out.
    look_at: Moment,
    /// The number of the event that was handed out and is not known to be processed.
    handed: Option<i64>,
    /// The same event, where checkpoints are written by themselves.
    handed_event: Option<ReceivedEvent>,
    /// The last of the events that were processed and that the keeper does not know of, and how many.
    unkept: Option<(ReceivedEvent, u64)>,
    /// How many of these make a checkpoint due.
    due_after: u64,
    not_before: Option<Moment>,
    finishing: Option<BoxFuture<'static, ()>>,
    has_finished: bool,
    has_told_loss: bool,
    tenancy: Tenancy,
}

impl PartitionClient {
    pub(super) fn new(tenancy: Tenancy, part: Arc<Part>, options: Arc<Options>, board: Arc<Board>) -> Self {
        let id = part.lease.partition_id();
        // A checkpoint without a position was refused before.
        let stored = part.checkpoint.as_ref().and_then(|checkpoint| checkpoint.position().ok());
        let position = stored.unwrap_or_else(|| options.start_in(id));
        PartitionClient {
            stream: None,
            context: PartitionContext(part),
            board,
            options,
            position,
            has_begun: false,
            was_paused: false,
            was_sure: true,
            timer: Timer::default(),
            taken: None,
            look_at: Moment::ORIGIN,
            handed: None,
            handed_event: None,
            unkept: None,
            due_after: 1,
            not_before: None,
            finishing: None,
            has_finished: false,
            has_told_loss: false,
            tenancy,
        }
    }

    /// The next event; `None` when work on the partition is to end.
    ///
    /// # Errors
    /// [`ErrorKind::OwnershipLost`], once, when the partition is another's. Any other error that is
    /// [transient](Error::is_transient) may pass: asking again tries again, after a pause. After one that is not the stream
    /// ends.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<ReceivedEvent, Error>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Ends the work on the partition: waits for checkpoints that are being written, writes the last one where that is the
    /// policy, and gives the partition up.
    ///
    /// # Cancel safety
    /// The partition is given up either way.
    pub async fn close(mut self) {
        self.finish(CloseReason::GivenUp).await;
    }

    /// A handle on the partition that can be kept elsewhere.
    pub fn context(&self) -> &PartitionContext {
        &self.context
    }

    /// Begins elsewhere than at the checkpoint.
    pub(super) fn start_at(&mut self, position: StartPosition) {
        self.position = position;
    }

    /// At least one event, and as many as lie ready up to `most`; none when work is to end.
    pub(super) async fn next_batch(
        &mut self,
        most: usize,
        batch: &mut Vec<ReceivedEvent>,
    ) -> Option<Result<(), Error>> {
        poll_fn(|cx| {
            if let Some(end) = ready!(self.poll_ready(cx)) {
                return Poll::Ready(end.map(Err));
            }
            self.poll_some(cx, most, batch)
        })
        .await
    }

    /// What is handed out in batches was processed.
    pub(super) fn processed(&self, last: &ReceivedEvent, events: u64) {
        self.context.0.processed(last, events);
    }

    /// Ends the work, for this reason unless there is one already; which it is.
    pub(super) async fn finish(&mut self, reason: CloseReason) -> CloseReason {
        self.tenancy.lease().close(reason);
        poll_fn(|cx| self.poll_finished(cx)).await;
        self.tenancy.lease().closing().unwrap_or(reason)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReceivedEvent, Error>>> {
        self.confirm();
        if self.may_go_on()
            && let Some(stream) = &mut self.stream
        {
            // Handed on as it is: an event is a few hundred bytes, and each time that it moves costs.
            let next = Pin::new(stream).poll_next(cx);
            match &next {
                Poll::Ready(Some(Ok(event))) => {
                    self.hand_out(event);
                    return next;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(self.told(error.clone())))),
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        if let Some(end) = ready!(self.poll_ready(cx)) {
            return Poll::Ready(end.map(Err));
        }
        let first = ready!(self.poll_first(cx));
        if let Some(Ok(event)) = &first {
            self.hand_out(event);
        }
        Poll::Ready(first)
    }

    /// Whether nothing has happened since everything was looked at, which is not long ago.
    fn may_go_on(&self) -> bool {
        !self.tenancy.lease().has_news() && now() < self.look_at
    }

    fn hand_out(&mut self, event: &ReceivedEvent) {
        self.took(event);
        self.handed = Some(event.sequence_number());
        if !self.context.0.keeper.is_never() {
            self.handed_event = Some(event.clone());
        }
    }

    /// Asking for more says that what was handed out is processed. The keeper is told of many at a time.
    fn confirm(&mut self) {
        let Some(number) = self.handed.take() else { return };
        self.context.0.passed(number);
        let Some(event) = self.handed_event.take() else { return };
        let events = self.unkept.take().map_or(0, |(_, events)| events) + 1;
        self.unkept = Some((event, events));
        if events >= self.due_after {
            self.tell_keeper();
        }
    }

    fn tell_keeper(&mut self) {
        if let Some((last, events)) = self.unkept.take() {
            self.due_after = self.context.0.keeper.processed(&last, events);
        }
    }

    /// It lies behind this one that another stream begins.
    fn took(&mut self, event: &ReceivedEvent) {
        self.taken = Some(event.sequence_number());
        if self.options.track_last_enqueued
            && let Ok(Some(newest)) = event.last_enqueued()
        {
            self.context.0.set_last_enqueued(newest);
        }
    }

    /// Ready with nothing when events may be handed out, with `Some` when the stream ends: with or without an error.
    #[allow(clippy::option_option, reason = "the end may have an error, and is one of two answers")]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Option<Option<Error>>> {
        let part = self.context.0.clone();
        self.tell_keeper();
        self.look_at = Moment::ORIGIN;
        loop {
            part.lease.take_news();
            let moment = now();
            if let Some(reason) = self.tenancy.lease().closing() {
                self.stream = None;
                ready!(self.poll_finished(cx));
                let is_told = std::mem::replace(&mut self.has_told_loss, true);
                return Poll::Ready(Some((reason.is_loss() && !is_told).then(|| self.lost(reason))));
            }
            part.keeper.look(moment);
            if let Some(position) = part.take_seek() {
                self.stream = None;
                (self.position, self.taken) = (position, None);
                (self.not_before, self.has_begun) = (None, false);
                part.keeper.restart();
            }
            self.not_before = self.not_before.filter(|until| moment < *until);
            self.was_paused = part.is_paused();
            self.was_sure = self.tenancy.lease().is_sure();
            if !self.was_paused && self.was_sure && self.not_before.is_none() {
                self.look_at = (moment + LOOK).min(part.lease.expires_at());
                return Poll::Ready(None);
            }
            ready!(self.poll_waiting(cx));
        }
    }

    /// The next event of the stream, once there is one.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReceivedEvent, Error>>> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => match self.open() {
                    Ok(stream) => self.stream.insert(stream),
                    Err(error) => return Poll::Ready(Some(Err(self.told(error)))),
                },
            };
            match Pin::new(stream).poll_next(cx) {
                Poll::Ready(Some(Ok(event))) => return Poll::Ready(Some(Ok(event))),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(self.told(error)))),
                Poll::Ready(None) => drop(self.failed(consumer_closed())),
                Poll::Pending => {}
            }
            ready!(self.poll_waiting(cx));
            if let Some(end) = ready!(self.poll_ready(cx)) {
                return Poll::Ready(end.map(Err));
            }
        }
    }

    /// The next event, and what lies ready behind it.
    fn poll_some(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        batch: &mut Vec<ReceivedEvent>,
    ) -> Poll<Option<Result<(), Error>>> {
        match ready!(self.poll_first(cx)) {
            Some(Ok(first)) => batch.push(first),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        }
        while batch.len() < most
            && let Some(stream) = &mut self.stream
        {
            match Pin::new(stream).poll_next(cx) {
                Poll::Ready(Some(Ok(event))) => batch.push(event),
                // It is told again when the events have been processed.
                Poll::Ready(Some(Err(error))) => {
                    self.failed(error);
                    break;
                }
                Poll::Ready(None) => {
                    self.failed(consumer_closed());
                    break;
                }
                Poll::Pending => break,
            }
        }
        batch.last().into_iter().for_each(|last| self.took(last));
        Poll::Ready(Some(Ok(())))
    }

    /// Ready when the clock has something to look at; woken by what happens to the partition.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lease = self.tenancy.lease();
        lease.listen(cx);
        // Whoever changed something before this listened has woken nobody.
        let is_sure_again = !self.was_sure && lease.is_sure();
        if is_sure_again || lease.closing().is_some() || self.context.0.has_news(self.was_paused) {
            return Poll::Ready(());
        }
        let keeper = self.context.0.keeper.next_deadline();
        let until = earliest([Some(lease.expires_at()), keeper, self.not_before]);
        self.timer.poll_until(until.unwrap_or_default(), cx)
    }

    fn open(&mut self) -> Result<EventStream, Error> {
        let id = self.context.partition_id().to_owned();
        if let Some(taken) = self.taken.take() {
            self.position = StartPosition::sequence_number(taken);
        }
        let mut reader = self.context.0.consumer.partition(&id).from(self.position.clone());
        reader = reader.owner_level(self.options.owner_level);
        reader = reader.track_last_enqueued(self.options.track_last_enqueued);
        if let Some(prefetch) = self.options.prefetch {
            reader = reader.prefetch(prefetch);
        }
        if let Some(bytes) = self.options.prefetch_bytes {
            reader = reader.prefetch_bytes(bytes);
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            self.board.tell(ProcessorStatus::Reading { partition: id, position: self.position.clone() });
        }
        reader.stream()
    }

    fn told(&mut self, error: Error) -> Error {
        self.has_told_loss |= error.kind() == ErrorKind::OwnershipLost;
        self.failed(error)
    }

    /// Reading failed: what becomes of the partition.
    fn failed(&mut self, error: Error) -> Error {
        // What comes next is not to be had by looking at the clock alone.
        self.look_at = Moment::ORIGIN;
        let lease = self.tenancy.lease();
        if error.kind() == ErrorKind::OwnershipLost {
            lease.close(CloseReason::OwnershipLost);
            self.context.0.lease.doubt();
        } else {
            self.board.failed(Some(lease.partition_id()), Operation::Receive, error.clone());
            if error.is_transient() {
                self.not_before = Some(now() + RETRY_PAUSE);
            } else {
                lease.close(CloseReason::Failed);
            }
        }
        error
    }

    /// Writes what is left to be written.
    fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_finished {
            return Poll::Ready(());
        }
        self.stream = None;
        self.tell_keeper();
        let keeper = &self.context.0.keeper;
        let finishing = self.finishing.get_or_insert_with(|| {
            let keeper = keeper.clone();
            Box::pin(async move { keeper.close().await })
        });
        ready!(finishing.as_mut().poll(cx));
        (self.has_finished, self.finishing) = (true, None);
        Poll::Ready(())
    }

    fn lost(&self, reason: CloseReason) -> Error {
        lost(reason).with_operation(Operation::Receive.words()).with_entity(self.context.partition_id())
    }
}

fn consumer_closed() -> Error {
    Error::new(ErrorKind::Closed, "the consumer was closed")
}

impl Deref for PartitionClient {
    type Target = PartitionContext;

    fn deref(&self) -> &PartitionContext {
        &self.context
    }
}

impl Stream for PartitionClient {
    type Item = Result<ReceivedEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(cx)
    }
}

impl fmt::Debug for PartitionClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartitionClient").field(&self.context).finish()
    }
}
