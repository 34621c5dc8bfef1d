//! What is missing on this machine, and how to get it.

use std::net::{Ipv4Addr, TcpListener};

use crate::failure::Failure;
use crate::prepare::{self, INSTALL_BROWSER, INSTALL_NODE, INSTALL_PYTHON, INSTALL_TARGET};
use crate::process::answer;
use crate::workspace::Workspace;

/// As in Cargo.toml's `rust-version`.
const RUST: (u32, u32) = (1, 92);

struct Finding {
    what: &'static str,
    found: Option<String>,
    needed_for: &'static str,
    /// Whether tests fail without it.
    required: bool,
    get: String,
}

pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    let findings = findings(workspace);
    for finding in &findings {
        match &finding.found {
            Some(version) => println!("ok       {:<22} {version}", finding.what),
            None => {
                let word = if finding.required { "MISSING " } else { "optional" };
                println!("{word} {:<22} for {}; {}", finding.what, finding.needed_for, finding.get);
            }
        }
    }
    let missing: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.required && finding.found.is_none())
        .map(|finding| finding.what)
        .collect();
    if missing.is_empty() {
        println!("\nNothing is missing: `cargo xtask demo` and `cargo xtask test` run here.");
        return Ok(());
    }
    Err(Failure::new(format!("missing: {}", missing.join(", "))))
}

fn findings(workspace: &Workspace) -> Vec<Finding> {
    let required = |what, found, needed_for, get: &str| Finding {
        what,
        found,
        needed_for,
        required: true,
        get: get.to_owned(),
    };
    let optional = |what, found, needed_for, get: &str| Finding {
        what,
        found,
        needed_for,
        required: false,
        get: get.to_owned(),
    };
    let recent = |line: Option<String>, wanted| line.filter(|line| prepare::at_least(line, wanted));
    let python = prepare::system_python().ok();
    let venv = python.and_then(|python| answer(python, &["-c", "import venv, ensurepip; print('found')"]));
    let node = recent(answer("node", &["--version"]), prepare::NODE);
    let browser = prepare::find_browser().map(|browser| browser.version);
    vec![
        required(
            "rustc 1.92",
            recent(answer("rustc", &["--version"]), RUST),
            "everything",
            "rustup update stable",
        ),
        required(
            "C compiler",
            answer("cc", &["--version"]),
            "linking",
            "on Debian: apt-get install build-essential",
        ),
        required("rustfmt", answer("rustfmt", &["--version"]), "lint", "rustup component add rustfmt"),
        required("clippy", answer("cargo-clippy", &["--version"]), "lint", "rustup component add clippy"),
        required(
            "Python 3.9",
            python.and_then(|python| answer(python, &["--version"])),
            "interop",
            INSTALL_PYTHON,
        ),
        required("Python's venv", venv, "interop", INSTALL_PYTHON),
        required("Node 20.19", node, "interop", INSTALL_NODE),
        required("npm", npm_version(), "interop, demo", INSTALL_NODE),
        required(
            "wasm target",
            prepare::find_wasm_target(),
            "package, wasm",
            &format!("it is installed where rustup is; {INSTALL_TARGET}"),
        ),
        required("Chromium, chromedriver", browser, "package, wasm", INSTALL_BROWSER),
        optional(
            "wasm-bindgen",
            prepare::find_wasm_bindgen(workspace).and_then(|program| answer(program, &["--version"])),
            "package, wasm",
            "it is built from source at the version of Cargo.lock (3 min), or cargo install wasm-bindgen-cli --version …",
        ),
        optional(
            "wasm-pack",
            prepare::find_wasm_pack().and_then(|program| answer(program, &["--version"])),
            "wasm",
            "it is built from source (3 min), or cargo install wasm-pack",
        ),
        optional(
            "npm packages",
            installed_packages(workspace, &["pkg-template", "tests/package"]),
            "package, size",
            "they are installed when they are needed",
        ),
        optional(
            "cargo-deny",
            answer("cargo-deny", &["--version"]),
            "lint: licences",
            "cargo install --locked cargo-deny",
        ),
        optional(
            "C++ compiler",
            answer("c++", &["--version"]),
            "fuzz",
            "on Debian: apt-get install build-essential",
        ),
        optional("port 5672", free_port(5672), "emulator", "another program listens there: give `--port 0`"),
        optional("demo data", fetched(workspace, "demo/installed.txt"), "demo", "the demo fetches it"),
        optional(
            "Python packages",
            fetched(workspace, "interop/venv/installed-requirements.txt"),
            "interop",
            "the tests install them",
        ),
    ]
}

fn npm_version() -> Option<String> {
    prepare::npm().ok().and_then(|npm| answer(npm.get_program(), &["--version"]))
}

fn installed_packages(workspace: &Workspace, folders: &[&str]) -> Option<String> {
    let installed = |folder: &&str| workspace.root().join(folder).join("node_modules").is_dir();
    folders.iter().all(installed).then(|| "installed".to_owned())
}

fn free_port(port: u16) -> Option<String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| "free".to_owned())
}

fn fetched(workspace: &Workspace, stamp: &str) -> Option<String> {
    workspace.target().join(stamp).is_file().then(|| "installed".to_owned())
}
