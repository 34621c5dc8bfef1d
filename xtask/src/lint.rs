//! Formatting, clippy, documentation, layers, licences.

use std::ffi::OsString;

use crate::failure::Failure;
use crate::process::{answer, cargo, counted};
use crate::report::{Counts, Report};
use crate::workspace::Workspace;

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(Failure::new(format!(
            "lint takes no arguments, and got '{}'",
            argument.to_string_lossy()
        )));
    }
    let mut report = Report::default();
    steps(workspace, &mut report);
    report.close()
}

pub fn steps(workspace: &Workspace, report: &mut Report) {
    report.step("lint: formatting", || formatting(workspace));
    report.step("lint: clippy", || {
        let deny = ["--", "-D", "warnings"];
        let mut everything = cargo(workspace);
        // Not the whole workspace at once: Cargo would build every dependency a second time, with everybody's features together.
        everything.args(["clippy", "--package", "eventhubs", "--all-targets", "--all-features"]).args(deny);
        let mut helpers = cargo(workspace);
        helpers
            .args([
                "clippy",
                "--package",
                "xtask",
                "--package",
                "eventhubs-wasm-tests",
                "--package",
                "eventhubs-simulation",
                "--all-targets",
            ])
            .args(deny);
        let mut library = cargo(workspace);
        library.args(["clippy", "--lib"]).args(deny);
        let mut bare = cargo(workspace);
        bare.args(["clippy", "--lib", "--no-default-features"]).args(deny);
        counted(&mut everything)?;
        counted(&mut helpers)?;
        counted(&mut library)?;
        counted(&mut bare)
    });
    report.step("lint: documentation", || {
        let mut doc = cargo(workspace);
        doc.args(["doc", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings");
        counted(&mut doc)
    });
    report.step("lint: layers", || {
        counted(cargo(workspace).args(["test", "--quiet", "--all-features", "--test", "layers"]))
    });
    report.step("lint: licences and sources", || licences(workspace));
}

fn formatting(workspace: &Workspace) -> Result<Counts, Failure> {
    counted(cargo(workspace).args(["fmt", "--all", "--check"]))?;
    for manifest in workspace.side_manifests() {
        counted(cargo(workspace).args(["fmt", "--all", "--check", "--manifest-path"]).arg(manifest))?;
    }
    Ok(Counts::default())
}

/// The advisories are left out: their database lives where a build machine may not reach.
fn licences(workspace: &Workspace) -> Result<Counts, Failure> {
    if answer("cargo-deny", &["--version"]).is_none() {
        println!("not checked: cargo-deny is not installed (cargo install --locked cargo-deny)");
        return Ok(Counts { skipped: 1, ..Counts::default() });
    }
    counted(cargo(workspace).args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))
}
