//! Requests and their replies, as `$cbs` and `$management` speak them.

use bytes::{Bytes, BytesMut};

use super::conditions;
use crate::amqp::decode::{DecodeError, Fields, Reader};
use crate::amqp::message::{self, Body, Properties};
use crate::error::{Error, ErrorKind};
use crate::model::value::{Symbol, Value};

const STATUS_CODE: [&str; 2] = ["status-code", "statusCode"];
const STATUS_DESCRIPTION: [&str; 2] = ["status-description", "statusDescription"];
const ERROR_CONDITION: [&str; 2] = ["error-condition", "errorCondition"];

/// Who asked, so that the reply finds back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// The request's `message-id`, with its exact type: the reply's `correlation-id` must be the same.
    pub message_id: Option<Value>,
    /// Where the reply goes: the address or the name of the caller's receiving link.
    pub reply_to: Option<String>,
}

/// The reply to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The request's `message-id`.
    pub correlation_id: Option<Value>,
    /// The request's `reply-to`.
    pub to: Option<String>,
    /// What became of the request: as in HTTP.
    pub status: i32,
    /// The same, for people.
    pub description: String,
    /// Which condition made it fail.
    pub condition: Option<Symbol>,
    /// The answer.
    pub body: Value,
}

/// A request, before anyone looked at what is asked for.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) caller: Caller,
    properties: Vec<(String, Value)>,
    body: Bytes,
}

impl Caller {
    /// A caller that gave this `message-id` and waits at `reply_to`.
    pub fn new(message_id: impl Into<Value>, reply_to: impl Into<String>) -> Self {
        Caller { message_id: Some(message_id.into()), reply_to: Some(reply_to.into()) }
    }

    /// A reply to this caller.
    pub fn reply(&self, status: i32, description: impl Into<String>, body: Value) -> Reply {
        Reply {
            correlation_id: self.message_id.clone(),
            to: self.reply_to.clone(),
            status,
            description: description.into(),
            condition: None,
            body,
        }
    }

    /// A reply that says why the request failed.
    pub fn refuse(&self, status: i32, condition: impl Into<Symbol>, description: impl Into<String>) -> Reply {
        let mut reply = self.reply(status, description, Value::Null);
        reply.condition = Some(condition.into());
        reply
    }
}

impl Reply {
    /// The encoded message.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(256);
        let properties = Properties {
            to: self.to.clone(),
            correlation_id: self.correlation_id.clone(),
            ..Properties::default()
        };
        message::put_properties(&mut out, &properties);
        let mut entries = vec![
            // Clients insist on the signed type.
            (STATUS_CODE[0].to_owned(), Value::Int(self.status)),
            (STATUS_DESCRIPTION[0].to_owned(), Value::String(self.description.clone())),
        ];
        if let Some(condition) = &self.condition {
            entries.push((ERROR_CONDITION[0].to_owned(), Value::Symbol(condition.clone())));
        }
        message::put_application_properties(&mut out, &entries);
        message::put_value(&mut out, &self.body);
        out.freeze()
    }

    /// Understands an encoded reply.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when it is not one.
    pub fn parse(payload: &Bytes) -> Result<Self, Error> {
        let undecodable =
            |error: DecodeError| protocol(format!("a reply of the service cannot be decoded: {error}"));
        let sections = message::sections(payload).map_err(undecodable)?;
        let (to, correlation_id) = answered(&sections.properties.of(payload)).map_err(undecodable)?;
        let entries = message::map(&sections.application_properties.of(payload)).map_err(undecodable)?;
        let entry = |names: [&str; 2]| entries.iter().find(|(name, _)| names.contains(&name.as_str()));
        let status = entry(STATUS_CODE)
            .and_then(|(_, value)| value.as_i64())
            .and_then(|status| i32::try_from(status).ok())
            .ok_or_else(|| protocol("a reply of the service has no status code".to_owned()))?;
        let text = |names| entry(names).and_then(|(_, value)| value.as_str());
        let body = message::value(&sections.body.of(payload)).map_err(undecodable)?;
        Ok(Reply {
            correlation_id,
            to,
            status,
            description: text(STATUS_DESCRIPTION).unwrap_or_default().to_owned(),
            condition: text(ERROR_CONDITION).map(|condition| Symbol::from(condition.to_owned())),
            body,
        })
    }

    /// Whether the request succeeded.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer.
    ///
    /// # Errors
    /// What the service says, when the request failed.
    pub fn into_body(self) -> Result<Value, Error> {
        if self.is_success() {
            return Ok(self.body);
        }
        let condition = self.condition.as_ref().map(Symbol::as_str);
        Err(conditions::status_error(i64::from(self.status), condition, &self.description))
    }
}

#[allow(clippy::result_large_err, reason = "the error is the reply, and rare")]
impl Incoming {
    /// Takes a request apart; what is wrong with it is said in a reply.
    pub(super) fn parse(payload: &Bytes) -> Result<Self, Reply> {
        Self::decode(payload).map_err(|(caller, error)| {
            let text = format!("The request cannot be decoded: {error}.");
            caller.refuse(400, conditions::DECODE_ERROR, text)
        })
    }

    /// A text among the request's application properties.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(Value::as_str)
    }

    /// A value among the request's application properties.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A text among the request's application properties that must be there.
    pub(super) fn required(&self, name: &str) -> Result<String, Reply> {
        self.text(name).map(str::to_owned).ok_or_else(|| {
            let text = format!("The request has no application property '{name}' that is a string.");
            self.caller.refuse(400, conditions::ARGUMENT_ERROR, text)
        })
    }

    /// The request's body: a text, whatever kind of section holds it.
    pub(super) fn body_text(&self) -> Option<String> {
        match message::body(&self.body).ok()? {
            Body::Value(Value::String(text)) => Some(text),
            Body::Value(Value::Symbol(text)) => Some(text.as_str().to_owned()),
            Body::Value(Value::Binary(bytes)) => String::from_utf8(bytes.to_vec()).ok(),
            Body::Data(sections) => match sections.as_slice() {
                [Some(bytes)] => String::from_utf8(bytes.to_vec()).ok(),
                _ => None,
            },
            _ => None,
        }
    }

    fn decode(payload: &Bytes) -> Result<Self, (Caller, DecodeError)> {
        let mut caller = Caller::default();
        let sections = message::sections(payload).map_err(|error| (Caller::default(), error))?;
        match message::properties(&sections.properties.of(payload)) {
            Ok(properties) => {
                caller = Caller { message_id: properties.message_id, reply_to: properties.reply_to };
            }
            Err(error) => return Err((caller, error)),
        }
        match message::map(&sections.application_properties.of(payload)) {
            Ok(properties) => Ok(Incoming { caller, properties, body: sections.body.of(payload) }),
            Err(error) => Err((caller, error)),
        }
    }
}

/// Encodes a request.
pub(super) fn encode_request(caller: &Caller, entries: &[(String, Value)], body: &Value) -> Bytes {
    let mut out = BytesMut::with_capacity(512);
    message::put_request_properties(&mut out, caller.message_id.as_ref(), caller.reply_to.as_deref());
    message::put_application_properties(&mut out, entries);
    message::put_value(&mut out, body);
    out.freeze()
}

/// Who a reply is to, and which request it answers: nothing else in a `properties` section is looked at.
fn answered(properties: &Bytes) -> Result<(Option<String>, Option<Value>), DecodeError> {
    if properties.is_empty() {
        return Ok((None, None));
    }
    let mut reader = Reader::new(properties);
    let mut fields = Fields::of(&mut reader);
    let pass = |fields: &mut Fields<'_, '_>| (0..2).for_each(|_| fields.skip());
    // message-id and user-id, then subject and reply-to.
    pass(&mut fields);
    let to = fields.string();
    pass(&mut fields);
    let correlation_id = fields.value();
    fields.finish().map(|()| (to, correlation_id))
}

fn protocol(message: String) -> Error {
    Error::new(ErrorKind::Protocol, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::Uuid;
    use proptest::prelude::*;

    /// The payload of the put-token reply among the golden frames of protocol.md, appendix B.
    const GOLDEN: &str = "005373c0170d4040a1056362732d784040a1026d3140404040404040005374c13104a10b7374617475732d636f\
                          646571000000caa1127374617475732d6465736372697074696f6ea108416363657074656400537740";

    fn hex(text: &str) -> Bytes {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn a_reply_is_the_golden_one() {
        let reply = Caller::new("m1", "cbs-x").reply(202, "Accepted", Value::Null);
        assert_eq!(reply.encode(), hex(GOLDEN));
        assert_eq!(Reply::parse(&hex(GOLDEN)).unwrap(), reply);
    }

    #[test]
    fn the_correlation_id_keeps_its_type() {
        for id in [
            Value::Ulong(0),
            Value::Ulong(7),
            Value::from("m1"),
            Value::Uuid(Uuid::from_bytes([7; 16])),
            Value::Binary(Bytes::from_static(b"\x01")),
        ] {
            let request = encode_request(&Caller::new(id.clone(), "r"), &[], &Value::Null);
            let caller = Incoming::parse(&request).unwrap().caller;
            let reply = Reply::parse(&caller.reply(200, "OK", Value::Null).encode()).unwrap();
            assert_eq!((reply.correlation_id, reply.to.as_deref()), (Some(id), Some("r")));
        }
    }

    #[test]
    fn the_status_is_a_signed_int_and_both_spellings_are_read() {
        let encoded = Caller::default().reply(200, "OK", Value::Null).encode();
        let sections = message::sections(&encoded).unwrap();
        let status = message::map_get(&sections.application_properties.of(&encoded), "status-code").unwrap();
        assert_eq!(status, Some(Value::Int(200)));

        let mut out = BytesMut::new();
        let entries = [
            ("statusCode".to_owned(), Value::Uint(404)),
            ("statusDescription".to_owned(), Value::from("gone")),
            ("errorCondition".to_owned(), Value::from("amqp:not-found")),
        ];
        message::put_application_properties(&mut out, &entries);
        let reply = Reply::parse(&out.freeze()).unwrap();
        assert_eq!((reply.status, reply.body.clone()), (404, Value::Null));
        let error = reply.into_body().unwrap_err();
        assert_eq!((error.kind(), error.condition()), (ErrorKind::NotFound, Some("amqp:not-found")));
        assert_eq!(error.message(), "gone");
    }

    #[test]
    fn a_reply_without_a_status_is_an_error() {
        for payload in [&b""[..], b"\x00\x53\x77\x40", b"garbage", b"\x00\x53\x74\xc1\x05\x01"] {
            let error = Reply::parse(&Bytes::copy_from_slice(payload)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
        }
    }

    #[test]
    fn a_request_that_cannot_be_decoded_is_answered_with_its_correlation_id() {
        let mut request = BytesMut::from(&encode_request(&Caller::new(5_u64, "r"), &[], &Value::Null)[..]);
        request.truncate(request.len() - 4);
        // Application properties that are no map.
        request.extend_from_slice(b"\x00\x53\x74\x41");
        let reply = Incoming::parse(&request.freeze()).unwrap_err();
        assert_eq!((reply.status, reply.correlation_id), (400, Some(Value::Ulong(5))));
        assert_eq!(Incoming::parse(&Bytes::from_static(b"junk")).unwrap_err().status, 400);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_parsers(bytes: Vec<u8>, cut in 0..64_usize, at in 0..64_usize, byte: u8) {
            let mut broken = hex(GOLDEN).to_vec();
            broken[at] = byte;
            broken.truncate(broken.len() - cut);
            for bytes in [bytes, broken] {
                let bytes = Bytes::from(bytes);
                let _ = Reply::parse(&bytes);
                let _ = Incoming::parse(&bytes).map(|request| request.body_text());
            }
        }
    }
}
