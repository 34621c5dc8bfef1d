//! What the demo publishes: flight records, keyed by the airport that each flight left from.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

/// As many as `flights-200k.json` has.
pub(super) const MADE_UP: usize = 231_083;

/// One record and its key.
pub(super) struct Flight {
    pub(super) origin: Arc<str>,
    /// The record's JSON text, as it is in the file.
    pub(super) body: Bytes,
}

#[derive(Deserialize)]
struct Record {
    distance: u64,
}

/// Reads the records of `flights-200k.json`, each with the airport that the same row of `flights-3m.csv` names.
pub(super) fn read(directory: &Path) -> Result<Vec<Flight>, String> {
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read_to_string(&path)
            .map_err(|error| format!("cannot read the flight records in {}: {error}", path.display()))
    };
    join(Bytes::from(read("flights-200k.json")?), &read("flights-3m.csv")?)
        .map_err(|why| format!("cannot use the flight records in {}: {why}", directory.display()))
}

/// Records of the same shape for those who have not fetched the real ones: always the same.
pub(super) fn make_up(count: usize) -> Vec<Flight> {
    const AIRPORTS: [&str; 12] =
        ["PHX", "LAS", "HOU", "DAL", "OAK", "LAX", "BWI", "MDW", "SAN", "SMF", "SJC", "MCI"];
    let airports = AIRPORTS.map(Arc::<str>::from);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    (0..count)
        .map(|index| {
            // Busy airports come first in the list, and more often.
            let origin = random(AIRPORTS.len() as u64).min(random(AIRPORTS.len() as u64)) as usize;
            let (delay, distance) = (random(90) as i64 - 15, 150 + random(2200));
            let time = index as f64 * 24.0 / count as f64;
            let body = format!(r#"{{"delay":{delay},"distance":{distance},"time":{time}}}"#);
            Flight { origin: airports[origin].clone(), body: body.into() }
        })
        .collect()
}

fn join(json: Bytes, csv: &str) -> Result<Vec<Flight>, String> {
    let bodies = records(&json)?;
    let mut rows = csv.lines();
    let heading: Vec<&str> = rows.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        heading
            .iter()
            .position(|&cell| cell == name)
            .ok_or_else(|| format!("flights-3m.csv has no column '{name}'"))
    };
    // The delays differ on purpose: the JSON file has none above three hours.
    let (origin, distance) = (column("origin")?, column("distance")?);
    let mut airports: Vec<Arc<str>> = Vec::new();
    let mut flights = Vec::with_capacity(bodies.len());
    for (index, (body, row)) in bodies.iter().zip(rows.by_ref()).enumerate() {
        let cells: Vec<&str> = row.split(',').collect();
        let (Some(&origin), Some(distance)) = (cells.get(origin), cells.get(distance)) else {
            return Err(format!("row {} of flights-3m.csv has {} columns", index + 2, cells.len()));
        };
        let record: Record = serde_json::from_slice(body)
            .map_err(|error| format!("record {index} of flights-200k.json: {error}"))?;
        if distance.parse() != Ok(record.distance) {
            return Err(format!(
                "record {index} of flights-200k.json is not the flight in row {} of flights-3m.csv",
                index + 2
            ));
        }
        let origin = match airports.iter().find(|known| &***known == origin) {
            Some(known) => known.clone(),
            None => {
                airports.push(origin.into());
                origin.into()
            }
        };
        flights.push(Flight { origin, body: body.clone() });
    }
    let rest = rows.filter(|row| !row.is_empty()).count();
    if flights.len() != bodies.len() || rest > 0 {
        return Err(format!(
            "flights-200k.json has {} records, flights-3m.csv {} rows",
            bodies.len(),
            flights.len() + rest
        ));
    }
    if flights.is_empty() {
        return Err("there is not one record".to_owned());
    }
    Ok(flights)
}

/// The objects of an array of flat objects, each a slice of the file: the bytes are published as they are.
fn records(json: &Bytes) -> Result<Vec<Bytes>, String> {
    let mut records = Vec::new();
    let mut rest = 0;
    while let Some(start) = json[rest..].iter().position(|&byte| byte == b'{') {
        let start = rest + start;
        let length = json[start..]
            .iter()
            .position(|&byte| byte == b'}')
            .ok_or("flights-200k.json ends inside a record")?;
        rest = start + length + 1;
        records.push(json.slice(start..rest));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str =
        "date,delay,distance,origin,destination\n01010001,14,405,MCI,MDW\n01010530,-11,370,LAX,PHX\n";
    const JSON: &[u8] = br#"[{"delay":14,"distance":405,"time":0.016666666666666666},{"delay":-11,"distance":370,"time":5.5}]"#;

    #[test]
    fn a_record_keeps_its_bytes_and_gets_its_airport() {
        let flights = join(Bytes::from_static(JSON), CSV).unwrap();
        assert_eq!(flights.len(), 2);
        assert_eq!(&*flights[0].origin, "MCI");
        assert_eq!(&flights[0].body[..], br#"{"delay":14,"distance":405,"time":0.016666666666666666}"#);
        assert_eq!(&*flights[1].origin, "LAX");
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let shorter = CSV.lines().take(2).collect::<Vec<_>>().join("\n");
        assert!(join(Bytes::from_static(JSON), &shorter).is_err());
        assert!(join(Bytes::from_static(JSON), &CSV.replace("370", "371")).is_err());
        assert!(join(Bytes::from_static(JSON), &format!("{CSV}01010530,-11,370,LAX,PHX\n")).is_err());
        assert!(join(Bytes::from_static(b"[]"), "date,delay,distance,origin,destination\n").is_err());
        assert!(join(Bytes::from_static(b"[{"), CSV).is_err());
    }

    #[test]
    fn made_up_records_are_the_same_every_time() {
        let (one, two) = (make_up(100), make_up(100));
        assert!(one.iter().zip(&two).all(|(a, b)| a.body == b.body && a.origin == b.origin));
        assert!(one.iter().any(|flight| flight.origin != one[0].origin));
    }
}
