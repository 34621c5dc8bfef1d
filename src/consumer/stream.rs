//! The stream of events.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream::FusedStream;

use crate::client::{Client, Crowd, ReceiverHandle, Taken};
use crate::dialect::received::{LastEnqueued, ReceivedEvent};
use crate::error::{Error, ErrorKind};
use crate::runtime::{self, Timer};

/// The events of one partition or of several, as they arrive.
///
/// Each event taken makes room for another: what lies ready is bounded by
/// [`prefetch`](super::PartitionReader::prefetch), and a stream that is not read holds up nothing else.
///
/// When a link or connection is lost, the stream goes on behind the last event that arrived: none is left out and none
/// comes twice. An error means that this did not work out. After a passing one
/// ([`Error::is_transient`]) the stream may be asked again, which tries again; after any other it ends. A stream
/// of several partitions goes on with the others then, and ends with the last.
pub struct EventStream {
    sources: Vec<Arc<Source>>,
    /// Those that have a batch, in turn.
    crowd: Crowd,
    /// Sources that have ended.
    ended: usize,
    /// The batch that is being handed out.
    current: Option<Batch>,
    /// Found while a batch of events was gathered; told with the next call.
    held: Option<Error>,
    has_ended: bool,
}

/// One partition's end of a stream.
pub(super) struct Source {
    receiver: ReceiverHandle,
    partition_id: Arc<str>,
    /// Keeps the connection up.
    _client: Client,
}

struct Batch {
    source: Arc<Source>,
    events: std::vec::IntoIter<Bytes>,
    /// Handed out and not reported yet.
    taken: Taken,
}

impl EventStream {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        let sources: Vec<Arc<Source>> = sources.into_iter().map(Arc::new).collect();
        let crowd = Crowd::new(sources.len());
        EventStream { sources, crowd, ended: 0, current: None, held: None, has_ended: false }
    }

    /// The next event; `None` at the end, which only an error brings about.
    ///
    /// # Errors
    /// [`ErrorKind::OwnershipLost`], [`ErrorKind::Unauthorized`], [`ErrorKind::NotFound`],
    /// [`ErrorKind::InvalidPosition`], [`ErrorKind::Closed`], or what is left of a passing failure.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<ReceivedEvent, Error>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// At most `max_count` events: as many as lie ready, and at least one, unless none arrives within `max_wait`.
    ///
    /// # Errors
    /// As [`next`](Self::next); [`ErrorKind::Closed`] when the stream has ended.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next_batch(
        &mut self,
        max_count: usize,
        max_wait: Duration,
    ) -> Result<Vec<ReceivedEvent>, Error> {
        let deadline = runtime::now() + max_wait;
        let mut timer = Timer::default();
        let mut events = Vec::new();
        poll_fn(|cx| {
            while events.len() < max_count {
                match self.poll_event(cx) {
                    Poll::Ready(Some(Ok(event))) => events.push(event),
                    // Events that were taken must not get lost over an error.
                    Poll::Ready(Some(Err(error))) if !events.is_empty() => {
                        self.held = Some(error);
                        break;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) if events.is_empty() => return Poll::Ready(Err(ended())),
                    Poll::Ready(None) => break,
                    Poll::Pending if events.is_empty() => {
                        ready!(timer.poll_until(deadline, cx));
                        break;
                    }
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        Ok(events)
    }

    /// The newest event of a partition, as the service told with the last one taken; `None` unless
    /// [`track_last_enqueued`](super::PartitionReader::track_last_enqueued) was asked for and an event has arrived.
    pub fn last_enqueued(&self, partition_id: &str) -> Option<LastEnqueued> {
        let source = self.sources.iter().find(|source| &*source.partition_id == partition_id)?;
        let newest = source.receiver.newest()?;
        ReceivedEvent::parse(newest).ok()?.last_enqueued().ok()?
    }

    /// The partitions that it reads.
    pub fn partition_ids(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| &*source.partition_id)
    }

    /// Waits until the service has agreed to every link.
    pub(super) async fn attached(&mut self) -> Result<(), Error> {
        let mut waiting = self.sources.clone();
        poll_fn(|cx| {
            let mut index = 0;
            while let Some(source) = waiting.get(index) {
                match source.receiver.poll_attached(cx) {
                    Poll::Ready(result) => {
                        result?;
                        waiting.swap_remove(index);
                    }
                    Poll::Pending => index += 1,
                }
            }
            if waiting.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReceivedEvent, Error>>> {
        if let Some(error) = self.held.take() {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            if let Some(batch) = &mut self.current {
                if let Some(event) = batch.next() {
                    return Poll::Ready(Some(event));
                }
                self.current = None;
            }
            if self.ended == self.sources.len() {
                self.has_ended = true;
                return Poll::Ready(None);
            }
            let Some((number, waker)) = self.crowd.next(cx) else { return Poll::Pending };
            let source = &self.sources[number];
            match source.receiver.poll_take(&mut Context::from_waker(waker)) {
                Poll::Pending => {}
                Poll::Ready(Some(taken)) => {
                    self.crowd.again(number);
                    match taken {
                        Ok(events) => self.current = Some(Batch::new(source.clone(), events)),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                Poll::Ready(None) => self.ended += 1,
            }
        }
    }
}

impl Source {
    pub(super) fn new(client: Client, receiver: ReceiverHandle, partition_id: Arc<str>) -> Self {
        Source { receiver, partition_id, _client: client }
    }
}

impl Batch {
    fn new(source: Arc<Source>, events: Vec<Bytes>) -> Self {
        Batch { source, events: events.into_iter(), taken: Taken::default() }
    }

    fn next(&mut self) -> Option<Result<ReceivedEvent, Error>> {
        let event = self.events.next()?;
        self.taken.events += 1;
        self.taken.bytes += event.len();
        if self.events.as_slice().is_empty() || self.taken.events >= self.source.receiver.step() {
            self.source.receiver.give_back(&mut self.taken);
        }
        let event = ReceivedEvent::parse(event);
        Some(event.map(|event| event.in_partition(self.source.partition_id.clone())))
    }
}

impl Stream for EventStream {
    type Item = Result<ReceivedEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        self.has_ended
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.partition_ids().collect();
        f.debug_struct("EventStream").field("partitions", &ids).finish_non_exhaustive()
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Closed, "the stream has ended")
}

const _: () = {
    const fn sendable<T: Send + Sync + Unpin + 'static>() {}
    sendable::<EventStream>();
};
