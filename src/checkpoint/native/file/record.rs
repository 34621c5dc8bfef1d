//! One record as text that people can read: a head, a field a line, and an end that says it is whole.
//!
//! ```text
//! eventhubs checkpoint 1
//! partition=0
//! offset=4096
//! sequence-number=17
//! end
//! ```

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

const HEAD: &str = "eventhubs";
const VERSION: &str = "1";
const END: &str = "end";
/// What would be taken for something else in a line.
const SPECIAL: &AsciiSet = &CONTROLS.add(b'%');

/// Names and texts.
#[derive(Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn set(&mut self, name: &str, text: &str) {
        self.0.push((name.to_owned(), text.to_owned()));
    }

    pub(super) fn text(&self, kind: &str) -> String {
        let mut lines = format!("{HEAD} {kind} {VERSION}\n");
        for (name, text) in &self.0 {
            lines.push_str(&format!("{name}={}\n", utf8_percent_encode(text, SPECIAL)));
        }
        lines + END + "\n"
    }

    /// The fields of a record of this kind, or what is wrong with it.
    pub(super) fn parse(bytes: &[u8], kind: &str) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("it is empty".to_owned());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        let mut lines = text.lines();
        let head: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        match head[..] {
            [HEAD, of, VERSION] if of == kind => {}
            [HEAD, of, version] if of == kind => {
                return Err(format!(
                    "it has the version '{}', known is {VERSION}",
                    crate::error::shown(version, 20)
                ));
            }
            _ => return Err(format!("its first line is not '{HEAD} {kind} {VERSION}'")),
        }
        let mut fields = Fields::default();
        for line in lines.by_ref() {
            if line == END {
                return Ok(fields);
            }
            let (name, text) = line.split_once('=').ok_or_else(|| {
                format!("its line '{}' is neither a field nor the end", crate::error::shown(line, 40))
            })?;
            let text = percent_decode_str(text).decode_utf8();
            fields.set(name, &text.map_err(|_| format!("its field '{name}' is not UTF-8"))?);
        }
        Err("its end is missing".to_owned())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    pub(super) fn text_of(&self, name: &str) -> Result<String, String> {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.map(|(_, text)| text.clone()).ok_or_else(|| format!("its field '{name}' is missing"))
    }

    pub(super) fn number_of(&self, name: &str) -> Result<i64, String> {
        self.text_of(name)?.parse().map_err(|_| format!("its field '{name}' is not a number"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_can_be_read_by_people() {
        let mut fields = Fields::default();
        fields.set("partition", "0");
        fields.set("owner", "a b=c\nd%");
        assert_eq!(fields.text("ownership"), "eventhubs ownership 1\npartition=0\nowner=a b=c%0Ad%25\nend\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_no_part_of_it_is(owner: String) {
            let mut fields = Fields::default();
            fields.set("owner", &owner);
            let text = fields.text("ownership");
            let read = Fields::parse(text.as_bytes(), "ownership").unwrap();
            prop_assert_eq!(read.text_of("owner").unwrap(), owner);
            for length in 0..text.len() - 1 {
                prop_assert!(Fields::parse(&text.as_bytes()[..length], "ownership").is_err(), "{}", length);
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, lines in "eventhubs checkpoint 1\n(.*\n){0,4}end\n") {
            let _ = Fields::parse(&bytes, "checkpoint");
            let _ = Fields::parse(lines.as_bytes(), "checkpoint");
        }
    }
}
