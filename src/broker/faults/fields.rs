//! A fault as names and values, as JSON and JavaScript have it.

use std::time::Duration;

use super::fault::LONGEST_CONDITION;
use super::{Direction, Fault, FaultError, FaultKind, LinkRole, On, Reason};
use crate::dialect::conditions::{CONNECTION_FORCED, LINK_DETACH_FORCED};

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// The kinds by their names.
const KINDS: [&str; 19] = [
    "refuse",
    "drop",
    "half-open",
    "delay",
    "bandwidth",
    "cut-frame",
    "lose-ack",
    "duplicate",
    "busy",
    "detach",
    "end",
    "close",
    "refuse-token",
    "expire-token",
    "steal-link",
    "stop-partition",
    "restart",
    "slow-disk",
    "skew-clock",
];

/// What every fault has.
const COMMON: [&str; 12] = [
    "kind",
    "client",
    "entity",
    "partition",
    "role",
    "on",
    "after",
    "times",
    "probability",
    "seed",
    "waitMs",
    "lastingMs",
];

const OCCASIONS: [On; 10] = [
    On::Now,
    On::Connect,
    On::Attach,
    On::Send,
    On::Sent,
    On::Receive,
    On::Received,
    On::Token,
    On::Request,
    On::Always,
];

const DIRECTIONS: [(&str, Direction); 3] =
    [("both", Direction::Both), ("to-client", Direction::Client), ("to-service", Direction::Service)];
const ROLES: [(&str, LinkRole); 2] = [("send", LinkRole::Send), ("receive", LinkRole::Receive)];
const AFTERMATHS: [(&str, bool); 2] = [("silence", false), ("drop", true)];

/// The largest whole number that JavaScript knows exactly.
const LARGEST: f64 = 9_007_199_254_740_991.0;
/// In bytes. Names and texts are short.
const LONGEST_TEXT: usize = 1024;

impl Fault {
    /// The fault that fields describe: `kind`, what its kind has, where and when.
    ///
    /// ```
    /// use eventhubs::broker::faults::{Fault, FieldValue};
    ///
    /// let text = |text: &str| FieldValue::Text(text.to_owned());
    /// let fields = vec![("kind", text("busy")), ("entity", text("orders")), ("times", FieldValue::Number(3.0))];
    /// assert_eq!(Fault::from_fields(fields), Ok(Fault::busy().on_entity("orders").times(3)));
    /// let error = Fault::from_fields(vec![("kind", text("bussy"))]).unwrap_err();
    /// assert_eq!(error.to_string(), "there is no kind of fault 'bussy': did you mean 'busy'?");
    /// ```
    ///
    /// # Errors
    /// When a field is unknown, missing or wrong; the text names it, and what was probably meant.
    pub fn from_fields<'a>(
        fields: impl IntoIterator<Item = (&'a str, FieldValue)>,
    ) -> Result<Fault, FaultError> {
        let mut fields: Vec<_> = fields.into_iter().collect();
        let kind = match fields.iter().position(|(name, _)| *name == "kind") {
            Some(index) => word("kind", fields.swap_remove(index).1)?,
            None => return Err(error(format!("'kind' is missing; the kinds are {}", KINDS.join(", ")))),
        };
        let mut fault = Fault::new(blank(&kind)?);
        let (mut given, own) = (Vec::new(), fault.kind.fields());
        for (name, value) in fields {
            let known = own.iter().chain(&COMMON).find(|known| **known == name);
            let Some(known) = known else {
                let all: Vec<_> = own.iter().chain(&COMMON[1..]).copied().collect();
                let shown = shorten(name);
                return Err(error(format!("the fault '{kind}' has no '{shown}'{}", hint(name, &all))));
            };
            if given.contains(known) {
                return Err(error(format!("'{known}' is said twice")));
            }
            given.push(*known);
            fault.set(known, value)?;
        }
        if let Some(missing) = fault.kind.needs().filter(|needed| !given.contains(needed)) {
            return Err(error(format!("the fault '{kind}' needs '{missing}'")));
        }
        fault.check()?;
        Ok(fault)
    }

    /// The fields that describe the fault; what is as usual is left out.
    pub fn to_fields(&self) -> Vec<(&'static str, FieldValue)> {
        let mut fields = vec![("kind", text(self.kind.name()))];
        self.kind.write(&mut fields);
        let (scope, timing) = (&self.scope, &self.timing);
        let named =
            |pairs: &[(&'static str, LinkRole)], role| pairs.iter().find(|(_, r)| *r == role).map(|p| p.0);
        let mut put = |name, value: Option<FieldValue>| fields.extend(value.map(|value| (name, value)));
        put("client", scope.client.as_deref().map(text));
        put("entity", scope.entity.as_deref().map(text));
        put("partition", scope.partition.map(|number| FieldValue::Text(number.to_string())));
        put("role", scope.role.and_then(|role| named(&ROLES, role)).map(text));
        put("on", self.on.map(|on| text(on.name())));
        put("after", (timing.after > 0).then_some(FieldValue::Number(timing.after as f64)));
        put("times", timing.times.map(|times| FieldValue::Number(times as f64)));
        put("probability", timing.probability.map(FieldValue::Number));
        put("seed", timing.probability.map(|_| FieldValue::Number(timing.seed as f64)));
        put("waitMs", (!timing.wait.is_zero()).then(|| in_millis(timing.wait)));
        put("lastingMs", timing.lasting.map(in_millis));
        fields
    }

    fn set(&mut self, name: &'static str, value: FieldValue) -> Result<(), FaultError> {
        let (scope, timing) = (&mut self.scope, &mut self.timing);
        match name {
            "client" => scope.client = Some(word(name, value)?),
            "entity" => scope.entity = Some(word(name, value)?),
            "partition" => {
                let number = match &value {
                    FieldValue::Text(text) => text.parse().ok(),
                    FieldValue::Number(number) => whole(*number).and_then(|n| u32::try_from(n).ok()),
                    FieldValue::Flag(_) => None,
                };
                scope.partition = Some(number.ok_or_else(|| {
                    error("'partition' must be a partition's id, such as \"0\"".to_owned())
                })?);
            }
            "role" => scope.role = Some(one_of(name, value, &ROLES)?),
            "on" => self.on = Some(one_of(name, value, &OCCASIONS.map(|on| (on.name(), on)))?),
            "after" => timing.after = count(name, value)?,
            "times" => timing.times = Some(count(name, value)?),
            "probability" => match value {
                FieldValue::Number(number) => timing.probability = Some(number),
                _ => return Err(error("'probability' must be a number from 0 to 1".to_owned())),
            },
            "seed" => timing.seed = count(name, value)?,
            "waitMs" => timing.wait = millis(name, value)?,
            "lastingMs" => timing.lasting = Some(millis(name, value)?),
            _ => self.kind.set(name, value)?,
        }
        Ok(())
    }
}

impl FaultKind {
    /// What only this kind has.
    fn fields(&self) -> &'static [&'static str] {
        match self {
            FaultKind::HalfOpen { .. } => &["direction"],
            FaultKind::Delay { .. } => &["delayMs", "jitterMs", "direction"],
            FaultKind::Bandwidth { .. } => &["bytesPerSecond", "direction"],
            FaultKind::LoseAck { .. } => &["then"],
            FaultKind::Detach(_) | FaultKind::End(_) | FaultKind::Close(_) => &["condition", "description"],
            FaultKind::RefuseToken { .. } => &["status", "description"],
            FaultKind::Restart { .. } => &["loseData", "downMs"],
            FaultKind::SlowDisk { .. } => &["delayMs"],
            FaultKind::SkewClock { .. } => &["skewMs"],
            _ => &[],
        }
    }

    /// Without which it means nothing.
    fn needs(&self) -> Option<&'static str> {
        match self {
            FaultKind::Delay { .. } | FaultKind::SlowDisk { .. } => Some("delayMs"),
            FaultKind::Bandwidth { .. } => Some("bytesPerSecond"),
            FaultKind::SkewClock { .. } => Some("skewMs"),
            _ => None,
        }
    }

    fn set(&mut self, name: &'static str, value: FieldValue) -> Result<(), FaultError> {
        match (self, name) {
            (
                FaultKind::HalfOpen { direction }
                | FaultKind::Delay { direction, .. }
                | FaultKind::Bandwidth { direction, .. },
                "direction",
            ) => *direction = one_of(name, value, &DIRECTIONS)?,
            (FaultKind::Delay { delay, .. } | FaultKind::SlowDisk { delay }, "delayMs") => {
                *delay = millis(name, value)?;
            }
            (FaultKind::Delay { jitter, .. }, "jitterMs") => *jitter = millis(name, value)?,
            (FaultKind::Bandwidth { bytes_per_second, .. }, "bytesPerSecond") => {
                *bytes_per_second = count(name, value)?;
            }
            (FaultKind::LoseAck { drop }, "then") => *drop = one_of(name, value, &AFTERMATHS)?,
            (FaultKind::Detach(reason) | FaultKind::End(reason) | FaultKind::Close(reason), "condition") => {
                reason.condition = Some(said(name, value, LONGEST_CONDITION)?).filter(|c| !c.is_empty());
            }
            (FaultKind::Detach(reason) | FaultKind::End(reason) | FaultKind::Close(reason), _) => {
                reason.description = Some(said(name, value, LONGEST_TEXT)?);
            }
            (FaultKind::RefuseToken { description, .. }, "description") => {
                *description = Some(said(name, value, LONGEST_TEXT)?);
            }
            (FaultKind::RefuseToken { status, .. }, _) => {
                *status = u16::try_from(count(name, value)?).unwrap_or(u16::MAX);
            }
            (FaultKind::Restart { loses_data, .. }, "loseData") => match value {
                FieldValue::Flag(flag) => *loses_data = flag,
                _ => return Err(error("'loseData' must be true or false".to_owned())),
            },
            (FaultKind::Restart { down, .. }, _) => *down = millis(name, value)?,
            (FaultKind::SkewClock { millis }, _) => {
                let number = match value {
                    FieldValue::Number(number) => {
                        whole(number.abs()).map(|n| if number < 0.0 { -n } else { n })
                    }
                    _ => None,
                };
                *millis = number.ok_or_else(|| {
                    error(
                        "'skewMs' must be a whole number of milliseconds, below 0 for a clock that is behind"
                            .to_owned(),
                    )
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn write(&self, fields: &mut Vec<(&'static str, FieldValue)>) {
        let mut toward = |direction: &Direction| {
            let name = DIRECTIONS.iter().find(|(_, known)| known == direction);
            fields.extend(
                name.filter(|(_, d)| *d != Direction::Both).map(|(name, _)| ("direction", text(name))),
            );
        };
        match self {
            FaultKind::HalfOpen { direction } => toward(direction),
            FaultKind::Delay { delay, jitter, direction } => {
                toward(direction);
                fields.push(("delayMs", in_millis(*delay)));
                if !jitter.is_zero() {
                    fields.push(("jitterMs", in_millis(*jitter)));
                }
            }
            FaultKind::Bandwidth { bytes_per_second, direction } => {
                toward(direction);
                fields.push(("bytesPerSecond", FieldValue::Number(*bytes_per_second as f64)));
            }
            FaultKind::LoseAck { drop: true } => fields.push(("then", text("drop"))),
            FaultKind::Detach(reason) | FaultKind::End(reason) | FaultKind::Close(reason) => {
                fields.push(("condition", text(reason.condition.as_deref().unwrap_or_default())));
                fields.extend(reason.description.as_deref().map(|said| ("description", text(said))));
            }
            FaultKind::RefuseToken { status, description } => {
                fields.push(("status", FieldValue::Number(f64::from(*status))));
                fields.extend(description.as_deref().map(|said| ("description", text(said))));
            }
            FaultKind::Restart { loses_data, down } => {
                if *loses_data {
                    fields.push(("loseData", FieldValue::Flag(true)));
                }
                if !down.is_zero() {
                    fields.push(("downMs", in_millis(*down)));
                }
            }
            FaultKind::SlowDisk { delay } => fields.push(("delayMs", in_millis(*delay))),
            FaultKind::SkewClock { millis } => fields.push(("skewMs", FieldValue::Number(*millis as f64))),
            _ => {}
        }
    }
}

/// A kind by its name, with what it has when nothing else is said.
fn blank(name: &str) -> Result<FaultKind, FaultError> {
    let reason = |condition: &str| Reason { condition: Some(condition.to_owned()), description: None };
    Ok(match name {
        "refuse" => FaultKind::Refuse,
        "drop" => FaultKind::Drop,
        "half-open" => FaultKind::HalfOpen { direction: Direction::Both },
        "delay" => {
            FaultKind::Delay { delay: Duration::ZERO, jitter: Duration::ZERO, direction: Direction::Both }
        }
        "bandwidth" => FaultKind::Bandwidth { bytes_per_second: 1, direction: Direction::Both },
        "cut-frame" => FaultKind::CutFrame,
        "lose-ack" => FaultKind::LoseAck { drop: false },
        "duplicate" => FaultKind::Duplicate,
        "busy" => FaultKind::Busy,
        "detach" => FaultKind::Detach(reason(LINK_DETACH_FORCED)),
        "end" => FaultKind::End(reason(CONNECTION_FORCED)),
        "close" => FaultKind::Close(reason(CONNECTION_FORCED)),
        "refuse-token" => FaultKind::RefuseToken { status: 401, description: None },
        "expire-token" => FaultKind::ExpireToken,
        "steal-link" => FaultKind::StealLink,
        "stop-partition" => FaultKind::StopPartition,
        "restart" => FaultKind::Restart { loses_data: false, down: Duration::ZERO },
        "slow-disk" => FaultKind::SlowDisk { delay: Duration::ZERO },
        "skew-clock" => FaultKind::SkewClock { millis: 0 },
        other => {
            return Err(error(format!(
                "there is no kind of fault '{}'{}",
                shorten(other),
                hint(other, &KINDS)
            )));
        }
    })
}

fn error(text: String) -> FaultError {
    FaultError(text)
}

fn text(text: &str) -> FieldValue {
    FieldValue::Text(text.to_owned())
}

fn in_millis(time: Duration) -> FieldValue {
    FieldValue::Number(time.as_millis() as f64)
}

/// A text with something in it.
fn word(name: &str, value: FieldValue) -> Result<String, FaultError> {
    let text = said(name, value, LONGEST_TEXT)?;
    if text.is_empty() { Err(error(format!("'{name}' must not be empty"))) } else { Ok(text) }
}

fn said(name: &str, value: FieldValue, most: usize) -> Result<String, FaultError> {
    match value {
        FieldValue::Text(text) if text.len() <= most => Ok(text),
        FieldValue::Text(_) => Err(error(format!("'{name}' must have at most {most} bytes"))),
        _ => Err(error(format!("'{name}' must be a text"))),
    }
}

fn whole(number: f64) -> Option<i64> {
    ((0.0..=LARGEST).contains(&number) && number.trunc() == number).then_some(number as i64)
}

fn count(name: &str, value: FieldValue) -> Result<u64, FaultError> {
    let number = match value {
        FieldValue::Number(number) => whole(number),
        _ => None,
    };
    number
        .map(i64::unsigned_abs)
        .ok_or_else(|| error(format!("'{name}' must be a whole number that is not negative")))
}

fn millis(name: &str, value: FieldValue) -> Result<Duration, FaultError> {
    let number = count(name, value);
    number
        .map(Duration::from_millis)
        .map_err(|_| error(format!("'{name}' must be a whole number of milliseconds, 0 or more")))
}

fn one_of<T: Copy>(name: &str, value: FieldValue, known: &[(&'static str, T)]) -> Result<T, FaultError> {
    let given = word(name, value)?;
    let found = known.iter().find(|(known, _)| *known == given);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        error(format!("'{name}' cannot be '{}'{}", shorten(&given), hint(&given, &names)))
    })
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

/// What was probably meant, or what there is.
fn hint(given: &str, known: &[&'static str]) -> String {
    let given = shorten(given).to_lowercase();
    let far = |name: &str| distance(given.as_bytes(), name.to_lowercase().as_bytes());
    match known.iter().map(|name| (far(name), *name)).min() {
        Some((far, name)) if far <= 2.max(given.len() / 2) => format!(": did you mean '{name}'?"),
        _ => format!("; there are {}", known.join(", ")),
    }
}

/// How many letters have to be changed, put in or left out.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(pairs: &[(&str, FieldValue)]) -> Result<Fault, String> {
        Fault::from_fields(pairs.to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        let second = Duration::from_secs(1);
        let faults = [
            Fault::refuse(),
            Fault::drop_connections().of_client("c").on(On::Send),
            Fault::half_open().toward(Direction::Client),
            Fault::delay(second).jitter(second).toward(Direction::Service),
            Fault::bandwidth(1000),
            Fault::cut_frame(),
            Fault::lose_ack().then_drop(),
            Fault::duplicate().on_entity("orders").on_partition("3").sending(),
            Fault::busy().after(2).times(3),
            Fault::detach("amqp:not-found").with_description("gone").receiving(),
            Fault::end(""),
            Fault::close("a:b"),
            Fault::refuse_token(404).with_description("no"),
            Fault::expire_token(),
            Fault::steal_link().probability(0.5, 9),
            Fault::stop_partition().wait(second).lasting(second),
            Fault::restart().losing_data().down_for(second),
            Fault::slow_disk(second),
            Fault::skew_clock(-5000),
        ];
        let names: Vec<_> = faults.iter().map(|fault| fault.kind().name()).collect();
        assert_eq!(names, KINDS);
        for fault in faults {
            assert_eq!(Fault::from_fields(fault.to_fields()), Ok(fault.clone()), "{:?}", fault.to_fields());
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_probably_meant() {
        let number = FieldValue::Number;
        for (fields, says) in [
            (vec![], "'kind' is missing; the kinds are refuse, drop,"),
            (vec![("kind", text("drp"))], "there is no kind of fault 'drp': did you mean 'drop'?"),
            (
                vec![("kind", text("quantum-tunnel"))],
                "there is no kind of fault 'quantum-tunnel'; there are refuse",
            ),
            (vec![("kind", number(1.0))], "'kind' must be a text"),
            (
                vec![("kind", text("drop")), ("afetr", number(1.0))],
                "the fault 'drop' has no 'afetr': did you mean 'after'?",
            ),
            (vec![("kind", text("drop")), ("delayMs", number(1.0))], "the fault 'drop' has no 'delayMs'"),
            (vec![("kind", text("delay"))], "the fault 'delay' needs 'delayMs'"),
            (
                vec![("kind", text("drop")), ("on", text("recieve"))],
                "'on' cannot be 'recieve': did you mean 'receive'?",
            ),
            (vec![("kind", text("drop")), ("on", text("connect"))], "cannot be connect: it strikes on now,"),
            (vec![("kind", text("drop")), ("after", number(-1.0))], "'after' must be a whole number"),
            (
                vec![("kind", text("drop")), ("waitMs", number(0.5))],
                "'waitMs' must be a whole number of milliseconds",
            ),
            (vec![("kind", text("drop")), ("waitMs", number(f64::NAN))], "'waitMs' must be"),
            (
                vec![("kind", text("drop")), ("partition", text("one"))],
                "'partition' must be a partition's id",
            ),
            (vec![("kind", text("drop")), ("entity", text(""))], "'entity' must not be empty"),
            (
                vec![("kind", text("drop")), ("after", number(1.0)), ("after", number(2.0))],
                "'after' is said twice",
            ),
            (vec![("kind", text("restart")), ("loseData", text("yes"))], "'loseData' must be true or false"),
            (vec![("kind", text("skew-clock")), ("skewMs", number(1e300))], "'skewMs' must be"),
            (
                vec![("kind", text("detach")), ("condition", text(&"x".repeat(5000)))],
                "'condition' must have at most",
            ),
        ] {
            let said = say(&fields).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
        assert_eq!(
            say(&[("kind", text("drop")), ("partition", number(2.0))]),
            Ok(Fault::drop_connections().on_partition("2"))
        );
    }
}
