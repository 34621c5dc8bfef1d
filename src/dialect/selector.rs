//! Where a receiver starts, as it stands in the filter of a link's source.

use std::fmt;

use super::annotations;
use super::conditions;
use crate::amqp::AmqpError;
use crate::model::position::{Anchor, StartPosition};
use crate::model::value::{Described, Symbol, Timestamp, Value};

/// The key and the symbolic descriptor of a selector filter.
pub const FILTER_NAME: &str = "apache.org:selector-filter:string";
/// The descriptor of a selector filter as most clients write it.
pub const FILTER_CODE: u64 = 0x0000_468C_0000_0004;
/// The descriptor of a selector filter as .NET writes it.
const FILTER_CODE_DOTNET: u64 = 0x0000_0013_7000_000A;

const PREFIX: &str = "amqp.annotation.";
/// What legacy clients call the enqueued time.
const ENQUEUED_TIME_LEGACY: &str = "x-opt-enqueuedtimeutc";
const LATEST: &str = "@latest";
const EARLIEST: &str = "-1";

/// The longest selector that is looked at, in bytes.
const MAX_BYTES: usize = 1024;

/// Where a receiver starts, as the service understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// The oldest retained event.
    Earliest,
    /// The partition's end; inclusive: the last event, if there is one.
    Latest {
        /// Whether the last event is delivered too.
        inclusive: bool,
    },
    /// An offset. May lie between two events.
    Offset {
        /// The offset.
        offset: i64,
        /// Whether an event at this offset is delivered too.
        inclusive: bool,
    },
    /// A sequence number.
    SequenceNumber {
        /// The number.
        number: i64,
        /// Whether the event with this number is delivered too.
        inclusive: bool,
    },
    /// A time.
    EnqueuedTime {
        /// The time.
        time: Timestamp,
        /// Whether events enqueued at this very time are delivered too.
        inclusive: bool,
    },
}

/// A text that is not a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    text: String,
}

/// Understands a selector's text.
///
/// # Errors
/// When it is not a position.
pub fn parse(text: &str) -> Result<Position, SelectorError> {
    position(text).ok_or_else(|| SelectorError { text: text.chars().take(MAX_BYTES / 4).collect() })
}

/// The selector's text for a position, in the form that every service version understands.
pub fn build(position: &StartPosition) -> String {
    let inclusive = position.is_inclusive();
    let (name, operand) = match position.anchor() {
        // The whole partition has nothing at its beginning that could be left out.
        Anchor::Earliest => return format!("{PREFIX}{} > '{EARLIEST}'", annotations::OFFSET),
        Anchor::Latest => (annotations::OFFSET, LATEST.to_owned()),
        Anchor::Offset(offset) => (annotations::OFFSET, offset.replace('\'', "''")),
        Anchor::SequenceNumber(number) => (annotations::SEQUENCE_NUMBER, number.to_string()),
        Anchor::EnqueuedTime(time) => (annotations::ENQUEUED_TIME, time.as_millis().to_string()),
    };
    let operator = if inclusive { ">=" } else { ">" };
    format!("{PREFIX}{name} {operator} '{operand}'")
}

/// The entry of a source's filter for a position.
pub fn filter(position: &StartPosition) -> (Symbol, Value) {
    let described =
        Described { descriptor: Value::Ulong(FILTER_CODE), value: Value::String(build(position)) };
    (Symbol::from_static(FILTER_NAME), Value::Described(Box::new(described)))
}

/// The position in the filter of a source, `None` without a filter. `link` is the link's name, for the error's text.
///
/// # Errors
/// What the link is to be refused with, in the service's words.
pub fn from_filter(filter: &[(Symbol, Value)], link: &str) -> Result<Option<Position>, AmqpError> {
    let mut found = None;
    for (key, value) in filter {
        let text = selector_text(value).ok_or_else(|| {
            let description = format!(
                "The link '{link}' contains invalid filter type. System only support Jms or Apache selector \
                 filter type but we found type '{}' associated with key '{key}'.",
                clr_type(value)
            );
            AmqpError::new(conditions::NOT_ALLOWED, description)
        })?;
        let position = parse(text)?;
        found.get_or_insert(position);
    }
    Ok(found)
}

/// The error for an offset behind the last event's.
pub fn offset_beyond_end(offset: i64, last: i64) -> AmqpError {
    AmqpError::new(
        conditions::ARGUMENT_ERROR,
        format!("The supplied offset '{offset}' is invalid. The last offset in the system is '{last}'"),
    )
}

/// The error for a sequence number behind the last event's.
pub fn sequence_number_beyond_end(number: i64, last: i64) -> AmqpError {
    AmqpError::new(
        conditions::ARGUMENT_ERROR,
        format!(
            "The supplied sequence number '{number}' is invalid. The last sequence number in the system is '{last}'"
        ),
    )
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The filter '{}' is not a valid amqp filter for EventHub entities", self.text)
    }
}

impl std::error::Error for SelectorError {}

impl From<SelectorError> for AmqpError {
    fn from(error: SelectorError) -> Self {
        AmqpError::new(conditions::ARGUMENT_ERROR, error.to_string())
    }
}

fn position(text: &str) -> Option<Position> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let expression = text.trim().strip_prefix(PREFIX)?;
    let (name, comparison) = expression.split_at(expression.find([' ', '\t', '\r', '\n', '>'])?);
    let operand = comparison.trim_start().strip_prefix('>')?;
    let (inclusive, operand) = match operand.strip_prefix('=') {
        Some(operand) => (true, operand),
        None => (false, operand),
    };
    let operand = operand.trim();
    let operand = match operand.strip_prefix('\'') {
        Some(quoted) => quoted.strip_suffix('\'')?,
        None => operand,
    };
    match name {
        annotations::OFFSET => match operand {
            EARLIEST => Some(Position::Earliest),
            LATEST => Some(Position::Latest { inclusive }),
            _ => Some(Position::Offset { offset: decimal(operand)?, inclusive }),
        },
        annotations::SEQUENCE_NUMBER => {
            Some(Position::SequenceNumber { number: decimal(operand)?, inclusive })
        }
        annotations::ENQUEUED_TIME | ENQUEUED_TIME_LEGACY => {
            Some(Position::EnqueuedTime { time: Timestamp::from_millis(decimal(operand)?), inclusive })
        }
        _ => None,
    }
}

fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn selector_text(value: &Value) -> Option<&str> {
    let Value::Described(described) = value else { return None };
    let known = match &described.descriptor {
        Value::Ulong(code) => matches!(*code, FILTER_CODE | FILTER_CODE_DOTNET),
        Value::Symbol(name) => name.as_str() == FILTER_NAME,
        _ => false,
    };
    match &described.value {
        Value::String(text) if known => Some(text),
        _ => None,
    }
}

/// What the service, which is written in .NET, calls a value's type.
fn clr_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "System.Boolean",
        Value::Ubyte(_) => "System.Byte",
        Value::Ushort(_) => "System.UInt16",
        Value::Uint(_) => "System.UInt32",
        Value::Ulong(_) => "System.UInt64",
        Value::Byte(_) => "System.SByte",
        Value::Short(_) => "System.Int16",
        Value::Int(_) => "System.Int32",
        Value::Long(_) => "System.Int64",
        Value::Float(_) => "System.Single",
        Value::Double(_) => "System.Double",
        Value::Char(_) => "System.Char",
        Value::Timestamp(_) => "System.DateTime",
        Value::Uuid(_) => "System.Guid",
        Value::Binary(_) => "System.ArraySegment`1[System.Byte]",
        Value::String(_) => "System.String",
        Value::Symbol(_) => "Microsoft.Azure.Amqp.Encoding.AmqpSymbol",
        Value::List(_) => "System.Collections.Generic.List`1[System.Object]",
        Value::Map(_) => "Microsoft.Azure.Amqp.Encoding.AmqpMap",
        Value::Array(_) => "System.Array",
        Value::Described(_) => "Microsoft.Azure.Amqp.Encoding.DescribedType",
        _ => "System.Decimal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn described(descriptor: impl Into<Value>, value: impl Into<Value>) -> Vec<(Symbol, Value)> {
        let described = Described { descriptor: descriptor.into(), value: value.into() };
        vec![(Symbol::from_static(FILTER_NAME), Value::Described(Box::new(described)))]
    }

    #[test]
    fn every_clients_selector_is_understood() {
        let offset = |offset, inclusive| Position::Offset { offset, inclusive };
        let number = |number, inclusive| Position::SequenceNumber { number, inclusive };
        let time = |millis| Timestamp::from_millis(millis);
        for (text, expected) in [
            ("amqp.annotation.x-opt-offset > '-1'", Position::Earliest),
            ("amqp.annotation.x-opt-offset > -1", Position::Earliest),
            ("amqp.annotation.x-opt-offset >= '-1'", Position::Earliest),
            ("amqp.annotation.x-opt-offset > '@latest'", Position::Latest { inclusive: false }),
            ("amqp.annotation.x-opt-offset >= '@latest'", Position::Latest { inclusive: true }),
            ("amqp.annotation.x-opt-offset > @latest", Position::Latest { inclusive: false }),
            ("amqp.annotation.x-opt-offset > '12916091040'", offset(12_916_091_040, false)),
            ("amqp.annotation.x-opt-offset >= '0'", offset(0, true)),
            ("amqp.annotation.x-opt-offset>5", offset(5, false)),
            ("amqp.annotation.x-opt-sequence-number >= '5'", number(5, true)),
            ("amqp.annotation.x-opt-sequence-number >='0'", number(0, true)),
            ("amqp.annotation.x-opt-sequence-number > '-1'", number(-1, false)),
            (" amqp.annotation.x-opt-sequence-number\t>\t 7 ", number(7, false)),
            (
                "amqp.annotation.x-opt-enqueued-time > '1552556128291'",
                Position::EnqueuedTime { time: time(1_552_556_128_291), inclusive: false },
            ),
            (
                "amqp.annotation.x-opt-enqueuedtimeutc >= 1552556128291",
                Position::EnqueuedTime { time: time(1_552_556_128_291), inclusive: true },
            ),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_position_is_refused_in_the_services_words() {
        for text in [
            "",
            "amqp.annotation.x-opt-offset",
            "amqp.annotation.x-opt-offset >",
            "amqp.annotation.x-opt-offset > ''",
            "amqp.annotation.x-opt-offset > '5",
            "amqp.annotation.x-opt-offset < '5'",
            "amqp.annotation.x-opt-offset = '5'",
            "amqp.annotation.x-opt-offset > no offset",
            "amqp.annotation.x-opt-offset > '+5'",
            "amqp.annotation.x-opt-offset > '9223372036854775808'",
            "amqp.annotation.x-opt-sequence-number > '@latest'",
            "amqp.annotation.x-opt-sequence-number > '1.5'",
            "amqp.annotation.x-opt-enqueued-time > 'yesterday'",
            "amqp.annotation.x-opt-partition-key > '1'",
            "x-opt-offset > '1'",
            "amqp.annotation.x-opt-offset > '1' AND x = 1",
        ] {
            let error = from_filter(&described(FILTER_CODE, text), "L1").unwrap_err();
            assert_eq!(error.condition.as_str(), "com.microsoft:argument-error", "{text}");
            let expected = format!("The filter '{text}' is not a valid amqp filter for EventHub entities");
            assert_eq!(error.description, Some(expected));
        }
        let long = parse(&"x".repeat(1 << 20)).unwrap_err().to_string();
        assert!(long.len() < 2000, "{}", long.len());
    }

    #[test]
    fn every_clients_filter_is_understood() {
        let text = "amqp.annotation.x-opt-offset > '@latest'";
        for descriptor in [
            Value::Ulong(FILTER_CODE),
            Value::Ulong(FILTER_CODE_DOTNET),
            Value::Symbol(Symbol::from_static(FILTER_NAME)),
        ] {
            let mut filter = described(descriptor, text);
            filter[0].0 = Symbol::from_static("any key");
            assert_eq!(from_filter(&filter, "L1"), Ok(Some(Position::Latest { inclusive: false })));
        }
        assert_eq!(from_filter(&[], "L1"), Ok(None));
    }

    #[test]
    fn an_unknown_filter_is_refused_in_the_services_words() {
        let plain = vec![(Symbol::from_static("k"), Value::from("amqp.annotation.x-opt-offset > '1'"))];
        for (filter, found, key) in [
            (plain, "System.String", "k"),
            (
                described(0x468C_0000_0003_u64, "x"),
                "Microsoft.Azure.Amqp.Encoding.DescribedType",
                FILTER_NAME,
            ),
            (described(FILTER_CODE, 5_i64), "Microsoft.Azure.Amqp.Encoding.DescribedType", FILTER_NAME),
        ] {
            let error = from_filter(&filter, "L1").unwrap_err();
            assert_eq!(error.condition.as_str(), "amqp:not-allowed");
            assert_eq!(
                error.description.unwrap(),
                format!(
                    "The link 'L1' contains invalid filter type. System only support Jms or Apache selector filter \
                     type but we found type '{found}' associated with key '{key}'."
                )
            );
        }
    }

    #[test]
    fn positions_are_written_as_every_service_understands_them() {
        for (position, text) in [
            (StartPosition::earliest(), "amqp.annotation.x-opt-offset > '-1'"),
            (StartPosition::earliest().inclusive(), "amqp.annotation.x-opt-offset > '-1'"),
            (StartPosition::latest(), "amqp.annotation.x-opt-offset > '@latest'"),
            (StartPosition::latest().inclusive(), "amqp.annotation.x-opt-offset >= '@latest'"),
            (StartPosition::offset("42"), "amqp.annotation.x-opt-offset > '42'"),
            (StartPosition::offset("it's"), "amqp.annotation.x-opt-offset > 'it''s'"),
            (StartPosition::sequence_number(7).inclusive(), "amqp.annotation.x-opt-sequence-number >= '7'"),
            (
                StartPosition::enqueued_time(Timestamp::from_millis(1)),
                "amqp.annotation.x-opt-enqueued-time > '1'",
            ),
        ] {
            assert_eq!(build(&position), text);
        }
    }

    #[test]
    fn positions_beyond_the_end_have_the_services_words() {
        let error = offset_beyond_end(51_541_496_928, 12_916_091_040);
        assert_eq!(
            error.to_string(),
            "The supplied offset '51541496928' is invalid. The last offset in the system is '12916091040' \
             (com.microsoft:argument-error)"
        );
        let error = sequence_number_beyond_end(488, 482);
        assert_eq!(
            error.description.unwrap(),
            "The supplied sequence number '488' is invalid. The last sequence number in the system is '482'"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_understood(number: i64, inclusive: bool) {
            let with = |position: StartPosition| if inclusive { position.inclusive() } else { position };
            let read = |position| from_filter(&[filter(&with(position))], "L").unwrap().unwrap();
            let time = Timestamp::from_millis(number);
            prop_assert_eq!(
                read(StartPosition::sequence_number(number)),
                Position::SequenceNumber { number, inclusive }
            );
            prop_assert_eq!(read(StartPosition::enqueued_time(time)), Position::EnqueuedTime { time, inclusive });
            prop_assume!(number != -1);
            prop_assert_eq!(
                read(StartPosition::offset(number.to_string())),
                Position::Offset { offset: number, inclusive }
            );
        }

        #[test]
        fn no_text_panics_the_parser(tail in ".*", operand in "[ >='a0@é-]*") {
            let _ = parse(&tail);
            let _ = parse(&format!("amqp.annotation.x-opt-offset{operand}"));
        }
    }
}
