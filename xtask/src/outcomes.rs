//! What comes of each fault, natively and as WebAssembly: the tests of `tests/behaviour/outcomes`, as a table.

use std::ffi::OsString;

use serde_json::Value;

use crate::failure::Failure;
use crate::process::{cargo, counted};
use crate::wasm::{self, Place, Selection};
use crate::workspace::Workspace;

const PLACES: [&str; 3] = ["native", "node", "chromium"];
const FILTER: &str = "outcomes::";

/// Runs the tests in the places named, or in all, and prints what they have to say.
pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let asked: Vec<String> =
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    if let Some(unknown) = asked.iter().find(|place| !PLACES.contains(&place.as_str())) {
        return Err(Failure::new(format!("there is no place '{unknown}'; there are: {}", PLACES.join(", "))));
    }
    let is_wanted = |place: &str| asked.is_empty() || asked.iter().any(|name| name == place);
    let notes = workspace.target().join("xtask/outcomes.jsonl");
    let _ = std::fs::remove_file(&notes);
    let _ = std::fs::create_dir_all(workspace.target().join("xtask"));

    let native = match is_wanted("native") {
        true => {
            let mut tests = cargo(workspace);
            tests.args(["test", "--all-features", "--test", "behaviour", FILTER]);
            counted(tests.env("EVENTHUBS_TEST_NOTES", &notes)).map(drop)
        }
        false => Ok(()),
    };
    let mut places = Vec::new();
    places.extend(is_wanted("node").then_some(Place::Node));
    places.extend(is_wanted("chromium").then_some(Place::Chromium));
    let elsewhere = wasm::only(workspace, &places, &Selection { filter: FILTER, notes: &notes });

    let text = std::fs::read_to_string(&notes).map_err(|error| {
        Failure::new(format!("no test had anything to say ({}: {error})", notes.display()))
    })?;
    let rows: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let shown: Vec<&str> = PLACES.into_iter().filter(|place| is_wanted(place)).collect();
    for operation in ["send", "receive"] {
        println!("\n{}", table(operation, &rows, &shown));
    }
    native.and(elsewhere)
}

/// The rows of an operation in Markdown, with columns for each place.
fn table(operation: &str, rows: &[Value], places: &[&str]) -> String {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows: Vec<&Value> = rows.iter().filter(|row| row["operation"] == operation).collect();
    let deadline = rows.first().map_or(0, |row| row["deadlineMs"].as_u64().unwrap_or_default());
    let mut lines = vec![
        format!(
            "Under a {operation} (deadline {deadline} ms; times in ms: settled after the fault's beginning, working again after its end)\n"
        ),
        format!(
            "| fault | {} told |",
            places
                .iter()
                .map(|place| format!("{place}: outcome | settled | again |"))
                .collect::<Vec<_>>()
                .join(" ")
        ),
        format!("|--|{}--|", "--|--:|--:|".repeat(places.len())),
    ];
    let mut order: Vec<&Value> = Vec::new();
    for row in &rows {
        if !order.iter().any(|known| known["order"] == row["order"]) {
            order.push(row);
        }
    }
    order.sort_by_key(|row| row["order"].as_u64());
    for first in order {
        let mut cells = vec![text(first, "fault")];
        for place in places {
            match rows.iter().find(|row| row["platform"] == *place && row["order"] == first["order"]) {
                Some(row) => {
                    let remark = text(row, "remark");
                    let outcome = text(row, "outcome");
                    let wrong = if text(row, "wrong").is_empty() { "" } else { " **WRONG**" };
                    cells.push(match remark.is_empty() {
                        true => format!("{outcome}{wrong}"),
                        false => format!("{outcome} ({remark}){wrong}"),
                    });
                    cells.push(row["settledMs"].to_string());
                    cells.push(row["recoveredMs"].to_string());
                }
                None => cells.extend(["–", "", ""].map(str::to_owned)),
            }
        }
        cells.push(text(first, "told"));
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_stand_beside_each_other_in_the_order_of_the_cases() {
        let row = |platform: &str, order: u64, fault: &str, wrong: &str| {
            json!({
                "platform": platform, "operation": "send", "order": order, "fault": fault, "outcome": "stored",
                "remark": "", "settledMs": 7, "recoveredMs": 8, "deadlineMs": 6000, "told": "connected", "wrong": wrong,
            })
        };
        let rows = [row("node", 1, "late", ""), row("native", 1, "late", "x"), row("native", 0, "early", "")];
        let table = table("send", &rows, &["native", "node"]);
        let lines: Vec<&str> = table.lines().skip(4).collect();
        assert_eq!(
            lines,
            [
                "| early | stored | 7 | 8 | – |  |  | connected |",
                "| late | stored **WRONG** | 7 | 8 | stored | 7 | 8 | connected |",
            ]
        );
    }
}
