//! No key, signature or token is ever seen: not in a log at any level, an error, a `Debug`, a panic, or what the command
//! line prints, whatever goes wrong.
//!
//! The feature `js` compiles logs out, so this runs without it: `cargo test --features cli --test secrets`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod capture;
mod command_line;
mod needles;
#[path = "../harness/process.rs"]
mod process;
mod service;
mod values;

use needles::Needles;

/// Made up, and nowhere else in this repository.
pub(crate) const KEY: &str = "kT9+vQ2/mZ7xW4pL8sN1bR6cD3fG5hJ0aYuE2oIqXw0=";
pub(crate) const WRONG_KEY: &str = "wR0nG+7ZtB3/yU5eKd9fHs1aLj6mPq8oVx2cNi4gTbM=";
pub(crate) const PLAIN_KEY: &str = "pL41n-Zk8sWq3Ev7Rt1Yb5Un9Mi2Ol6PaDfGhJ4c";
pub(crate) const JWT: &str =
    "eyQ7mVx2Lr9Kd.5sTnB8wZcY3fHj6GpA1uEoR4iXqW0v.M7kP2bN9zLx5tCy8rDs3gFh6aVj1eUwQ4oIiZmKl";
/// What a provider of tokens says when it fails, is its own; that a token of another kind is none, is ours.
pub(crate) const NO_TOKEN: &str = "Zq8+Wn3/vT6xB1mK9pS4dF7gH2jL5cR0aYeU-not-a-token";

#[cfg_attr(feature = "js", ignore = "logs are compiled out: cargo test --features cli --test secrets")]
#[test]
fn no_secret_is_ever_seen() {
    let mut needles = Needles::default();
    for (name, secret) in [
        ("the key", KEY),
        ("the wrong key", WRONG_KEY),
        ("the key for PLAIN", PLAIN_KEY),
        ("the token of Entra ID", JWT),
        ("what is no token", NO_TOKEN),
    ] {
        needles.add(name, secret);
    }
    capture::start();
    needles.add("a signature", &values::everything());
    let signatures = service::everything();
    assert!(signatures.len() > 5, "{} tokens travelled, so too little was tried", signatures.len());
    for signature in &signatures {
        needles.add("a signature", signature);
    }
    command_line::everything();

    let seen = capture::all();
    let lines = |place: &str| seen.iter().filter(|(from, _)| from.starts_with(place)).count();
    let (logged, errors, shown) = (lines("the log"), lines("the error of"), lines("Debug of"));
    println!("{logged} lines of logs, {errors} errors, {shown} values, {} texts in all", seen.len());
    assert!(logged > 500 && errors > 15 && shown > 20, "too little was seen for this to mean anything");
    assert!(lines("the command line") > 15);
    let mut leaks: Vec<String> = seen
        .iter()
        .flat_map(|(place, text)| {
            needles.seen_in(text).into_iter().map(move |leak| format!("{place} shows {leak}"))
        })
        .collect();
    leaks.sort();
    leaks.dedup();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
