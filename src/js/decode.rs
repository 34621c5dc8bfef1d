//! One received event, decoded in full when something of it is asked for that lies deeper than its body.

use js_sys::{Array, Object};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::convert::{binary, date, object, to_js};
use super::error::{set, thrown};
use super::properties::last_enqueued;
use crate::amqp::message::{Body, Header, Properties};
use crate::dialect::received::ReceivedEvent;
use crate::error::Error;
use crate::model::value::Value;

/// Every section of an encoded event: `{ header, deliveryAnnotations, messageAnnotations, properties,
/// applicationProperties, footer, data | value | sequence, lastEnqueued }`; what is absent is undefined.
#[wasm_bindgen]
pub fn decode(encoded: Vec<u8>) -> Result<JsValue, JsValue> {
    sections(encoded).map_err(|error| thrown(&error))
}

fn sections(encoded: Vec<u8>) -> Result<JsValue, Error> {
    let event = ReceivedEvent::parse(encoded.into())?;
    let message = event.message()?;
    let whole = Object::new();
    if let Some(header) = &message.header {
        set(&whole, "header", header_object(header));
    }
    let maps = [
        ("deliveryAnnotations", &message.delivery_annotations),
        ("messageAnnotations", &message.message_annotations),
        ("applicationProperties", &message.application_properties),
        ("footer", &message.footer),
    ];
    for (name, entries) in maps {
        if !entries.is_empty() {
            set(&whole, name, object(entries.iter().map(|(name, value)| (name.as_str(), value))));
        }
    }
    set(&whole, "properties", properties_object(&message.properties));
    match &message.body {
        Body::Empty => {}
        Body::Data(sections) => {
            let bytes: Array = sections
                .iter()
                .map(|data| data.as_ref().map_or(JsValue::NULL, |data| binary(data)))
                .collect();
            set(&whole, "data", bytes);
        }
        Body::Value(value) => set(&whole, "value", to_js(value)),
        Body::Sequence(sections) => {
            let lists: Array = sections
                .iter()
                .map(|list| JsValue::from(list.iter().map(to_js).collect::<Array>()))
                .collect();
            set(&whole, "sequence", lists);
        }
    }
    set(&whole, "lastEnqueued", last_enqueued(event.last_enqueued()?.as_ref()));
    Ok(whole.into())
}

fn header_object(header: &Header) -> Object {
    let object = Object::new();
    set(&object, "durable", header.durable);
    set(&object, "priority", header.priority);
    set(&object, "timeToLive", header.ttl);
    set(&object, "firstAcquirer", header.first_acquirer);
    set(&object, "deliveryCount", header.delivery_count);
    object
}

fn properties_object(properties: &Properties) -> Object {
    let object = Object::new();
    let values: [(&str, Option<&Value>); 2] = [
        ("messageId", properties.message_id.as_ref()),
        ("correlationId", properties.correlation_id.as_ref()),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            set(&object, name, to_js(value));
        }
    }
    let texts = [
        ("to", properties.to.as_deref()),
        ("subject", properties.subject.as_deref()),
        ("replyTo", properties.reply_to.as_deref()),
        ("contentType", properties.content_type.as_ref().map(|symbol| symbol.as_str())),
        ("contentEncoding", properties.content_encoding.as_ref().map(|symbol| symbol.as_str())),
        ("groupId", properties.group_id.as_deref()),
        ("replyToGroupId", properties.reply_to_group_id.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            set(&object, name, text);
        }
    }
    if let Some(user) = &properties.user_id {
        set(&object, "userId", binary(user));
    }
    if let Some(number) = properties.group_sequence {
        set(&object, "groupSequence", number);
    }
    if let Some(time) = properties.absolute_expiry_time {
        set(&object, "absoluteExpiryTime", date(time));
    }
    if let Some(time) = properties.creation_time {
        set(&object, "creationTime", date(time));
    }
    object
}
