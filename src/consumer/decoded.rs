//! The stream of events whose bodies are read with a codec.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::stream::FusedStream;

use super::stream::EventStream;
use crate::codec::Decode;
use crate::dialect::received::ReceivedEvent;
use crate::error::Error;

/// An event and the value in its body.
///
/// What else there is to say of the event can be asked of it directly: `event.sequence_number()`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DecodedEvent<T> {
    /// The value, or why the body is none. The stream goes on either way; an event that nobody can read is passed over by
    /// whoever reads, or put aside.
    pub body: Result<T, Error>,
    /// The event as it arrived.
    pub event: ReceivedEvent,
}

/// The events of an [`EventStream`], each with the value in its body: see [`EventStream::decoded`].
pub struct DecodedStream<T, C> {
    events: EventStream,
    codec: C,
    // Makes values and has none.
    values: PhantomData<fn() -> T>,
}

impl EventStream {
    /// The same stream, with the body of each event decoded when it is taken.
    ///
    /// A body that the codec cannot read is the error in that event's [`body`](DecodedEvent::body): it does not end the
    /// stream, and the events behind it arrive as ever.
    ///
    /// ```
    /// # #[cfg(feature = "json")]
    /// # async fn example(consumer: eventhubs::ConsumerClient) -> Result<(), eventhubs::Error> {
    /// use eventhubs::StartPosition;
    /// use eventhubs::codec::Json;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Reading {
    ///     celsius: f64,
    /// }
    ///
    /// let events = consumer.partition("0").from(StartPosition::earliest()).open().await?;
    /// let mut readings = events.decoded::<Reading, _>(Json);
    /// while let Some(event) = readings.next().await.transpose()? {
    ///     match &event.body {
    ///         Ok(reading) => println!("{}: {} °C", event.sequence_number(), reading.celsius),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn decoded<T, C: Decode<T>>(self, codec: C) -> DecodedStream<T, C> {
        DecodedStream { events: self, codec, values: PhantomData }
    }
}

impl<T, C: Decode<T>> DecodedStream<T, C> {
    /// The next event, as [`EventStream::next`] gives it.
    ///
    /// # Errors
    /// As [`EventStream::next`].
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<DecodedEvent<T>, Error>> {
        let event = self.events.next().await?;
        Some(event.map(|event| self.decode(event)))
    }

    /// At most `max_count` events, as [`EventStream::next_batch`] gives them.
    ///
    /// # Errors
    /// As [`EventStream::next_batch`].
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next_batch(
        &mut self,
        max_count: usize,
        max_wait: Duration,
    ) -> Result<Vec<DecodedEvent<T>>, Error> {
        let events = self.events.next_batch(max_count, max_wait).await?;
        Ok(events.into_iter().map(|event| self.decode(event)).collect())
    }

    /// The stream below, for what it can be asked.
    pub fn events(&self) -> &EventStream {
        &self.events
    }

    /// The stream below, behind the last event taken.
    pub fn into_events(self) -> EventStream {
        self.events
    }

    fn decode(&self, event: ReceivedEvent) -> DecodedEvent<T> {
        DecodedEvent { body: event.decode(&self.codec), event }
    }
}

impl<T, C: Decode<T> + Unpin> Stream for DecodedStream<T, C> {
    type Item = Result<DecodedEvent<T>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = Pin::new(&mut self.events).poll_next(cx);
        event.map(|event| event.map(|event| event.map(|event| self.decode(event))))
    }
}

impl<T, C: Decode<T> + Unpin> FusedStream for DecodedStream<T, C> {
    fn is_terminated(&self) -> bool {
        self.events.is_terminated()
    }
}

impl<T> Deref for DecodedEvent<T> {
    type Target = ReceivedEvent;

    fn deref(&self) -> &ReceivedEvent {
        &self.event
    }
}

impl<T, C> fmt::Debug for DecodedStream<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodedStream").field("events", &self.events).finish_non_exhaustive()
    }
}
