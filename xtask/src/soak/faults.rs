//! What goes wrong during a run, one thing after the other.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::failure::Failure;

/// Kinds, with what is posted. Each is over, or struck, before the next one.
const ROUND: [(&str, &str); 16] = [
    ("drop", r#"{"kind":"drop"}"#),
    ("detach", r#"{"kind":"detach","condition":"amqp:link:detach-forced"}"#),
    ("lose-ack, drop", r#"{"kind":"lose-ack","then":"drop","times":2}"#),
    ("busy", r#"{"kind":"busy","probability":0.3,"seed":7,"lastingMs":3000}"#),
    ("delay", r#"{"kind":"delay","delayMs":60,"jitterMs":30,"lastingMs":3000}"#),
    ("cut-frame", r#"{"kind":"cut-frame"}"#),
    ("end", r#"{"kind":"end","condition":"amqp:internal-error"}"#),
    ("close", r#"{"kind":"close","condition":"amqp:connection:forced"}"#),
    ("bandwidth", r#"{"kind":"bandwidth","bytesPerSecond":200000,"lastingMs":3000}"#),
    ("detach while sending", r#"{"kind":"detach","condition":"amqp:internal-error","on":"send","times":3}"#),
    (
        "detach while receiving",
        r#"{"kind":"detach","condition":"amqp:link:detach-forced","on":"receive","after":50,"times":3}"#,
    ),
    ("expire-token", r#"{"kind":"expire-token"}"#),
    ("stop-partition", r#"{"kind":"stop-partition","partition":"1","lastingMs":3000}"#),
    ("refuse", r#"{"kind":"refuse","lastingMs":2000}"#),
    ("half-open", r#"{"kind":"half-open","lastingMs":3000}"#),
    ("restart", r#"{"kind":"restart","downMs":1500}"#),
];

/// The faults of one emulator, through its control API.
pub struct Faults {
    address: String,
    turn: usize,
    counts: BTreeMap<usize, u64>,
}

impl Faults {
    pub fn of(connection_string: &str) -> Result<Self, Failure> {
        let address = connection_string
            .strip_prefix("Endpoint=sb://")
            .and_then(|rest| rest.split([';', '/']).next())
            .ok_or_else(|| Failure::new("the emulator's connection string names no endpoint"))?;
        Ok(Faults { address: address.replace("localhost", "127.0.0.1"), turn: 0, counts: BTreeMap::new() })
    }

    /// Ends what goes wrong, and has the next thing go wrong.
    pub fn next(&mut self) -> Result<(), Failure> {
        let which = self.turn % ROUND.len();
        self.turn += 1;
        let (kind, body) = ROUND[which];
        // While the emulator restarts it does not answer; the next turn comes.
        if self.ask("DELETE", "").is_err() {
            return Ok(());
        }
        match self.ask("POST", body) {
            Ok(answer) if answer.starts_with("HTTP/1.1 201") => {
                *self.counts.entry(which).or_default() += 1;
                Ok(())
            }
            Ok(answer) => Err(Failure::new(format!("the fault '{kind}' was not taken: {answer}"))),
            Err(_) => Ok(()),
        }
    }

    /// Ends what goes wrong; how often each kind was set.
    pub fn finish(self) -> Result<Vec<(&'static str, u64)>, Failure> {
        let _ = self.ask("DELETE", "");
        Ok(self.counts.iter().map(|(which, count)| (ROUND[*which].0, *count)).collect())
    }

    fn ask(&self, method: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let len = body.len();
        write!(
            stream,
            "{method} /$faults HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}
