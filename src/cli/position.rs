//! Where to start reading, as people write it.

use std::time::{Duration, SystemTime};

use super::units;
use crate::model::position::StartPosition;
use crate::model::value::Timestamp;

/// Reads `earliest`, `latest`, `offset:448`, `sequence:7`, `2026-01-31T09:05:07Z` or `15m` (ago). What is named
/// is included: `sequence:7` starts with event 7.
pub(super) fn parse(text: &str) -> Result<StartPosition, String> {
    match text {
        "earliest" | "beginning" | "start" => return Ok(StartPosition::earliest()),
        "latest" | "end" => return Ok(StartPosition::latest()),
        _ => {}
    }
    if let Some(offset) = text.strip_prefix("offset:") {
        return match offset.is_empty() {
            false => Ok(StartPosition::offset(offset).inclusive()),
            true => Err("say which offset, as in offset:448".to_owned()),
        };
    }
    if let Some(number) = text.strip_prefix("sequence:") {
        let number =
            number.parse().map_err(|_| format!("'{number}' is no sequence number, as in sequence:7"))?;
        return Ok(StartPosition::sequence_number(number).inclusive());
    }
    if let Some(time) = timestamp(text) {
        return Ok(StartPosition::enqueued_time(time).inclusive());
    }
    if let Ok(ago) = units::duration(text) {
        return Ok(StartPosition::enqueued_time(Timestamp::from(before_now(ago))).inclusive());
    }
    Err("it is one of: earliest, latest, offset:448, sequence:7, a time such as 2026-01-31T09:05:07Z, \
         or how long ago, such as 15m"
        .to_owned())
}

fn before_now(ago: Duration) -> SystemTime {
    SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// RFC 3339: `2026-01-31T09:05:07.250Z`, `2026-01-31 09:05+01:00`, `2026-01-31`. Without a zone it is UTC.
fn timestamp(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
    let [year, month, day] = numbers(date, '-')?;
    if date.len() != 10 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let (time, zone) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, "Z"),
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let time = if time.matches(':').count() == 1 { format!("{time}:00") } else { time.to_owned() };
    let [hour, minute, second] = numbers(&time, ':')?;
    if hour > 23 || minute > 59 || second > 60 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let [hours, minutes] = numbers(&zone[1..], ':')?;
            let minutes = hours * 60 + minutes;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
    Some(Timestamp::from_millis(seconds * 1000 + millis))
}

/// Exactly `N` unsigned numbers between separators.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let digits =
        |part: &str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Option<Vec<i64>> =
        text.split(separator).map(|part| if digits(part) { part.parse().ok() } else { None }).collect();
    parts?.try_into().ok()
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// After Howard Hinnant's public-domain algorithm.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_people_write_them() {
        assert_eq!(parse("earliest"), Ok(StartPosition::earliest()));
        assert_eq!(parse("latest"), Ok(StartPosition::latest()));
        assert_eq!(parse("offset:448"), Ok(StartPosition::offset("448").inclusive()));
        assert_eq!(parse("sequence:7"), Ok(StartPosition::sequence_number(7).inclusive()));
        let time = Timestamp::from_millis(1_767_225_600_250);
        assert_eq!(parse("2026-01-01T00:00:00.25Z"), Ok(StartPosition::enqueued_time(time).inclusive()));
        assert!(parse("15m").is_ok());
    }

    #[test]
    fn times_are_what_they_print_as() {
        for text in ["1970-01-01T00:00:00.000Z", "2000-02-29T23:59:59.999Z", "2026-12-31T12:00:01.500Z"] {
            assert_eq!(timestamp(text).unwrap().to_string(), text);
        }
        for same in [
            "2026-01-31T09:05Z",
            "2026-01-31 09:05:00",
            "2026-01-31T10:05:00+01:00",
            "2026-01-31t04:05:00-05:00",
        ] {
            assert_eq!(timestamp(same).unwrap().to_string(), "2026-01-31T09:05:00.000Z", "{same}");
        }
    }

    #[test]
    fn nonsense_is_told_apart() {
        for wrong in [
            "",
            "now",
            "offset:",
            "sequence:x",
            "sequence:",
            "7",
            "2026-13-01",
            "2026-02-29",
            "2026-01-01T25:00Z",
            "2026-01-01T1é:00Z",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
