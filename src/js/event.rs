//! Events that JavaScript sends.

use bytes::Bytes;
use js_sys::{Array, Object};
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{bytes, entries, to_amqp};
use super::error::invalid;
use crate::amqp::message::{Body, Properties};
use crate::dialect::event::EventData;
use crate::error::Error;
use crate::model::value::{Symbol, Timestamp, Value};

/// The event with this body, unless `meta` has another, and with what `meta` says about it.
///
/// # Errors
/// Naming the property that cannot be sent.
pub(super) fn event(body: Bytes, meta: &JsValue) -> Result<EventData, Error> {
    let mut event = EventData::new(body);
    if meta.is_undefined() || meta.is_null() {
        return Ok(event);
    }
    let mut properties = Properties::default();
    let mut has_properties = false;
    for (name, value) in entries(meta.unchecked_ref::<Object>()) {
        match name.as_str() {
            // Null is a value too.
            "value" if !value.is_undefined() => event = event.with_body(Body::Value(to_amqp(&value)?)),
            _ if value.is_undefined() || value.is_null() => {}
            "noData" => event = event.with_body(Body::Data(vec![None])),
            "sequence" => event = event.with_body(Body::Sequence(sequence(&value)?)),
            "partitionKey" => event = event.with_partition_key(text(&name, &value)?),
            "properties" => {
                for (key, value) in entries(value.unchecked_ref::<Object>()) {
                    if value.is_undefined() {
                        continue;
                    }
                    let value = to_amqp(&value).map_err(|error| property(&key, &error))?;
                    event.set_property(key, value);
                }
            }
            "annotations" => {
                for (key, value) in entries(value.unchecked_ref::<Object>()) {
                    let value = to_amqp(&value).map_err(|error| property(&key, &error))?;
                    event = event.with_annotation(key, value);
                }
            }
            _ => {
                has_properties = true;
                amqp_property(&mut properties, &name, &value)?;
            }
        }
    }
    Ok(if has_properties { event.with_properties(properties) } else { event })
}

fn amqp_property(properties: &mut Properties, name: &str, value: &JsValue) -> Result<(), Error> {
    let texts = [
        ("subject", &mut properties.subject),
        ("to", &mut properties.to),
        ("replyTo", &mut properties.reply_to),
        ("groupId", &mut properties.group_id),
        ("replyToGroupId", &mut properties.reply_to_group_id),
    ];
    if let Some((_, slot)) = texts.into_iter().find(|(known, _)| *known == name) {
        *slot = Some(text(name, value)?);
        return Ok(());
    }
    match name {
        "messageId" => properties.message_id = Some(id(name, value)?),
        "correlationId" => properties.correlation_id = Some(id(name, value)?),
        "contentType" => properties.content_type = Some(Symbol::from(text(name, value)?)),
        "contentEncoding" => properties.content_encoding = Some(Symbol::from(text(name, value)?)),
        "userId" => {
            let user = bytes(value).or_else(|| value.as_string().map(Bytes::from));
            properties.user_id = Some(user.ok_or_else(|| wrong(name, "a string or bytes"))?);
        }
        "groupSequence" => {
            let number = value.as_f64().filter(|number| (0.0..4_294_967_296.0).contains(number));
            properties.group_sequence =
                Some(number.ok_or_else(|| wrong(name, "a number of 32 bits"))? as u32);
        }
        "absoluteExpiryTime" => properties.absolute_expiry_time = Some(time(name, value)?),
        "creationTime" => properties.creation_time = Some(time(name, value)?),
        // The facade knows the names; what comes here is a mistake of ours.
        _ => return Err(invalid(format!("an event has no property '{name}'"))),
    }
    Ok(())
}

fn sequence(value: &JsValue) -> Result<Vec<Vec<Value>>, Error> {
    let sections = value.dyn_ref::<Array>().ok_or_else(|| wrong("sequence", "a list"))?;
    let lists = sections.iter().map(|section| match to_amqp(&section)? {
        Value::List(items) => Ok(items),
        other => Ok(vec![other]),
    });
    lists.collect()
}

/// A message id is a string, an unsigned number or bytes.
fn id(name: &str, value: &JsValue) -> Result<Value, Error> {
    match to_amqp(value)? {
        id @ (Value::String(_) | Value::Binary(_) | Value::Ulong(_)) => Ok(id),
        number => match number.as_i64().and_then(|number| u64::try_from(number).ok()) {
            Some(number) => Ok(Value::Ulong(number)),
            None => Err(wrong(name, "a string, a whole number that is not negative, or bytes")),
        },
    }
}

fn text(name: &str, value: &JsValue) -> Result<String, Error> {
    value.as_string().ok_or_else(|| wrong(name, "a string"))
}

fn time(name: &str, value: &JsValue) -> Result<Timestamp, Error> {
    match to_amqp(value)? {
        Value::Timestamp(time) => Ok(time),
        number => {
            number.as_i64().map(Timestamp::from_millis).ok_or_else(|| wrong(name, "a Date or milliseconds"))
        }
    }
}

fn property(name: &str, error: &Error) -> Error {
    invalid(format!("the property '{name}': {}", error.message()))
}

fn wrong(name: &str, wanted: &str) -> Error {
    invalid(format!("an event's '{name}' is {wanted}"))
}
