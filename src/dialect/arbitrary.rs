//! Events and values of every kind, for property tests.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::event::EventData;
use crate::amqp::message::{Body, Properties};
use crate::model::value::{Described, Symbol, Timestamp, Uuid, Value};

/// Values of every type of AMQP, nested a little. No NaN, which equals nothing.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u8>().prop_map(Value::Ubyte),
        any::<u16>().prop_map(Value::Ushort),
        prop_oneof![Just(0), 0..300_u32, any::<u32>()].prop_map(Value::Uint),
        prop_oneof![Just(0), 0..300_u64, any::<u64>()].prop_map(Value::Ulong),
        any::<i8>().prop_map(Value::Byte),
        any::<i16>().prop_map(Value::Short),
        prop_oneof![-200..200_i32, any::<i32>()].prop_map(Value::Int),
        prop_oneof![-200..200_i64, any::<i64>()].prop_map(Value::Long),
        any::<i32>().prop_map(|n| Value::Float(n as f32)),
        any::<i64>().prop_map(|n| Value::Double(n as f64)),
        any::<[u8; 4]>().prop_map(Value::Decimal32),
        any::<[u8; 8]>().prop_map(Value::Decimal64),
        any::<[u8; 16]>().prop_map(Value::Decimal128),
        any::<char>().prop_map(Value::Char),
        any::<i64>().prop_map(|millis| Value::Timestamp(Timestamp::from_millis(millis))),
        any::<[u8; 16]>().prop_map(|bytes| Value::Uuid(Uuid::from_bytes(bytes))),
        binary(300).prop_map(Value::Binary),
        ".{0,300}".prop_map(Value::String),
        "[a-z:./-]{0,40}".prop_map(|text| Value::Symbol(Symbol::from(text))),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            vec((inner.clone(), inner.clone()), 0..3).prop_map(Value::Map),
            vec(any::<i64>().prop_map(Value::Long), 0..5).prop_map(Value::Array),
            vec(".{0,20}".prop_map(Value::String), 0..5).prop_map(Value::Array),
            inner.prop_map(|value| {
                let descriptor = Value::Symbol(Symbol::from_static("com.microsoft:timespan"));
                Value::Described(Box::new(Described { descriptor, value }))
            }),
        ]
    })
}

/// Bodies of every kind.
pub(super) fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => binary(600).prop_map(|data| Body::Data(vec![Some(data)])),
        1 => vec(option::of(binary(300)), 1..4).prop_map(Body::Data),
        1 => value().prop_map(Body::Value),
        1 => vec(vec(value(), 0..3), 1..3).prop_map(Body::Sequence),
        1 => Just(Body::Empty),
    ]
}

/// Events with and without everything.
pub(super) fn event() -> impl Strategy<Value = EventData> {
    let named = (".{0,20}", value());
    let annotation = ("[a-wyz][a-z.-]{0,30}", value());
    (body(), option::of(properties()), vec(named, 0..4), vec(annotation, 0..4)).prop_map(
        |(body, properties, named, annotations)| {
            let mut event = EventData::from(body);
            for (name, value) in named {
                event.set_property(name, value);
            }
            for (name, value) in annotations {
                event = event.with_annotation(name, value);
            }
            match properties {
                // Properties that are all absent arrive as none.
                Some(properties) if properties != Properties::default() => event.with_properties(properties),
                _ => event,
            }
        },
    )
}

fn properties() -> impl Strategy<Value = Properties> {
    let id = || {
        option::of(prop_oneof![
            any::<u64>().prop_map(Value::Ulong),
            any::<[u8; 16]>().prop_map(|bytes| Value::Uuid(Uuid::from_bytes(bytes))),
            binary(20).prop_map(Value::Binary),
            ".{0,20}".prop_map(Value::String),
        ])
    };
    let text = || option::of(".{0,300}");
    let symbol = || option::of("[ -~]{0,20}".prop_map(Symbol::from));
    let time = || option::of(any::<i64>().prop_map(Timestamp::from_millis));
    let first = (id(), option::of(binary(20)), text(), text(), text(), id());
    let second = (symbol(), symbol(), time(), time(), text(), option::of(any::<u32>()), text());
    (first, second).prop_map(|(first, second)| Properties {
        message_id: first.0,
        user_id: first.1,
        to: first.2,
        subject: first.3,
        reply_to: first.4,
        correlation_id: first.5,
        content_type: second.0,
        content_encoding: second.1,
        absolute_expiry_time: second.2,
        creation_time: second.3,
        group_id: second.4,
        group_sequence: second.5,
        reply_to_group_id: second.6,
    })
}

fn binary(most: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}
