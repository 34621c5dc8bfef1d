//! Members of a group, and what they noted down.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventhubs::checkpoint::{CheckpointStore, ConsumerGroup};
use eventhubs::processor::{
    CloseReason, EventHandler, EventProcessor, EventProcessorBuilder, HandlerError, Operation,
    PartitionContext, ProcessorFailure,
};
use eventhubs::{Error, ReceivedEvent, SendOptions, StartPosition};

use crate::support::{HUB, PARTITIONS, Running, soon};

/// Short, so that tests do not wait.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
pub(crate) const EXPIRY: Duration = Duration::from_millis(2_500);

/// What a member's handler noted down.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

#[derive(Clone, Debug)]
pub(crate) enum Note {
    Began,
    Took(String, Vec<i64>, Vec<String>),
    Closed(String, CloseReason),
    Failed(Option<String>, Operation, Error),
}

/// A processor that runs.
pub(crate) struct Member {
    pub(crate) processor: EventProcessor,
    pub(crate) notes: Notes,
    pub(crate) run: tokio::task::JoinHandle<Result<(), Error>>,
}

/// Notes everything down, and checkpoints each batch when it is to.
pub(crate) struct Scribe {
    pub(crate) notes: Notes,
    pub(crate) checkpoints: bool,
}

impl EventHandler for Scribe {
    async fn process(
        &self,
        events: &[ReceivedEvent],
        partition: &PartitionContext,
    ) -> Result<(), HandlerError> {
        self.notes.took(partition, events);
        if self.checkpoints {
            partition.checkpoint(events.last().unwrap()).await?;
        }
        Ok(())
    }

    async fn initialize(&self, _: &PartitionContext) -> Result<Option<StartPosition>, HandlerError> {
        self.notes.add(Note::Began);
        Ok(None)
    }

    async fn close(&self, partition: &PartitionContext, reason: CloseReason) -> Result<(), HandlerError> {
        self.notes.add(Note::Closed(partition.partition_id().to_owned(), reason));
        Ok(())
    }

    async fn error(&self, failure: ProcessorFailure) {
        self.notes.failed(failure);
    }
}

impl Notes {
    pub(crate) fn add(&self, note: Note) {
        self.0.lock().unwrap().push(note);
    }

    pub(crate) fn took(&self, partition: &PartitionContext, events: &[ReceivedEvent]) {
        let numbers = events.iter().map(ReceivedEvent::sequence_number).collect();
        let texts = events.iter().map(|event| event.body_text().unwrap()).collect();
        self.add(Note::Took(partition.partition_id().to_owned(), numbers, texts));
    }

    pub(crate) fn failed(&self, failure: ProcessorFailure) {
        self.add(Note::Failed(failure.partition_id, failure.operation, failure.error));
    }

    pub(crate) fn all(&self) -> Vec<Note> {
        self.0.lock().unwrap().clone()
    }

    /// The sequence numbers that were taken of a partition.
    pub(crate) fn numbers(&self, partition: &str) -> Vec<i64> {
        let took = |note| match note {
            Note::Took(id, numbers, _) if id == partition => Some(numbers),
            _ => None,
        };
        self.all().into_iter().filter_map(took).flatten().collect()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let took = |note| match note {
            Note::Took(_, _, texts) => Some(texts),
            _ => None,
        };
        self.all().into_iter().filter_map(took).flatten().collect()
    }

    pub(crate) fn reasons(&self, partition: &str) -> Vec<CloseReason> {
        let closed = |note| match note {
            Note::Closed(id, reason) if id == partition => Some(reason),
            _ => None,
        };
        self.all().into_iter().filter_map(closed).collect()
    }

    pub(crate) fn failures(&self, wanted: Operation) -> Vec<(Option<String>, Error)> {
        let failed = |note| match note {
            Note::Failed(id, operation, error) if operation == wanted => Some((id, error)),
            _ => None,
        };
        self.all().into_iter().filter_map(failed).collect()
    }
}

pub(crate) fn builder(running: &Running, store: impl CheckpointStore) -> EventProcessorBuilder {
    EventProcessor::builder(running.consumer(), store)
        .load_balancing_interval(INTERVAL)
        .ownership_expiration(EXPIRY)
}

/// Starts a member that writes down what happens to it.
pub(crate) fn join(builder: EventProcessorBuilder) -> Member {
    let notes = Notes::default();
    join_with(builder, notes.clone(), Scribe { notes, checkpoints: true })
}

pub(crate) fn join_with(builder: EventProcessorBuilder, notes: Notes, handler: impl EventHandler) -> Member {
    let processor = builder.build().unwrap();
    let own = processor.clone();
    let run = tokio::spawn(async move { own.run(handler).await });
    Member { processor, notes, run }
}

impl Member {
    /// The partitions that it processes.
    pub(crate) fn held(&self) -> Vec<String> {
        let partitions = self.processor.partitions();
        partitions
            .iter()
            .filter(|partition| partition.closing().is_none())
            .map(|partition| partition.partition_id().to_owned())
            .collect()
    }

    /// Stops it, and says how it ended.
    pub(crate) async fn stop(self) -> Notes {
        soon(self.processor.stop()).await;
        soon(self.run).await.unwrap().unwrap();
        self.notes
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "in vain: {what}");
}

/// Sends `count` events to each partition; their texts.
pub(crate) async fn fill(running: &Running, count: usize, label: &str) -> Vec<String> {
    let producer = running.producer();
    let mut texts = Vec::new();
    for partition in 0..PARTITIONS {
        for number in 0..count {
            let text = format!("{label}-{partition}-{number}");
            let to = SendOptions::to_partition(partition.to_string());
            soon(producer.send_with(text.as_str(), to)).await.unwrap();
            texts.push(text);
        }
    }
    texts
}

/// The group as the processors call it.
pub(crate) fn group() -> ConsumerGroup {
    ConsumerGroup { namespace: "localhost".into(), event_hub: HUB.into(), name: "$Default".into() }
}

/// Whether each text was taken at least once.
pub(crate) fn has_all(notes: &[&Notes], texts: &[String]) -> bool {
    let taken: std::collections::BTreeSet<String> = notes.iter().flat_map(|notes| notes.texts()).collect();
    texts.iter().all(|text| taken.contains(text))
}
