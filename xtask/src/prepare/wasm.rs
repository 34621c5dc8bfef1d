//! What it takes to make WebAssembly: the target, wasm-bindgen's CLI, wasm-pack.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::browser::on_path;
use super::{at_least, package_of_tools, tool};
use crate::failure::Failure;
use crate::process::{answer, quiet};
use crate::workspace::Workspace;

const TARGET: &str = "wasm32-unknown-unknown";
/// The one that is built where none is installed.
const WASM_PACK: &str = "0.15.1";
/// The oldest one that knows `--mode no-install` and today's wasm-bindgen.
const OLDEST_WASM_PACK: (u32, u32) = (0, 13);
pub const INSTALL_TARGET: &str = "rustup target add wasm32-unknown-unknown (a Rust that does not come from rustup needs its distribution's \
     package for that target: on Debian apt-get install libstd-rust-dev-wasm32)";

/// Has the standard library for the target, or installs it where rustup can.
pub fn wasm_target(workspace: &Workspace) -> Result<(), Failure> {
    if find_wasm_target().is_some() {
        return Ok(());
    }
    if answer("rustup", &["--version"]).is_none() {
        return Err(Failure::new(format!("Rust's target {TARGET} is missing: {INSTALL_TARGET}")));
    }
    quiet(
        workspace,
        &format!("Installing Rust's target {TARGET}"),
        Command::new("rustup").current_dir(workspace.root()).args(["target", "add", TARGET]),
    )
}

/// The sources of the standard library, to compile it for one's own needs.
pub fn rust_sources(workspace: &Workspace) -> Result<(), Failure> {
    let sysroot = answer("rustc", &["--print", "sysroot"]).unwrap_or_default();
    if Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock").is_file() {
        return Ok(());
    }
    if answer("rustup", &["--version"]).is_none() {
        return Err(Failure::new(
            "the standard library's sources are missing (rustup component add rust-src)",
        ));
    }
    quiet(
        workspace,
        "Installing the standard library's sources",
        Command::new("rustup").current_dir(workspace.root()).args(["component", "add", "rust-src"]),
    )
}

/// Where the target's standard library is.
pub fn find_wasm_target() -> Option<String> {
    let sysroot = answer("rustc", &["--print", "sysroot"])?;
    let library = Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib");
    library.is_dir().then(|| TARGET.to_owned())
}

/// wasm-bindgen's CLI. It and the crate speak a protocol that changes with every version, so it has to be
/// the version of Cargo.lock.
pub fn wasm_bindgen(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let version = workspace.locked("wasm-bindgen")?;
    match find_wasm_bindgen(workspace) {
        Some(program) => Ok(program),
        None => package_of_tools(workspace, "wasm-bindgen-cli", "wasm-bindgen", &version),
    }
}

pub fn find_wasm_bindgen(workspace: &Workspace) -> Option<PathBuf> {
    let version = workspace.locked("wasm-bindgen").ok()?;
    installed("wasm-bindgen").into_iter().find(|program| {
        answer(program, &["--version"]).is_some_and(|line| line.split_whitespace().last() == Some(&version))
    })
}

pub fn wasm_pack(workspace: &Workspace) -> Result<PathBuf, Failure> {
    match find_wasm_pack() {
        Some(program) => Ok(program),
        None => tool(workspace, "wasm-pack", WASM_PACK),
    }
}

pub fn find_wasm_pack() -> Option<PathBuf> {
    installed("wasm-pack")
        .into_iter()
        .find(|program| answer(program, &["--version"]).is_some_and(|line| at_least(&line, OLDEST_WASM_PACK)))
}

/// A program on the path, or where `cargo install` puts it: a non-login shell's path often lacks that folder.
fn installed(name: &str) -> Vec<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let mut places: Vec<PathBuf> = on_path(name).into_iter().collect();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    #[allow(deprecated)] // Undeprecated since Rust 1.87.
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    places.extend(home.map(|home| home.join("bin").join(&file)).filter(|path| path.is_file()));
    places
}
