//! Requests signed with an account's key ("Shared Key").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What of a request is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// As it stands in the request.
    pub(super) path: &'a str,
    /// Decoded.
    pub(super) query: &'a [(&'static str, String)],
    pub(super) headers: &'a [(&'static str, String)],
}

impl Signed<'_> {
    /// The value of the header `authorization`.
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub(super) fn authorization(&self, account: &str, key: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(self.text(account).as_bytes());
        format!("SharedKey {account}:{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    fn text(&self, account: &str) -> String {
        let header = |name: &str| {
            self.headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
        };
        // Encoding, language, length (empty for none), MD5, type, date (`x-ms-date` stands for it), if-modified-since.
        let mut text = format!("{}\n\n\n\n\n\n\n\n", self.method);
        text.push_str(&format!("{}\n{}\n", header("if-match"), header("if-none-match")));
        // If-unmodified-since, range.
        text.push_str("\n\n");
        let mut own: Vec<_> = self.headers.iter().filter(|(name, _)| name.starts_with("x-ms-")).collect();
        own.sort();
        for (name, value) in own {
            text.push_str(&format!("{name}:{}\n", value.trim()));
        }
        text.push_str(&format!("/{account}{}", self.path));
        let mut query: Vec<_> = self.query.iter().collect();
        query.sort();
        for (name, value) in query {
            text.push_str(&format!("\n{name}:{value}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the service's documentation ("Authorize with Shared Key"), with an empty length.
    #[test]
    fn what_is_signed_is_laid_out_as_documented() {
        let signed = Signed {
            method: "GET",
            path: "/mycontainer",
            query: &[("timeout", "20".into()), ("restype", "container".into()), ("comp", "metadata".into())],
            headers: &[
                ("x-ms-version", "2015-02-21".into()),
                ("if-match", "\"1\"".into()),
                ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT".into()),
            ],
        };
        assert_eq!(
            signed.text("myaccount"),
            "GET\n\n\n\n\n\n\n\n\"1\"\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
        assert!(signed.authorization("myaccount", b"key").starts_with("SharedKey myaccount:"));
    }
}
