//! What clients that worked through it have to say.

use serde_json::Value;

use super::client::Kind;

/// One client's books.
pub struct Ledger {
    pub kind: Kind,
    /// Nothing where it did not come to its end.
    pub text: Value,
}

/// Heading, field.
const ROWS: [(&str, &str); 13] = [
    ("sent", "sent"),
    ("acknowledged", "acknowledged"),
    ("failed for certain", "failed"),
    ("may have been stored", "unknown"),
    ("received", "received"),
    ("acknowledged before the return, never received", "missingBefore"),
    ("acknowledged after it, never received", "missingAfter"),
    ("received twice", "repeated"),
    ("stored twice", "storedTwice"),
    ("longest silence, ms", "longestSilenceMs"),
    ("first acknowledgement after the return, ms", "firstAcknowledgedMs"),
    ("first event after the return, ms", "firstReceivedMs"),
    ("told", "told"),
];

impl Ledger {
    /// Whether one of our clients has kept its promises.
    pub fn judge(&self, keeps: bool) -> Result<(), String> {
        let number = |field: &str| self.text[field].as_u64();
        let Some(acknowledged) = number("acknowledged") else {
            return Err("it did not come to its end".to_owned());
        };
        let is_none = |field: &str| match number(field) {
            Some(0) => Ok(()),
            other => Err(format!("{field} is {other:?} of {acknowledged} acknowledged")),
        };
        is_none("missingAfter")?;
        is_none("repeated")?;
        // The answer to what was under way is lost with the emulator, and it is sent again: one event, as one is sent at a time.
        if number("storedTwice") > Some(1) {
            return Err(format!("{:?} events were stored twice", number("storedTwice")));
        }
        if number("firstAcknowledgedMs").is_none() || number("firstReceivedMs").is_none() {
            return Err("it did not work again".to_owned());
        }
        let told = |what: &str| self.text["told"][what].as_u64().unwrap_or(0) > 0;
        if !told("disconnected") || !told("reconnecting") || !told("connected") {
            return Err("it did not say what happened".to_owned());
        }
        match keeps {
            true => is_none("missingBefore"),
            false if told("receive: invalid-position") => Ok(()),
            false => Err("it did not say that its position is gone".to_owned()),
        }
    }

    fn cell(&self, field: &str) -> String {
        match &self.text[field] {
            Value::Null => "–".to_owned(),
            Value::Object(told) => {
                // Whether a map of serde_json keeps its order or sorts is a feature that any dependency may switch on.
                let mut told: Vec<String> = told
                    .iter()
                    .map(|(what, times)| match times.as_u64() {
                        Some(1) => what.clone(),
                        _ => format!("{what} ×{times}"),
                    })
                    .collect();
                told.sort();
                told.join(", ")
            }
            value => value.to_string(),
        }
    }
}

/// All of them beside each other, in Markdown.
pub fn table(ledgers: &[Ledger], keeps: bool) -> String {
    let names: Vec<&str> = ledgers.iter().map(|ledger| ledger.kind.name()).collect();
    let mut lines =
        vec![format!("| | {} |", names.join(" | ")), format!("|--|{}", "--|".repeat(ledgers.len()))];
    for (heading, field) in ROWS {
        let cells: Vec<String> = ledgers.iter().map(|ledger| ledger.cell(field)).collect();
        let remark = if field == "missingBefore" && !keeps { " (gone with the memory)" } else { "" };
        lines.push(format!("| {heading}{remark} | {} |", cells.join(" | ")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ledger(change: impl FnOnce(&mut Value)) -> Ledger {
        let mut text = json!({
            "sent": 9, "acknowledged": 8, "failed": 1, "unknown": 0, "received": 8, "missingBefore": 0, "missingAfter": 0,
            "repeated": 0, "storedTwice": 1, "longestSilenceMs": 3000, "firstAcknowledgedMs": 5, "firstReceivedMs": 6,
            "told": { "disconnected": 1, "reconnecting": 2, "connected": 2, "receive: invalid-position": 1 },
        });
        change(&mut text);
        Ledger { kind: Kind::Native, text }
    }

    #[test]
    fn what_our_clients_must_not_do_is_found() {
        assert_eq!(ledger(|_| ()).judge(true), Ok(()));
        assert_eq!(ledger(|_| ()).judge(false), Ok(()));
        for (field, value) in [
            ("missingAfter", json!(1)),
            ("missingBefore", json!(1)),
            ("repeated", json!(1)),
            ("storedTwice", json!(2)),
            ("firstReceivedMs", Value::Null),
            ("told", json!({})),
        ] {
            assert!(ledger(|text| text[field] = value).judge(true).is_err(), "{field}");
        }
        let silent = json!({ "disconnected": 1, "reconnecting": 2, "connected": 2 });
        assert!(ledger(|text| text["told"] = silent).judge(false).is_err());
        assert!(ledger(|text| *text = Value::Null).judge(true).is_err());
    }

    #[test]
    fn ledgers_stand_beside_each_other() {
        let table = table(&[ledger(|_| ()), ledger(|text| text["failed"] = Value::Null)], false);
        assert!(table.contains("| failed for certain | 1 | – |"), "{table}");
        assert!(
            table.contains(
                "| told | connected ×2, disconnected, receive: invalid-position, reconnecting ×2 |"
            ),
            "{table}"
        );
    }
}
