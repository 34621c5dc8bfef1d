//! Shared access signatures: making and checking them.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::encoding::{base64, base64_decoded, percent_decoded, percent_encoded};
use crate::error::{Error, ErrorKind};

/// What stands in front of every token.
const PREFIX: &str = "SharedAccessSignature";

/// The longest token that is looked at, in bytes. Real ones have a few hundred.
const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// Makes a token that allows, until `expiry` (Unix seconds), what the key allows on `resource` and what lies below it.
///
/// The key's text is used as it is; keys that look like Base64 are not decoded.
///
/// ```
/// let token = eventhubs::model::sas::sign("sb://localhost/eh1", "RootManageSharedAccessKey", "SAS_KEY_VALUE", 2_000_000_000);
/// assert!(token.starts_with("SharedAccessSignature sr=sb%3A%2F%2Flocalhost%2Feh1&sig=6lUdmsa83qrU8ycjYU"));
/// ```
pub fn sign(resource: &str, key_name: &str, key: &str, expiry: i64) -> String {
    let resource = percent_encoded(resource);
    let expiry = expiry.to_string();
    let signature = base64(&signature(key, &resource, &expiry).finalize().into_bytes());
    let signature = percent_encoded(&signature);
    let key_name = percent_encoded(key_name);
    format!("{PREFIX} sr={resource}&sig={signature}&se={expiry}&skn={key_name}")
}

/// A token that someone presents.
#[derive(Clone, PartialEq, Eq)]
pub struct SasToken {
    /// `sr` and `se` to the letter: the signature is over this text.
    resource_text: String,
    expiry_text: String,
    key_name_text: String,
    signature: Vec<u8>,
    expiry: i64,
}

impl SasToken {
    /// Takes a token apart. Its parameters may come in any order.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] when it is not a shared access signature. The message never holds the token.
    pub fn parse(token: &str) -> Result<Self, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed(format!(
                "it is {} bytes long, at most {MAX_TOKEN_BYTES} are allowed",
                token.len()
            )));
        }
        let parameters = token
            .trim()
            .split_at_checked(PREFIX.len())
            .filter(|(prefix, rest)| prefix.eq_ignore_ascii_case(PREFIX) && rest.starts_with(' '))
            .map(|(_, rest)| rest.trim_start())
            .ok_or_else(|| malformed(format!("it does not start with '{PREFIX} '")))?;
        let (mut resource, mut signature, mut expiry, mut key_name) = (None, None, None, None);
        for parameter in parameters.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let slot = match name.trim() {
                "sr" => &mut resource,
                "sig" => &mut signature,
                "se" => &mut expiry,
                "skn" => &mut key_name,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(malformed(format!("'{}' appears twice", name.trim())));
            }
        }
        let part = |name: &str, value: Option<&str>| {
            value
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| malformed(format!("its part '{name}' is missing")))
        };
        let expiry_text = part("se", expiry)?;
        let expiry = expiry_text
            .parse()
            .map_err(|_| malformed("its part 'se' is not a time in Unix seconds".to_owned()))?;
        let signature = base64_decoded(&percent_decoded(&part("sig", signature)?))
            .ok_or_else(|| malformed("its part 'sig' is not Base64".to_owned()))?;
        Ok(SasToken {
            resource_text: part("sr", resource)?,
            key_name_text: part("skn", key_name)?,
            expiry_text,
            signature,
            expiry,
        })
    }

    /// The resource it is for, such as `sb://contoso.servicebus.windows.net/telemetry`.
    pub fn resource(&self) -> Cow<'_, str> {
        form_decoded(&self.resource_text)
    }

    /// The name of the key it is signed with.
    pub fn key_name(&self) -> Cow<'_, str> {
        decoded(&self.key_name_text)
    }

    /// Whether it is signed with the key of this name. Clients encode the name not at all, once or
    /// twice; all of these match.
    pub fn names_key(&self, key_name: &str) -> bool {
        let once = self.key_name();
        self.key_name_text == key_name
            || once == key_name
            || form_decoded(&self.key_name_text) == key_name
            || form_decoded(&once) == key_name
    }

    /// When it ends, in Unix seconds.
    pub fn expiry(&self) -> i64 {
        self.expiry
    }

    /// Whether it was signed with `key`. Takes the same time for every wrong key.
    pub fn verify(&self, key: &str) -> bool {
        signature(key, &self.resource_text, &self.expiry_text).verify_slice(&self.signature).is_ok()
    }
}

impl fmt::Debug for SasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SasToken")
            .field("resource", &self.resource())
            .field("key_name", &self.key_name())
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

/// The signature over a resource and an expiry, both as they stand in the token.
#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn signature(key: &str, resource: &str, expiry: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(resource.as_bytes());
    mac.update(b"\n");
    mac.update(expiry.as_bytes());
    mac
}

/// Percent-decodes, and takes `+` for a blank as form encoding means it.
fn form_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return decoded(text);
    }
    Cow::Owned(decoded(&text.replace('+', " ")).into_owned())
}

fn decoded(text: &str) -> Cow<'_, str> {
    match text.contains('%') {
        true => Cow::Owned(String::from_utf8_lossy(&percent_decoded(text)).into_owned()),
        false => Cow::Borrowed(text),
    }
}

fn malformed(why: String) -> Error {
    Error::new(ErrorKind::Unauthorized, format!("the token is not a shared access signature: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V1: &str = "SharedAccessSignature sr=sb%3A%2F%2Fcontoso.servicebus.windows.net%2Ftelemetry&sig=pII0ELyemFntYgDoNRLbKou9iE%2Bjl%2FBJg3AVjJc8iuQ%3D&se=1767225600&skn=RootManageSharedAccessKey";
    const V1_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const V2_KEY: &str = "aGVsbG8gd29ybGQgdGhpcyBpcyBhIGtleSA9PT09PT0=";

    #[test]
    fn tokens_are_those_of_the_official_clients() {
        let root = "RootManageSharedAccessKey";
        assert_eq!(sign("sb://contoso.servicebus.windows.net/telemetry", root, V1_KEY, 1_767_225_600), V1);
        assert_eq!(
            sign(
                "amqps://contoso.servicebus.windows.net/Telemetry/ConsumerGroups/$Default/Partitions/0",
                "listen policy+1",
                V2_KEY,
                1_893_456_000
            ),
            "SharedAccessSignature sr=amqps%3A%2F%2Fcontoso.servicebus.windows.net%2FTelemetry%2FConsumerGroups%2F%24Default%2FPartitions%2F0&sig=HG85%2BXnFI4CJM7jafPlw4ikzRfXfkX3RbXcAfnyXqj4%3D&se=1893456000&skn=listen%20policy%2B1"
        );
        assert_eq!(
            sign("sb://localhost/eh1", root, "SAS_KEY_VALUE", 2_000_000_000),
            "SharedAccessSignature sr=sb%3A%2F%2Flocalhost%2Feh1&sig=6lUdmsa83qrU8ycjYU%2FJHgWhmOXl4xo2meqNSXC4EB4%3D&se=2000000000&skn=RootManageSharedAccessKey"
        );
        assert!(
            sign(
                "https://contoso.servicebus.windows.net/telemetry/publishers/device-1/messages",
                "send",
                "k3y",
                1_700_003_600
            )
            .contains("&sig=S0dlKaC1jYYi4P2gfjv8cSzG31xfcMtZT%2BqXoxk2Z1A%3D&")
        );
    }

    #[test]
    fn tokens_of_every_client_verify() {
        // Token, key, resource, the key's name: upper-case and lower-case hex, names encoded not at all, once and twice.
        let tokens = [
            (V1, V1_KEY, "sb://contoso.servicebus.windows.net/telemetry", "RootManageSharedAccessKey"),
            (
                "SharedAccessSignature sr=sb%3a%2f%2fcontoso.servicebus.windows.net%2ftelemetry&sig=ca6YF6FIflg2DJkJgZJsrw%2Fa%2FBFA1LcWv6kVcbxnHO0%3D&se=1767225600&skn=RootManageSharedAccessKey",
                V1_KEY,
                "sb://contoso.servicebus.windows.net/telemetry",
                "RootManageSharedAccessKey",
            ),
            (
                "SharedAccessSignature sr=amqps%3A%2F%2Fcontoso.servicebus.windows.net%2FTelemetry%2FConsumerGroups%2F%24Default%2FPartitions%2F0&sig=HG85%2BXnFI4CJM7jafPlw4ikzRfXfkX3RbXcAfnyXqj4%3D&se=1893456000&skn=listen%2Bpolicy%252B1",
                V2_KEY,
                "amqps://contoso.servicebus.windows.net/Telemetry/ConsumerGroups/$Default/Partitions/0",
                "listen policy+1",
            ),
            (
                "SharedAccessSignature skn=listen policy+1&se=1893456000&sr=amqps%3a%2f%2fcontoso.servicebus.windows.net%2ftelemetry%2fconsumergroups%2f%24default%2fpartitions%2f0&sig=zirXzgjcJUpvd0ErcqarzxjbhZ4DRYUbgEZRzYQJdOI%3D",
                V2_KEY,
                "amqps://contoso.servicebus.windows.net/telemetry/consumergroups/$default/partitions/0",
                "listen policy+1",
            ),
            (
                "SharedAccessSignature sr=sb%3a%2f%2flocalhost%2feh1&sig=DsifMIerlcQhohQUawSlmYsPnBWzaueWERgeOu4J0E4%3D&se=2000000000&skn=RootManageSharedAccessKey",
                "SAS_KEY_VALUE",
                "sb://localhost/eh1",
                "RootManageSharedAccessKey",
            ),
        ];
        for (text, key, resource, key_name) in tokens {
            let token = SasToken::parse(text).unwrap();
            assert_eq!(token.resource(), resource);
            assert!(token.names_key(key_name) && !token.names_key("other"), "{text}");
            assert!(token.verify(key), "{text}");
            assert!(!token.verify("other key"));
        }
        let rest = "SharedAccessSignature sr=https%3a%2f%2fcontoso.servicebus.windows.net%2ftelemetry%2fpublishers%2fdevice-1%2fmessages&sig=8gkrx0FheRp9Nojl3k0o8aB7MtS9KtRIkbCVNMs%2BKRY%3D&se=1700003600&skn=send";
        let rest = SasToken::parse(rest).unwrap();
        assert!(rest.verify("k3y"));
        assert_eq!((rest.expiry(), rest.key_name().as_ref()), (1_700_003_600, "send"));
    }

    #[test]
    fn a_changed_token_does_not_verify() {
        for (from, to) in
            [("telemetry", "telemetri"), ("1767225600", "1767225601"), ("pII0", "pII1"), ("%3A", "%3a")]
        {
            assert!(!SasToken::parse(&V1.replace(from, to)).unwrap().verify(V1_KEY), "{to}");
        }
        assert!(
            !SasToken::parse(
                &V1.replace("sig=pII0ELyemFntYgDoNRLbKou9iE%2Bjl%2FBJg3AVjJc8iuQ%3D", "sig=AAAA")
            )
            .unwrap()
            .verify(V1_KEY)
        );
    }

    #[test]
    fn what_is_no_token_is_said_without_printing_it() {
        for (text, part) in [
            ("", "start with"),
            ("eyJhbGciOi.secret", "start with"),
            ("SharedAccessSignature", "start with"),
            ("SharedAccessSignature sig=c2VjcmV0&se=1&skn=k", "'sr' is missing"),
            ("SharedAccessSignature sr=a&se=1&skn=k", "'sig' is missing"),
            ("SharedAccessSignature sr=a&sig=c2VjcmV0&skn=k", "'se' is missing"),
            ("SharedAccessSignature sr=a&sig=c2VjcmV0&se=1", "'skn' is missing"),
            ("SharedAccessSignature sr=a&sig=c2VjcmV0&se=1&skn=", "'skn' is missing"),
            ("SharedAccessSignature sr=a&sig=c2VjcmV0&se=soon&skn=k", "'se' is not"),
            ("SharedAccessSignature sr=a&sig=*secret*&se=1&skn=k", "'sig' is not"),
            ("SharedAccessSignature sr=a&sr=b&sig=c2VjcmV0&se=1&skn=k", "'sr' appears twice"),
        ] {
            let error = SasToken::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
            let message = format!("{error} {error:?}");
            assert!(
                message.contains(part) && !message.contains("secret") && !message.contains("c2Vj"),
                "{message}"
            );
        }
        assert!(
            SasToken::parse(&format!("{V1}{}", "x".repeat(1 << 20)))
                .unwrap_err()
                .to_string()
                .contains("long")
        );
    }

    #[test]
    fn a_tokens_signature_is_not_printed() {
        let debug = format!("{:?}", SasToken::parse(V1).unwrap());
        assert!(
            debug.contains("telemetry") && !debug.contains("pII0") && !debug.contains("signature"),
            "{debug}"
        );
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(resource in "[^+]*", name in ".+", key in ".*", expiry: i64) {
            prop_assume!(!resource.is_empty());
            let token = SasToken::parse(&sign(&resource, &name, &key, expiry)).unwrap();
            prop_assert!(token.verify(&key) && token.names_key(&name));
            prop_assert_eq!(token.resource(), resource);
            prop_assert_eq!(token.expiry(), expiry);
        }

        #[test]
        fn no_text_panics_the_parser(text in "(SharedAccessSignature )?[srigekn=&%+a-z0-9é]*") {
            let _ = SasToken::parse(&text);
        }
    }
}
