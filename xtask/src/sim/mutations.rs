//! Mistakes made on purpose, to see that the simulation notices them, and how soon.
//!
//! Each is a change of one place in a copy of the sources, so that the sources themselves need no switches. One whose
//! place is gone is reported: it has to follow the code.

use std::path::Path;
use std::process::{Command, Stdio};

use super::build;
use crate::failure::Failure;
use crate::table::Table;
use crate::workspace::Workspace;

struct Mutation {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const MUTATIONS: [Mutation; 7] = [
    Mutation {
        name: "drop one disposition in 64",
        file: "src/client/sender.rs",
        from: "let ticket = Ticket::from(token);\n            state.answered",
        to: "let ticket = Ticket::from(token);\n            if state.next_number % 64 == 7 { continue; }\n            state.answered",
    },
    Mutation {
        name: "resume one event too early",
        file: "src/client/link.rs",
        from: "(Some(last), _) => StartPosition::offset(last.offset()),",
        to: "(Some(last), _) => StartPosition::offset(last.offset()).inclusive(),",
    },
    Mutation {
        name: "resume one event too late",
        file: "src/client/link.rs",
        from: "(Some(last), _) => StartPosition::offset(last.offset()),",
        to: "(Some(last), _) => StartPosition::sequence_number(last.sequence_number() + 1),",
    },
    Mutation {
        name: "forget to attach again after a lost connection",
        file: "src/client/links.rs",
        from: "link.stage = if is_wanted { Stage::Waiting } else { Stage::Idle };\n        self.queue(key);\n    }\n\n    /// The client is closed",
        to: "let _ = is_wanted;\n        link.stage = Stage::Idle;\n    }\n\n    /// The client is closed",
    },
    Mutation {
        name: "deliver one event in 64 twice",
        file: "src/client/link.rs",
        from: "self.staged.push(event);",
        to: "if size % 64 == 7 { self.staged.push(event.clone()); }\n        self.staged.push(event);",
    },
    Mutation {
        name: "send again in another order",
        file: "src/client/slots.rs",
        from: "again.sort_unstable_by_key(|(number, _)| *number);",
        to: "again.sort_unstable_by_key(|(number, _)| *number ^ 1);",
    },
    Mutation {
        name: "believe that a lost connection has acknowledged what was sent",
        file: "src/client/sender.rs",
        from: "Verdict::Again(number) => again.push((number, ticket)),\n                Verdict::Over(failed) => {\n                    wakers.extend(state.finish(ticket, Err(self.describe(error.clone(), failed))));\n                }\n                Verdict::Gone => {}\n            }\n        }",
        to: "Verdict::Again(_) => wakers.extend(state.finish(ticket, Ok(()))),\n                Verdict::Over(failed) => {\n                    wakers.extend(state.finish(ticket, Err(self.describe(error.clone(), failed))));\n                }\n                Verdict::Gone => {}\n            }\n        }",
    },
];

pub fn run(workspace: &Workspace, seeds: u64) -> Result<(), Failure> {
    let copy = workspace.target().join("mutations");
    let mut table = Table::new(["mistake", "seeds until noticed", "by"]);
    let mut unnoticed = Vec::new();
    for mutation in &MUTATIONS {
        copy_sources(workspace.root(), &copy)?;
        mutation.apply(&copy)?;
        println!("{} …", mutation.name);
        // Not where the checkout builds to: Cargo would take what it finds there for its own.
        let program = build(&copy, &workspace.target().join("mutations-target"))?;
        let output = Command::new(&program)
            .args(["--failures", "1", "--seeds", &seeds.to_string()])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::new(format!("cannot run {}: {error}", program.display())))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines().skip_while(|line| !line.starts_with("seed "));
        match (lines.next(), lines.next()) {
            (Some(seed), Some(what)) => {
                let seed: u64 = seed.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or_default();
                table.row([
                    mutation.name.to_owned(),
                    (seed + 1).to_string(),
                    what.trim().chars().take(90).collect(),
                ]);
            }
            _ => {
                unnoticed.push(mutation.name);
                table.row([mutation.name.to_owned(), format!("not in {seeds}"), String::new()]);
            }
        }
    }
    println!("{table}");
    match unnoticed.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!("nobody noticed: {}", unnoticed.join(", ")))),
    }
}

impl Mutation {
    fn apply(&self, copy: &Path) -> Result<(), Failure> {
        let path = copy.join(self.file);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
        if text.matches(self.from).count() == 0 {
            let (name, file) = (self.name, self.file);
            return Err(Failure::new(format!(
                "'{name}' does not know its place in {file} any more: look at it"
            )));
        }
        // The last place: where there are two, the first belongs to a neighbour that was not meant.
        let at = text.rfind(self.from).unwrap_or_default();
        let text = format!("{}{}{}", &text[..at], self.to, &text[at + self.from.len()..]);
        std::fs::write(&path, text)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
    }
}

/// What a build needs of the checkout. Files that have not changed keep their times, so that little is built again.
fn copy_sources(root: &Path, copy: &Path) -> Result<(), Failure> {
    for name in ["Cargo.toml", "Cargo.lock", "README.md", "build.rs"] {
        if root.join(name).is_file() {
            copy_file(&root.join(name), &copy.join(name))?;
        }
    }
    for name in ["src", "tests", "xtask", "examples", "benches", "docs"] {
        copy_folder(&root.join(name), &copy.join(name))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name == "node_modules" || name == "target" || name == ".cache" {
            continue;
        }
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &to.join(name))?,
            false => copy_file(&entry.path(), &to.join(name))?,
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot copy {}: {error}", from.display()));
    let bytes = std::fs::read(from).map_err(failed)?;
    if std::fs::read(to).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(to, bytes).map_err(failed)
}
