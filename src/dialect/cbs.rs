//! Claims-based security: putting a token, and the answer to it.

use std::fmt;

use bytes::Bytes;

use super::conditions;
use super::rpc::{self, Caller, Incoming, Reply};
use crate::model::value::{Timestamp, Value};

const OPERATION: &str = "operation";
const PUT_TOKEN: &str = "put-token";
const TYPE: &str = "type";
const NAME: &str = "name";
const EXPIRATION: &str = "expiration";

/// What kind of token is put.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// A shared access signature.
    Sas,
    /// A JSON web token of Entra ID.
    Jwt,
}

/// The request to accept a token.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// Who asks.
    pub caller: Caller,
    /// What kind of token it is.
    pub token_type: TokenType,
    /// What the token is to be used for.
    pub audience: String,
    /// The token.
    pub token: String,
    /// When it ends, as the client says; a token says it itself, too.
    pub expiration: Option<Timestamp>,
}

impl TokenType {
    /// The type's name on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            TokenType::Sas => "servicebus.windows.net:sastoken",
            TokenType::Jwt => "jwt",
        }
    }
}

impl Request {
    /// The encoded message.
    pub fn encode(&self) -> Bytes {
        let mut entries = vec![
            (OPERATION.to_owned(), Value::from(PUT_TOKEN)),
            (TYPE.to_owned(), Value::from(self.token_type.as_str())),
            (NAME.to_owned(), Value::from(self.audience.as_str())),
        ];
        if let Some(expiration) = self.expiration {
            entries.push((EXPIRATION.to_owned(), Value::Timestamp(expiration)));
        }
        rpc::encode_request(&self.caller, &entries, &Value::from(self.token.as_str()))
    }

    /// Understands an encoded request.
    ///
    /// # Errors
    /// The reply to send, when it is not one that can be carried out.
    #[allow(clippy::result_large_err, reason = "the error is the reply, and rare")]
    pub fn parse(payload: &Bytes) -> Result<Self, Reply> {
        let request = Incoming::parse(payload)?;
        let operation = request.required(OPERATION)?;
        if operation != PUT_TOKEN {
            let text = format!("The operation '{operation}' is not supported.");
            return Err(request.caller.refuse(501, conditions::NOT_IMPLEMENTED, text));
        }
        let name = request.required(TYPE)?;
        let known = [TokenType::Sas, TokenType::Jwt].into_iter().find(|known| known.as_str() == name);
        let Some(token_type) = known else {
            let text = format!("The token type '{name}' is not supported.");
            return Err(request.caller.refuse(400, conditions::ARGUMENT_ERROR, text));
        };
        let Some(token) = request.body_text() else {
            let text = "The body of the request is not a token.";
            return Err(request.caller.refuse(400, conditions::ARGUMENT_ERROR, text));
        };
        let audience = request.required(NAME)?;
        let expiration = request.value(EXPIRATION).and_then(expiration);
        Ok(Request { caller: request.caller, token_type, audience, token, expiration })
    }

    /// The reply to a token that was accepted.
    pub fn accept(&self) -> Reply {
        // Some clients take nothing but 202 for success.
        self.caller.reply(202, "Accepted", Value::Null)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("caller", &self.caller)
            .field("token_type", &self.token_type)
            .field("audience", &self.audience)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

/// A time; Go writes it as text, in Unix seconds, and "0" for "ask the token".
fn expiration(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(seconds) => match seconds.parse::<i64>() {
            Ok(seconds) if seconds > 0 => Some(Timestamp::from_millis(seconds.saturating_mul(1000))),
            _ => None,
        },
        value => value.as_i64().map(Timestamp::from_millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp::message;
    use bytes::BytesMut;

    fn request() -> Request {
        Request {
            caller: Caller::new(0_u64, "cbs-x"),
            token_type: TokenType::Sas,
            audience: "sb://localhost/orders".to_owned(),
            token: "SharedAccessSignature sr=c2VjcmV0".to_owned(),
            expiration: Some(Timestamp::from_millis(1_767_225_600_000)),
        }
    }

    fn with_entries(entries: &[(&str, Value)], body: &Value) -> Bytes {
        let entries: Vec<_> =
            entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        rpc::encode_request(&Caller::new("m1", "r"), &entries, body)
    }

    #[test]
    fn a_request_survives_the_wire() {
        for token_type in [TokenType::Sas, TokenType::Jwt] {
            let request = Request { token_type, ..request() };
            assert_eq!(Request::parse(&request.encode()), Ok(request));
        }
        let plain = Request { caller: Caller::default(), expiration: None, ..request() };
        assert_eq!(Request::parse(&plain.encode()), Ok(plain));
    }

    #[test]
    fn an_accepted_token_is_answered_with_202() {
        let reply = Reply::parse(&request().accept().encode()).unwrap();
        assert_eq!((reply.status, reply.description.as_str()), (202, "Accepted"));
        assert_eq!((reply.correlation_id, reply.to), (Some(Value::Ulong(0)), Some("cbs-x".to_owned())));
    }

    #[test]
    fn expirations_come_as_time_or_as_text() {
        let parse = |expiration: Value| {
            let entries = [
                ("operation", Value::from("put-token")),
                ("type", Value::from("jwt")),
                ("name", Value::from("sb://h/e")),
                ("expiration", expiration),
                ("server-timeout", Value::Uint(60_000)),
            ];
            Request::parse(&with_entries(&entries, &Value::from("token"))).unwrap().expiration
        };
        let time = Timestamp::from_millis(1_767_225_600_000);
        assert_eq!(parse(Value::Timestamp(time)), Some(time));
        assert_eq!(parse(Value::from("1767225600")), Some(time));
        assert_eq!(parse(Value::from("0")), None);
        assert_eq!(parse(Value::from("soon")), None);
        assert_eq!(parse(Value::from(i64::MAX.to_string().as_str())), Some(Timestamp::from_millis(i64::MAX)));
    }

    #[test]
    fn a_wrong_request_is_answered_with_what_is_wrong() {
        let operation = ("operation", Value::from("put-token"));
        let kind = ("type", Value::from("jwt"));
        let name = ("name", Value::from("sb://h/e"));
        let token = Value::from("token");
        for (payload, status, text) in [
            (with_entries(&[], &token), 400, "'operation'"),
            (with_entries(&[("operation", Value::from("steal-token"))], &token), 501, "steal-token"),
            (with_entries(&[("operation", Value::Int(1))], &token), 400, "'operation'"),
            (with_entries(&[operation.clone(), name.clone()], &token), 400, "'type'"),
            (
                with_entries(&[operation.clone(), name.clone(), ("type", Value::from("x:y"))], &token),
                400,
                "x:y",
            ),
            (with_entries(&[operation.clone(), kind.clone()], &token), 400, "'name'"),
            (with_entries(&[operation.clone(), kind.clone(), name.clone()], &Value::Null), 400, "body"),
            (with_entries(&[operation, kind, name], &Value::List(vec![])), 400, "body"),
        ] {
            let reply = Request::parse(&payload).unwrap_err();
            assert_eq!((reply.status, reply.correlation_id), (status, Some(Value::from("m1"))), "{text}");
            assert!(reply.description.contains(text), "{}", reply.description);
            assert!(reply.condition.is_some());
        }
    }

    #[test]
    fn a_token_in_a_data_section_is_read_too() {
        let with_value = request().encode();
        let sections = message::sections(&with_value).unwrap();
        let mut out = BytesMut::from(&with_value[..sections.body.start as usize]);
        message::put_data(&mut out, b"token");
        assert_eq!(Request::parse(&out.freeze()).unwrap().token, "token");
    }

    #[test]
    fn a_token_is_not_printed() {
        let debug = format!("{:?}", request());
        assert!(debug.contains("orders") && !debug.contains("c2VjcmV0"), "{debug}");
    }
}
