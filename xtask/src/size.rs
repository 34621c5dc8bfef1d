//! What the package weighs in a page, and where the bytes go.

use std::ffi::OsString;
use std::process::Command;

use serde_json::Value;

use crate::failure::Failure;
use crate::package::{self, Module};
use crate::prepare;
use crate::process::{cannot_start, shown, succeeded, visible};
use crate::table::Table;
use crate::workspace::Workspace;

const HELP: &str = "\
Usage: cargo xtask size [--why [N]]

  --why [N]   where the bytes of each module go: by section, by crate, the N biggest functions (40)
";

/// Bytes in brotli that a row may weigh, and those that it should. It is far from the goal, and must not go further from it:
/// when it gets lighter, lower the limit. The official SDK's producer and consumer weigh 77.9 kB.
///
/// From 110 to 123 kB: before clients told how they are, a page weighed 111.8 kB (wasm 101.6, JavaScript 10.2), with it 121.2 (109.7 and
/// 11.5). `diagnose()` is 5.6 kB of the wasm, most of it one long future; what recovers and explains errors, with `status()` and `health()`
/// over it, is 2.5; their objects and types are made in JavaScript, for 1.3. A client that stops in silence costs more.
///
/// From 123 to 129 kB, and to 131 kB for every export: an event that is sent again and stored once needs numbers that a link gives out,
/// keeps over losses and writes into batches, and its state in and out of JavaScript: 5.5 kB of the wasm, 0.4 of the JavaScript.
/// `BufferedProducerClient` is JavaScript alone, 1.8 kB for those who import it.
///
/// From 129 to 116.5 kB, and from 131 to 119: JavaScript's values are converted, and a diagnosis is made, in TypeScript (ARCHITECTURE.md).
const LIMITS: [(&str, f64, f64); 2] = [("page", 116_500.0, 75_000.0), ("root", 119_000.0, 90_000.0)];

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let mut why = None;
    for argument in &arguments {
        match (argument.to_string_lossy().as_ref(), why) {
            ("--why", None) => why = Some(40),
            ("-h" | "--help", _) => {
                print!("{HELP}");
                return Ok(());
            }
            (number, Some(_)) if number.parse::<u32>().is_ok() => why = number.parse().ok(),
            (other, _) => return Err(Failure::new(format!("size does not know '{other}'\n\n{HELP}"))),
        }
    }
    let package = package::build(workspace)?;
    let template = workspace.root().join("pkg-template");
    let node = prepare::system_node()?;
    let mut measure = Command::new(&node);
    measure.current_dir(&template).arg("build/size.mjs").arg(&package.folder).arg(package.home.join("size"));
    println!("$ {}", shown(&measure));
    let output = measure.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| cannot_start(&measure, &error))?;
    succeeded(&measure, output.status)?;
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::new(format!("build/size.mjs printed no JSON: {error}")))?;
    print_table(&rows);

    if let Some(number) = why {
        let bindgen = prepare::wasm_bindgen(workspace)?;
        for module in Module::all() {
            let mut explain = Command::new(&node);
            explain.current_dir(&template).arg("build/why.mjs").arg(&bindgen).arg(module.link(workspace)?);
            visible(explain.arg(package.home.join("why")).args([module.name, &u32::to_string(&number)]))?;
        }
    }
    within_limits(&rows)
}

fn print_table(rows: &[Value]) {
    let mut table = Table::new([
        "kB",
        "wasm brotli",
        "JS brotli",
        "all raw",
        "all gzip -9",
        "all brotli -11",
        "limit",
        "goal",
    ]);
    for row in rows {
        let size =
            |name: &str| row[name].as_f64().map_or(String::new(), |bytes| format!("{:.1}", bytes / 1000.0));
        let limit = limit(row).map_or(String::new(), |bytes| format!("{:.0}", bytes / 1000.0));
        let goal = goal(row).map_or(String::new(), |bytes| format!("{:.0}", bytes / 1000.0));
        let name = row["name"].as_str().unwrap_or_default().to_owned();
        table.row([
            name,
            size("wasm"),
            size("javascript"),
            size("raw"),
            size("gzip"),
            size("brotli"),
            limit,
            goal,
        ]);
    }
    println!("\n{table}");
}

fn within_limits(rows: &[Value]) -> Result<(), Failure> {
    for row in rows {
        let Some(limit) = limit(row) else { continue };
        let weighs = row["brotli"].as_f64().unwrap_or(f64::INFINITY);
        if let Some(goal) = goal(row).filter(|goal| weighs > *goal) {
            let name = row["name"].as_str().unwrap_or_default();
            println!(
                "{name} is {:.1} kB above its goal of {:.0} kB.",
                (weighs - goal) / 1000.0,
                goal / 1000.0
            );
        }
        if weighs > limit {
            return Err(Failure::new(format!(
                "{} weighs {:.1} kB brotli and may weigh {:.0}: `cargo xtask size --why` says where the bytes go",
                row["name"].as_str().unwrap_or_default(),
                weighs / 1000.0,
                limit / 1000.0
            )));
        }
    }
    if LIMITS.iter().any(|(id, ..)| !rows.iter().any(|row| row["id"] == *id)) {
        return Err(Failure::new("build/size.mjs left out a row that has a limit"));
    }
    println!("Within the limits.");
    Ok(())
}

fn limit(row: &Value) -> Option<f64> {
    LIMITS.iter().find(|(id, ..)| row["id"] == *id).map(|(_, limit, _)| *limit)
}

fn goal(row: &Value) -> Option<f64> {
    LIMITS.iter().find(|(id, ..)| row["id"] == *id).map(|(.., goal)| *goal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_above_its_limit_fails_by_name() {
        let rows = |page: u32| {
            vec![
                json!({ "id": "page", "name": "producer + consumer", "brotli": page }),
                json!({ "id": "root", "name": "root", "brotli": 80_000 }),
                json!({ "name": "official", "brotli": 200_000 }),
            ]
        };
        assert!(within_limits(&rows(116_500)).is_ok());
        let failure = within_limits(&rows(116_600)).map_err(|failure| failure.to_string());
        assert!(failure.is_err_and(|sentence| sentence.starts_with("producer + consumer weighs 116.6 kB")));
    }

    #[test]
    fn a_row_that_is_not_measured_is_not_within_its_limit() {
        assert!(within_limits(&[json!({ "id": "page", "brotli": 1 })]).is_err());
    }
}
