//! The walls of the house: which room of `src/` may use which, how big a file may grow, and where the
//! platform may be named. ARCHITECTURE.md has the drawing.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room stands on. It may use what these use too: arrows point downwards, however far.
const STANDS_ON: &[(&str, &[&str])] = &[
    // `model` and `error` are the ground: an error carries a moment or a name, a parser returns an error.
    ("error", &["model"]),
    ("model", &["error"]),
    ("errors", &["error"]),
    ("amqp", &["model"]),
    ("dialect", &["amqp"]),
    ("broker", &["dialect"]),
    ("runtime", &["model"]),
    ("client", &["dialect", "runtime"]),
    ("producer", &["client"]),
    ("codec", &["dialect"]),
    ("consumer", &["client", "codec"]),
    ("outbox", &["producer"]),
    // Stores take the tokens of `client`'s providers.
    ("checkpoint", &["client"]),
    ("processor", &["consumer", "checkpoint"]),
    ("in_page", &["broker"]),
    ("simulation", &["producer", "processor", "broker", "runtime"]),
    ("emulator", &["broker", "runtime"]),
    ("cli", &["producer", "consumer", "checkpoint", "emulator", "errors"]),
    ("js", &["producer", "consumer"]),
];

/// Rooms that know no clock, no socket, no task: time and bytes are handed to them.
const PURE: &[&str] = &["error", "errors", "model", "amqp", "dialect", "codec", "broker", "in_page"];
const NOT_PURE: &[&str] = &[
    "tokio::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "futures::",
    "std::fs",
    "std::thread",
    "std::io::",
    "Instant::now",
    "SystemTime::now",
    "async fn",
    ".await",
];

/// Places that may name tokio; everything above them runs in a browser one day.
const MAY_NAME_TOKIO: &[&str] = &["runtime/native", "emulator", "cli", "main.rs"];

/// Lines of one file, tests not counted.
const LONGEST_FILE: usize = 600;
/// Lines in `src/` whose `cfg` names a target: each is a place where two platforms can drift apart.
const MOST_TARGET_CFGS: usize = 11;

#[test]
fn dependencies_point_downwards_only() {
    let allowed = closure();
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(room) = file.room() else { continue };
        let Some(below) = allowed.get(room) else {
            wrong.push(format!("{}: the room '{room}' has no place in the drawing", file.name));
            continue;
        };
        for (line, used) in file.uses() {
            if used != room && !below.contains(used.as_str()) {
                wrong.push(format!("{}:{line}: '{room}' must not use '{used}'", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point upwards or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_know_no_clock_no_io_no_task() {
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.room().is_some_and(|room| PURE.contains(&room))) {
        for (line, code) in file.code() {
            for word in NOT_PURE.iter().filter(|word| code.contains(**word)) {
                // `std::io::Error` is a value that a caller hands in.
                if *word == "std::io::"
                    && code.matches("std::io::").count() == code.matches("std::io::Error").count()
                {
                    continue;
                }
                wrong.push(format!("{}:{line}: {word}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "pure rooms name what only a platform has:\n{}", wrong.join("\n"));
}

#[test]
fn tokio_is_named_by_native_rooms_only() {
    let mut wrong = Vec::new();
    for file in
        sources().iter().filter(|file| !MAY_NAME_TOKIO.iter().any(|place| file.name.starts_with(place)))
    {
        for (line, code) in file.code() {
            if code.contains("tokio::") || code.contains("use tokio") {
                wrong.push(format!("{}:{line}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "tokio is named outside {MAY_NAME_TOKIO:?}:\n{}", wrong.join("\n"));
}

#[test]
fn few_lines_know_the_target() {
    let mut places = Vec::new();
    for file in sources() {
        for (line, code) in file.code() {
            if code.contains("cfg") && (code.contains("target_") || code.contains("wasm")) {
                places.push(format!("{}:{line}", file.name));
            }
        }
    }
    assert!(
        places.len() <= MOST_TARGET_CFGS,
        "{} lines ask for the target:\n{}",
        places.len(),
        places.join("\n")
    );
}

#[test]
fn no_file_outgrows_its_reader() {
    let long: Vec<String> = sources()
        .iter()
        .map(|file| (file.code().len(), &file.name))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines without tests:\n{}", long.join("\n"));
}

#[test]
fn the_behaviour_suite_is_the_same_on_both_targets() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let names = |file: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(tests.join(file)).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        lines.map(str::to_owned).collect()
    };
    let (mut native, mut wasm) = (names("behaviour/main.rs"), names("wasm/tests/behaviour.rs"));
    assert!(native.len() > 8, "{native:?}");
    assert!(native.remove("native_only") && wasm.remove("runtime"));
    assert_eq!(native, wasm, "tests/behaviour/main.rs and tests/wasm/tests/behaviour.rs");
}

#[test]
fn an_arrow_that_points_upwards_is_found() {
    let file = Source {
        name: "amqp/frame.rs".to_owned(),
        text: "use crate::model::value::Value;\nuse crate::{\n    client::{a, b}, model,\n};\n// crate::cli\nfn f() { crate::broker::Hub }\n\
               #[cfg(test)]\nmod tests { use crate::emulator::Emulator; }\n"
            .to_owned(),
    };
    assert_eq!(file.room(), Some("amqp"));
    let uses = file.uses();
    let uses: Vec<_> = uses.iter().map(|(line, name)| (*line, name.as_str())).collect();
    assert_eq!(uses, [(1, "model"), (2, "client"), (2, "model"), (6, "broker")]);
    assert!(!closure()["amqp"].contains("client"));
    assert!(closure()["cli"].contains("amqp"));
}

/// One file under `src/`.
struct Source {
    /// Its path under `src/`, with forward slashes.
    name: String,
    text: String,
}

impl Source {
    /// `None` for `lib.rs` and `main.rs`, which put the rooms together.
    fn room(&self) -> Option<&str> {
        let first = self.name.split('/').next().unwrap_or_default();
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (room != "lib" && room != "main").then_some(room)
    }

    /// Numbered lines of code: no comments, nothing from the tests on (they come last in a file, or are
    /// a file of their own).
    fn code(&self) -> Vec<(usize, &str)> {
        let is_test_file = self.name.ends_with("_tests.rs")
            || self.name.ends_with("/tests.rs")
            || self.name.contains("/tests/");
        self.text
            .lines()
            .enumerate()
            .take_while(|(_, line)| !is_test_file && !line.trim_start().starts_with("#[cfg(test)]"))
            .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
            .collect()
    }

    /// The rooms that this file names, with the line: `crate::room::…` and the heads of `crate::{…}`.
    fn uses(&self) -> Vec<(usize, String)> {
        let code = self.code();
        let text: String = code.iter().map(|(_, line)| format!("{line}\n")).collect();
        let mut uses = Vec::new();
        for (at, _) in text.match_indices("crate::") {
            let line = text[..at].matches('\n').count() + 1;
            let path = &text[at + "crate::".len()..];
            match path.strip_prefix('{') {
                Some(group) => uses.extend(heads(group).into_iter().map(|head| (line, head))),
                None => uses.push((line, first_name(path))),
            }
        }
        // A name of lib.rs itself (`crate::Error`) is a re-export of the ground.
        uses.retain(|(_, name)| name.starts_with(|c: char| c.is_ascii_lowercase()));
        uses.into_iter().map(|(line, name)| (line, name.to_owned())).collect()
    }
}

/// The first names of a use group, whose opening brace is already behind.
fn heads(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut start = 0;
    let mut heads = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(first_name(group[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(first_name(group[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads
}

fn first_name(path: &str) -> &str {
    let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(path.len());
    &path[..end]
}

/// Everything below each room.
fn closure() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut below: BTreeMap<_, BTreeSet<_>> =
        STANDS_ON.iter().map(|(room, on)| (*room, on.iter().copied().chain(["error"]).collect())).collect();
    loop {
        let before = below.clone();
        for rooms in below.values_mut() {
            let further: Vec<_> =
                rooms.iter().filter_map(|room| before.get(room)).flatten().copied().collect();
            rooms.extend(further);
        }
        if below == before {
            return below;
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 5, "no sources under {}", root.display());
    files
        .into_iter()
        .map(|path| Source {
            name: path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
