//! Base64 and percent encoding, as far as tokens need them: a page would pay for the general ones.

/// Standard Base64, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            match place <= chunk.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

/// What standard Base64 stands for; `None` when it is not, or is not padded as it has to be.
pub(super) fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits: u32 = 0;
    for (index, digit) in text[..text.len() - padding].iter().enumerate() {
        let value = DIGITS.iter().position(|known| known == digit)?;
        bits = bits << 6 | value as u32;
        if index % 4 != 0 {
            bytes.push((bits >> (6 - 2 * (index % 4))) as u8);
        }
    }
    // Bits that are left over are zero, so that there is one text only for the same bytes.
    let left_over = [0, 0x03, 0x0f][padding];
    (bits & left_over == 0).then_some(bytes)
}

/// Everything but RFC 3986's unreserved characters is encoded.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => {
                encoded.push('%');
                encoded.push(char::from(HEX[usize::from(byte >> 4)]));
                encoded.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    encoded
}

/// The bytes of a percent-encoded text. A `%` without two hexadecimal digits stands for itself.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut left = text.as_bytes();
    let mut bytes = Vec::with_capacity(left.len());
    while let Some((&byte, rest)) = left.split_first() {
        left = rest;
        let code = match (byte, rest) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match code {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                left = &rest[2..];
            }
            None => bytes.push(byte),
        }
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn base64_is_that_of_everybody(bytes: Vec<u8>) {
            let text = base64(&bytes);
            prop_assert_eq!(&text, &STANDARD.encode(&bytes));
            prop_assert_eq!(base64_decoded(text.as_bytes()), Some(bytes));
        }

        #[test]
        fn what_is_no_base64_is_refused(text in "[A-D+/=g]{0,12}") {
            prop_assert_eq!(base64_decoded(text.as_bytes()), STANDARD.decode(&text).ok());
        }

        #[test]
        fn percent_encoding_is_that_of_everybody(text in "[%0-9a-fA-F~ é/]*", any: String) {
            prop_assert_eq!(percent_decoded(&text), percent_decode_str(&text).collect::<Vec<u8>>());
            prop_assert_eq!(percent_decoded(&percent_encoded(&any)), any.into_bytes());
        }
    }
}
