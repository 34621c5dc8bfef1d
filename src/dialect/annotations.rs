//! The names that Event Hubs gives to things on the wire.

/// Message annotation, `int`: the epoch of the sequence number; -1 on hubs that are not geo-replicated.
pub const SEQUENCE_NUMBER_EPOCH: &str = "x-opt-sequence-number-epoch";
/// Message annotation, `long`: the event's number in its partition.
pub const SEQUENCE_NUMBER: &str = "x-opt-sequence-number";
/// Message annotation, `string`: where the event lies in its partition.
pub const OFFSET: &str = "x-opt-offset";
/// Message annotation, `timestamp`: when the service took the event.
pub const ENQUEUED_TIME: &str = "x-opt-enqueued-time";
/// Message annotation, `string`: what the partition was chosen by.
pub const PARTITION_KEY: &str = "x-opt-partition-key";
/// Message annotation, `string`: the publisher, on events sent to a publisher's address.
pub const PUBLISHER_NAME: &str = "x-opt-publisher-name";

/// Delivery annotation, `long`: the newest event's sequence number.
pub const LAST_ENQUEUED_SEQUENCE_NUMBER: &str = "last_enqueued_sequence_number";
/// Delivery annotation, `string`: the newest event's offset.
pub const LAST_ENQUEUED_OFFSET: &str = "last_enqueued_offset";
/// Delivery annotation, `timestamp`: when the newest event was enqueued.
pub const LAST_ENQUEUED_TIME: &str = "last_enqueued_time_utc";
/// Delivery annotation, `timestamp`: when the service looked.
pub const RETRIEVAL_TIME: &str = "runtime_info_retrieval_time_utc";

/// Capability of a receiver: wants the four delivery annotations above on every event.
pub const RECEIVER_RUNTIME_METRIC: &str = "com.microsoft:enable-receiver-runtime-metric";
/// Capability of a link: understands offsets that are not numbers.
pub const GEOREPLICATION: &str = "com.microsoft:georeplication";
/// Capability of a sender: numbers its events so that none is stored twice.
pub const IDEMPOTENT_PRODUCER: &str = "com.microsoft:idempotent-producer";

/// Link property, `long`: the owner level of a receiver. Its absence, not 0, means none.
pub const EPOCH: &str = "com.microsoft:epoch";
/// Link property, `string`: what a receiver is called in the texts of errors.
pub const RECEIVER_NAME: &str = "com.microsoft:receiver-name";
/// Link property: how long the client waits.
pub const TIMEOUT: &str = "com.microsoft:timeout";
/// Link property, `int`: what the link leads to.
pub const ENTITY_TYPE: &str = "com.microsoft:entity-type";

/// Link property and message annotation, `long`: which idempotent producer this is.
pub const PRODUCER_ID: &str = "com.microsoft:producer-id";
/// Link property and message annotation, `short`: which of two that are the same producer is the newer one.
pub const PRODUCER_EPOCH: &str = "com.microsoft:producer-epoch";
/// Link property, `int`: the number of the producer's last event; message annotation: the number of this one.
pub const PRODUCER_SEQUENCE_NUMBER: &str = "com.microsoft:producer-sequence-number";

/// The message format of a batch: an envelope with one data section per event.
pub const BATCH_FORMAT: u32 = 0x8001_3700;

/// The time that stands for "never": year 1, in milliseconds since the Unix epoch.
pub const NO_TIME_MILLIS: i64 = -62_135_596_800_000;

/// The largest publication that the service takes, in bytes, where the link says nothing else.
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 1_048_576;

/// The consumer group that every hub has.
pub const DEFAULT_CONSUMER_GROUP: &str = "$Default";
