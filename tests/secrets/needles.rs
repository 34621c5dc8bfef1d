//! Secrets, in every form in which they could be seen.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A part of a secret that is this long gives it away.
const PART: usize = 12;

/// What must not be seen.
#[derive(Default)]
pub(crate) struct Needles {
    /// Parts of exactly [`PART`] bytes, with what they are a part of.
    parts: HashMap<Vec<u8>, String>,
    /// Longer texts that are looked for as a whole, by their first [`PART`] bytes.
    texts: HashMap<Vec<u8>, Vec<(String, String)>>,
}

impl Needles {
    /// A secret by the name under which it is reported.
    pub(crate) fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 2 * PART, "{name} is too short to be recognised");
        let bytes = secret.as_bytes();
        self.add_text(&format!("{name}, as it is"), secret);
        let percent = |lower: bool| -> String {
            let one = |byte: &u8| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    (*byte as char).to_string()
                }
                other if lower => format!("%{other:02x}"),
                other => format!("%{other:02X}"),
            };
            bytes.iter().map(one).collect()
        };
        for lower in [true, false] {
            self.add_text(&format!("{name}, percent-encoded"), &percent(lower));
        }
        // Inside of something longer it may start at any of three places.
        for skipped in 0..3 {
            for encoded in [STANDARD.encode(&bytes[skipped..]), URL_SAFE.encode(&bytes[skipped..])] {
                // The last characters depend on what follows.
                self.add_text(
                    &format!("{name}, in Base64"),
                    encoded.trim_end_matches('=').split_at(encoded.len() - 4).0,
                );
            }
        }
        if let Ok(raw) = STANDARD.decode(secret) {
            self.add_bytes(&format!("{name}, decoded"), &raw);
        }
        self.add_bytes(name, bytes);
    }

    /// Bytes as logs print them: hexadecimal, or a list.
    fn add_bytes(&mut self, name: &str, bytes: &[u8]) {
        for part in bytes.windows(PART) {
            let joined = |each: fn(&u8) -> String, between: &str| -> String {
                part.iter().map(each).collect::<Vec<_>>().join(between)
            };
            for text in [
                joined(|byte| format!("{byte:02x}"), ""),
                joined(|byte| format!("{byte:02X}"), ""),
                joined(|byte| format!("{byte:02x}"), " "),
                joined(|byte| format!("{byte:x}"), ", "),
                joined(|byte| byte.to_string(), ", "),
                joined(|byte| byte.to_string(), ","),
            ] {
                let start = text.as_bytes()[..PART].to_vec();
                self.texts.entry(start).or_default().push((text, format!("{name}, as bytes")));
            }
        }
    }

    fn add_text(&mut self, name: &str, text: &str) {
        for part in text.as_bytes().windows(PART) {
            self.parts.insert(part.to_vec(), name.to_owned());
        }
    }

    /// What is to be seen in `text`: names of secrets, each once, with the place.
    pub(crate) fn seen_in(&self, text: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        let around = |at: usize| {
            let start = text[..at].char_indices().rev().take(60).last().map_or(at, |(start, _)| start);
            text[start..].chars().take(120).collect::<String>()
        };
        for (at, part) in text.as_bytes().windows(PART).enumerate() {
            let whole =
                |(needle, _): &&(String, String)| text.as_bytes()[at..].starts_with(needle.as_bytes());
            let longer =
                self.texts.get(part).and_then(|texts| texts.iter().find(whole)).map(|(_, name)| name);
            if let Some(name) = self.parts.get(part).or(longer)
                && !seen.iter().any(|known| known.starts_with(name.as_str()))
            {
                let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                seen.push(format!("{name}: …{}…", around(at)));
            }
        }
        // Signatures that nobody told us about.
        for lead in ["&sig=", " sig=", "SharedAccessKey=", "7369673d"] {
            for (at, _) in text.match_indices(lead) {
                let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+/".contains(byte);
                let behind =
                    text.as_bytes()[at + lead.len()..].iter().take_while(|byte| is_token(byte)).count();
                if behind >= PART {
                    seen.push(format!("something behind '{lead}': …{}…", around(at)));
                }
            }
        }
        seen
    }
}

#[test]
fn a_secret_is_recognised_in_every_form_and_in_parts() {
    let secret = "kT9+vQ2/mZ7xW4pL8sN1bR6cD3fG5hJ0aY=";
    let mut needles = Needles::default();
    needles.add("key", secret);
    let percent = secret.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let embedded = |lead: &str| STANDARD.encode(format!("{lead}{secret}behind"));
    for shown in [
        secret.to_owned(),
        format!("before {} behind", &secret[7..7 + PART]),
        percent.to_lowercase().replace(&secret.to_lowercase()[..3], &secret[..3]) + &percent,
        embedded(""),
        embedded("a"),
        embedded("ab"),
        embedded("abc"),
        format!("{:?}", secret.as_bytes()),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
        "SharedAccessSignature sr=a&sig=abcdefgh1234%3D&se=1".to_owned(),
    ] {
        assert!(!needles.seen_in(&shown).is_empty(), "{shown}");
    }
    for harmless in ["", &secret[..PART - 1], "SharedAccessKey=***", &"x".repeat(1000), "größe kT9+vQ2/mZ7"]
    {
        assert!(needles.seen_in(harmless).is_empty(), "{harmless}");
    }
}
