//! Reading the properties of hubs and partitions.

use std::fmt;

use bytes::Bytes;

use super::annotations::NO_TIME_MILLIS;
use super::conditions;
use super::rpc::{self, Caller, Incoming, Reply};
use crate::error::{Error, ErrorKind};
use crate::model::value::{Timestamp, Value};

const OPERATION: &str = "operation";
const READ: &str = "READ";
const NAME: &str = "name";
const TYPE: &str = "type";
const PARTITION: &str = "partition";
const SECURITY_TOKEN: &str = "security_token";
const HUB_TYPE: &str = "com.microsoft:eventhub";
const PARTITION_TYPE: &str = "com.microsoft:partition";

const CREATED_AT: &str = "created_at";
const PARTITION_COUNT: &str = "partition_count";
const PARTITION_IDS: &str = "partition_ids";
const GEOREPLICATION_FACTOR: &str = "georeplication_factor";
const BEGIN_SEQUENCE_NUMBER: &str = "begin_sequence_number";
const BEGIN_SEQUENCE_NUMBER_EPOCH: &str = "begin_sequence_number_epoch";
const LAST_SEQUENCE_NUMBER: &str = "last_enqueued_sequence_number";
const LAST_SEQUENCE_NUMBER_EPOCH: &str = "last_enqueued_sequence_number_epoch";
const LAST_OFFSET: &str = "last_enqueued_offset";
const LAST_TIME: &str = "last_enqueued_time_utc";
const IS_EMPTY: &str = "is_partition_empty";

/// The request for the properties of a hub or of one of its partitions.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// Who asks.
    pub caller: Caller,
    /// The hub.
    pub hub: String,
    /// The partition, when its properties are asked for and not the hub's.
    pub partition: Option<String>,
    /// The token that allows it.
    pub security_token: Option<String>,
}

/// What there is to know about a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubProperties {
    /// The hub's name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its partitions.
    pub partition_ids: Vec<String>,
    /// How many regions hold it: 1 unless it is geo-replicated.
    pub georeplication_factor: i32,
}

/// What there is to know about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionProperties {
    /// The hub's name.
    pub hub: String,
    /// The partition's id.
    pub partition_id: String,
    /// The sequence number of the oldest retained event.
    pub begin_sequence_number: i64,
    /// The sequence number of the newest event; -1 when there never was one.
    pub last_enqueued_sequence_number: i64,
    /// The offset of the newest event; `-1` when there never was one.
    pub last_enqueued_offset: String,
    /// When the newest event was enqueued; `None` when there never was one.
    pub last_enqueued_time: Option<Timestamp>,
    /// Whether no event is retained.
    pub is_empty: bool,
}

impl Request {
    /// The encoded message.
    pub fn encode(&self) -> Bytes {
        let kind = if self.partition.is_some() { PARTITION_TYPE } else { HUB_TYPE };
        let mut entries = vec![
            (OPERATION.to_owned(), Value::from(READ)),
            (NAME.to_owned(), Value::from(self.hub.as_str())),
            (TYPE.to_owned(), Value::from(kind)),
        ];
        for (name, value) in [(PARTITION, &self.partition), (SECURITY_TOKEN, &self.security_token)] {
            if let Some(value) = value {
                entries.push((name.to_owned(), Value::from(value.as_str())));
            }
        }
        rpc::encode_request(&self.caller, &entries, &Value::Null)
    }

    /// Understands an encoded request.
    ///
    /// # Errors
    /// The reply to send, when it is not one that can be carried out.
    #[allow(clippy::result_large_err, reason = "the error is the reply, and rare")]
    pub fn parse(payload: &Bytes) -> Result<Self, Reply> {
        let request = Incoming::parse(payload)?;
        let operation = request.required(OPERATION)?;
        if !operation.eq_ignore_ascii_case(READ) {
            let text = format!("The operation '{operation}' is not supported.");
            return Err(request.caller.refuse(501, conditions::NOT_IMPLEMENTED, text));
        }
        let kind = request.required(TYPE)?;
        let partition = if kind.eq_ignore_ascii_case(PARTITION_TYPE) {
            Some(request.required(PARTITION)?)
        } else if kind.eq_ignore_ascii_case(HUB_TYPE) {
            None
        } else {
            let text = format!("The entity type '{kind}' is not supported.");
            return Err(request.caller.refuse(400, conditions::ARGUMENT_ERROR, text));
        };
        let hub = request.required(NAME)?;
        let security_token = request.text(SECURITY_TOKEN).map(str::to_owned);
        Ok(Request { caller: request.caller, hub, partition, security_token })
    }

    /// The reply with a hub's properties.
    pub fn reply_hub(&self, hub: &HubProperties) -> Reply {
        let ids = hub.partition_ids.iter().map(|id| Value::from(id.as_str())).collect();
        let count = i32::try_from(hub.partition_ids.len()).unwrap_or(i32::MAX);
        let body = map(vec![
            (NAME, Value::from(hub.name.as_str())),
            (TYPE, Value::from(HUB_TYPE)),
            (CREATED_AT, Value::Timestamp(hub.created_at)),
            (PARTITION_COUNT, Value::Int(count)),
            (PARTITION_IDS, Value::Array(ids)),
            (GEOREPLICATION_FACTOR, Value::Int(hub.georeplication_factor)),
        ]);
        self.caller.reply(200, "OK", body)
    }

    /// The reply with a partition's properties.
    pub fn reply_partition(&self, partition: &PartitionProperties) -> Reply {
        let never = Timestamp::from_millis(NO_TIME_MILLIS);
        let body = map(vec![
            (NAME, Value::from(partition.hub.as_str())),
            (TYPE, Value::from(PARTITION_TYPE)),
            (PARTITION, Value::from(partition.partition_id.as_str())),
            (BEGIN_SEQUENCE_NUMBER, Value::Long(partition.begin_sequence_number)),
            (BEGIN_SEQUENCE_NUMBER_EPOCH, Value::Int(-1)),
            (LAST_SEQUENCE_NUMBER, Value::Long(partition.last_enqueued_sequence_number)),
            (LAST_SEQUENCE_NUMBER_EPOCH, Value::Int(-1)),
            (LAST_OFFSET, Value::from(partition.last_enqueued_offset.as_str())),
            (LAST_TIME, Value::Timestamp(partition.last_enqueued_time.unwrap_or(never))),
            (IS_EMPTY, Value::Bool(partition.is_empty)),
        ]);
        self.caller.reply(200, "OK", body)
    }
}

impl HubProperties {
    /// The properties of a hub with partitions `0` to `partitions - 1`, in one region.
    pub fn new(name: impl Into<String>, created_at: Timestamp, partitions: u32) -> Self {
        HubProperties {
            name: name.into(),
            created_at,
            partition_ids: (0..partitions).map(|id| id.to_string()).collect(),
            georeplication_factor: 1,
        }
    }

    /// What a reply says about a hub.
    ///
    /// # Errors
    /// What the service says, when the request failed; [`ErrorKind::Protocol`] when the answer is not about a hub.
    pub fn from_reply(reply: Reply) -> Result<Self, Error> {
        let body = Answer::of(reply)?;
        Ok(HubProperties {
            name: body.text(NAME)?,
            created_at: Timestamp::from_millis(body.integer(CREATED_AT)?),
            partition_ids: body.texts(PARTITION_IDS)?,
            georeplication_factor: body
                .integer(GEOREPLICATION_FACTOR)
                .ok()
                .and_then(|factor| i32::try_from(factor).ok())
                .unwrap_or(1),
        })
    }
}

impl PartitionProperties {
    /// The properties of a partition that nothing was ever written to.
    pub fn new(hub: impl Into<String>, partition_id: impl Into<String>) -> Self {
        PartitionProperties {
            hub: hub.into(),
            partition_id: partition_id.into(),
            begin_sequence_number: 0,
            last_enqueued_sequence_number: -1,
            last_enqueued_offset: "-1".to_owned(),
            last_enqueued_time: None,
            is_empty: true,
        }
    }

    /// How many events the partition holds.
    pub fn events(&self) -> u64 {
        self.events_behind(None)
    }

    /// How many events the partition holds behind the one with this sequence number, or in all: how far whoever has processed that one
    /// is behind. Those that are gone already do not count.
    pub fn events_behind(&self, sequence_number: Option<i64>) -> u64 {
        if self.is_empty {
            return 0;
        }
        let first = self.begin_sequence_number;
        let next = sequence_number.map_or(first, |number| number.saturating_add(1).max(first));
        let end = self.last_enqueued_sequence_number.saturating_add(1);
        u64::try_from(end.saturating_sub(next)).unwrap_or(0)
    }

    /// What a reply says about a partition.
    ///
    /// # Errors
    /// What the service says, when the request failed; [`ErrorKind::Protocol`] when the answer is not about a partition.
    pub fn from_reply(reply: Reply) -> Result<Self, Error> {
        let body = Answer::of(reply)?;
        let time = body.integer(LAST_TIME)?;
        Ok(PartitionProperties {
            hub: body.text(NAME)?,
            partition_id: body.text(PARTITION)?,
            begin_sequence_number: body.integer(BEGIN_SEQUENCE_NUMBER)?,
            last_enqueued_sequence_number: body.integer(LAST_SEQUENCE_NUMBER)?,
            last_enqueued_offset: body.text(LAST_OFFSET)?,
            last_enqueued_time: (time > NO_TIME_MILLIS).then_some(Timestamp::from_millis(time)),
            is_empty: matches!(body.value(IS_EMPTY)?, Value::Bool(true)),
        })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("caller", &self.caller)
            .field("hub", &self.hub)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

/// The map in a successful reply.
struct Answer(Vec<(Value, Value)>);

impl Answer {
    fn of(reply: Reply) -> Result<Self, Error> {
        match reply.into_body()? {
            Value::Map(entries) => Ok(Answer(entries)),
            _ => Err(Error::new(ErrorKind::Protocol, "the service's answer to a READ request is not a map")),
        }
    }

    fn value(&self, name: &str) -> Result<&Value, Error> {
        let entry = self.0.iter().find(|(key, _)| key.as_str() == Some(name));
        entry.map(|(_, value)| value).ok_or_else(|| wrong(name))
    }

    fn text(&self, name: &str) -> Result<String, Error> {
        self.value(name)?.as_str().map(str::to_owned).ok_or_else(|| wrong(name))
    }

    fn integer(&self, name: &str) -> Result<i64, Error> {
        self.value(name)?.as_i64().ok_or_else(|| wrong(name))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let (Value::Array(values) | Value::List(values)) = self.value(name)? else {
            return Err(wrong(name));
        };
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| wrong(name));
        values.iter().map(text).collect()
    }
}

fn wrong(name: &str) -> Error {
    Error::new(ErrorKind::Protocol, format!("the service's answer to a READ request has no proper '{name}'"))
}

fn map(entries: Vec<(&str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(partition: Option<&str>) -> Request {
        Request {
            caller: Caller::new(1_u64, "mgmt"),
            hub: "orders".to_owned(),
            partition: partition.map(str::to_owned),
            security_token: Some("SharedAccessSignature c2VjcmV0".to_owned()),
        }
    }

    fn value<'a>(reply: &'a Reply, name: &str) -> &'a Value {
        let Value::Map(entries) = &reply.body else { panic!("no map") };
        &entries.iter().find(|(key, _)| *key == Value::from(name)).unwrap().1
    }

    #[test]
    fn a_request_survives_the_wire() {
        for partition in [None, Some("3")] {
            let request = request(partition);
            assert_eq!(Request::parse(&request.encode()), Ok(request));
        }
    }

    #[test]
    fn a_hubs_properties_survive_the_wire_with_the_types_that_clients_insist_on() {
        let hub = HubProperties::new("orders", Timestamp::from_millis(1_767_225_600_000), 3);
        let reply = Reply::parse(&request(None).reply_hub(&hub).encode()).unwrap();
        assert_eq!((reply.status, &reply.correlation_id), (200, &Some(Value::Ulong(1))));
        let ids = ["0", "1", "2"].map(Value::from).to_vec();
        assert_eq!(value(&reply, "partition_ids"), &Value::Array(ids));
        assert_eq!(value(&reply, "partition_count"), &Value::Int(3));
        assert_eq!(value(&reply, "georeplication_factor"), &Value::Int(1));
        assert_eq!(value(&reply, "type"), &Value::from("com.microsoft:eventhub"));
        assert_eq!(HubProperties::from_reply(reply).unwrap(), hub);
    }

    #[test]
    fn a_partitions_properties_survive_the_wire_with_the_types_that_clients_insist_on() {
        let written = PartitionProperties {
            begin_sequence_number: 5,
            last_enqueued_sequence_number: 9,
            last_enqueued_offset: "448".to_owned(),
            last_enqueued_time: Some(Timestamp::from_millis(1_767_225_600_000)),
            is_empty: false,
            ..PartitionProperties::new("orders", "1")
        };
        for partition in [written, PartitionProperties::new("orders", "2")] {
            let reply = Reply::parse(&request(Some("1")).reply_partition(&partition).encode()).unwrap();
            assert_eq!(value(&reply, "begin_sequence_number_epoch"), &Value::Int(-1));
            assert_eq!(value(&reply, "last_enqueued_sequence_number_epoch"), &Value::Int(-1));
            assert!(matches!(value(&reply, "last_enqueued_offset"), Value::String(_)));
            assert!(matches!(value(&reply, "last_enqueued_sequence_number"), Value::Long(_)));
            if partition.is_empty {
                let never = Value::Timestamp(Timestamp::from_millis(-62_135_596_800_000));
                assert_eq!(value(&reply, "last_enqueued_time_utc"), &never);
            }
            assert_eq!(PartitionProperties::from_reply(reply).unwrap(), partition);
        }
    }

    #[test]
    fn a_wrong_request_is_answered_with_what_is_wrong() {
        let entries = |entries: &[(&str, &str)]| {
            let entries: Vec<_> = entries.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v))).collect();
            rpc::encode_request(&Caller::new("m1", "r"), &entries, &Value::Null)
        };
        let (read, hub) = (("operation", "READ"), ("name", "orders"));
        for (payload, status, text) in [
            (entries(&[]), 400, "'operation'"),
            (entries(&[("operation", "DELETE"), hub]), 501, "DELETE"),
            (entries(&[read, hub]), 400, "'type'"),
            (entries(&[read, hub, ("type", "com.microsoft:queue")]), 400, "queue"),
            (entries(&[read, hub, ("type", "com.microsoft:partition")]), 400, "'partition'"),
            (entries(&[read, ("type", "com.microsoft:eventhub")]), 400, "'name'"),
        ] {
            let reply = Request::parse(&payload).unwrap_err();
            assert_eq!((reply.status, reply.correlation_id), (status, Some(Value::from("m1"))), "{text}");
            assert!(reply.description.contains(text), "{}", reply.description);
        }
    }

    #[test]
    fn a_request_without_a_body_is_understood() {
        let encoded = request(None).encode();
        // Python leaves the body out.
        let cut = encoded.slice(..encoded.len() - 4);
        assert_eq!(Request::parse(&cut), Ok(request(None)));
    }

    #[test]
    fn a_failed_or_strange_answer_is_an_error() {
        let caller = Caller::default();
        let refused =
            caller.refuse(404, conditions::NOT_FOUND, "The messaging entity 'h/o' could not be found.");
        assert_eq!(HubProperties::from_reply(refused).unwrap_err().kind(), ErrorKind::NotFound);
        for body in [Value::Null, map(vec![]), map(vec![(NAME, Value::Int(1))])] {
            let error = HubProperties::from_reply(caller.reply(200, "OK", body.clone())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
            let error = PartitionProperties::from_reply(caller.reply(200, "OK", body)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let debug = format!("{:?}", request(None));
        assert!(debug.contains("orders") && !debug.contains("c2VjcmV0"), "{debug}");
    }
}
