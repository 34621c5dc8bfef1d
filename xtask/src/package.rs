//! The npm package: the crate as WebAssembly twice (client, emulator), wrapped by pkg-template.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::imports;
use crate::prepare;
use crate::process::{cargo, quiet, visible};
use crate::workspace::Workspace;

/// The modules of the package and the crate's features that each is made with.
const MODULES: [Module; 2] = [
    Module { name: "eventhubs", features: "js", counts_bytes: true },
    Module { name: "eventhubs-emulator", features: "js-emulator", counts_bytes: false },
];

pub struct Module {
    pub name: &'static str,
    features: &'static str,
    /// Whether pages load it, so that the standard library is made smaller, too.
    counts_bytes: bool,
}

/// SHA-256 in a loop instead of unrolled: it signs a token now and then.
const COMPACT: &str = r#"--cfg sha2_backend="soft" --cfg sha2_backend_soft="compact""#;
/// What only the compiler's development versions offer, and those of other days when they are told that they may: no text and
/// no place in the sources for a panic, which is a trap; nothing printed for programmers. See ARCHITECTURE.md.
const SMALLEST: &str = "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none";

/// What was built, and where.
pub struct Package {
    /// `target/package`
    pub home: PathBuf,
    /// The folder that npm publishes.
    pub folder: PathBuf,
    pub tarball: PathBuf,
}

pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<(), Failure> {
    let quick = arguments.iter().any(|argument| argument == "--quick");
    if let Some(argument) = arguments.iter().find(|argument| *argument != "--quick") {
        let argument = argument.to_string_lossy();
        return Err(Failure::new(format!(
            "package does not know '{argument}'; it knows --quick (no wasm-opt)"
        )));
    }
    let package = make(workspace, quick)?;
    println!("{}\n{}", package.folder.display(), package.tarball.display());
    Ok(())
}

/// Builds what changed since the last time.
pub fn build(workspace: &Workspace) -> Result<Package, Failure> {
    make(workspace, false)
}

fn make(workspace: &Workspace, quick: bool) -> Result<Package, Failure> {
    let node = prepare::system_node()?;
    prepare::wasm_target(workspace)?;
    let bindgen = prepare::wasm_bindgen(workspace)?;
    let template = prepare::packages(workspace, "pkg-template")?;
    let home = workspace.target().join("package");
    let version = workspace.locked("eventhubs")?;

    let mut make = Command::new(node);
    make.current_dir(template).arg("build/main.mjs");
    make.args(["--version", &version]).arg("--bindgen").arg(bindgen);
    make.arg("--cache").arg(home.join("cache")).arg("--out").arg(&home);
    if quick {
        make.arg("--quick");
    }
    for module in &MODULES {
        let mut wasm = OsString::from(format!("{}=", module.name));
        wasm.push(module.link(workspace)?);
        make.arg("--wasm").arg(wasm);
    }
    visible(&mut make)?;
    Ok(Package {
        folder: home.join("eventhubs"),
        tarball: home.join(format!("eventhubs-{version}.tgz")),
        home,
    })
}

/// Installs what a folder's package-lock.json names, and the package as it would come from npm: copied, since what lies
/// beside a link's target is not what lies beside the folder (`ws` is looked for there).
pub fn install(workspace: &Workspace, folder: &str) -> Result<PathBuf, Failure> {
    install_built(workspace, &build(workspace)?.folder, folder)
}

/// The same with a package that was built before.
pub fn install_built(workspace: &Workspace, package: &Path, folder: &str) -> Result<PathBuf, Failure> {
    let home = prepare::packages(workspace, folder)?;
    let installed = home.join("node_modules/eventhubs");
    let copied = match std::fs::remove_dir_all(&installed) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => copy(package, &installed),
    };
    copied.map_err(|error| Failure::new(format!("cannot install {}: {error}", installed.display())))?;
    Ok(home)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

impl Module {
    pub fn all() -> &'static [Module] {
        &MODULES
    }

    /// Has Cargo build the crate with this module's features, and returns the linked module.
    ///
    /// # Errors
    /// Also when the module wants what no page has.
    pub fn link(&self, workspace: &Workspace) -> Result<PathBuf, Failure> {
        let linked = self.compile(workspace)?;
        imports::check(&linked)?;
        Ok(linked)
    }

    fn compile(&self, workspace: &Workspace) -> Result<PathBuf, Failure> {
        // A folder of its own: Cargo gives both modules the same file name, and would overwrite one with the other.
        let target = workspace.target().join("wasm").join(self.name);
        let linked = target.join("wasm32-unknown-unknown/wasm/eventhubs.wasm");
        let doing = format!("Compiling {}.wasm", self.name);
        if self.counts_bytes {
            let small = prepare::rust_sources(workspace).and_then(|()| {
                let mut build = self.command(workspace, &target);
                build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", format!("{SMALLEST} {COMPACT}"));
                build.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
                quiet(workspace, &format!("{doing} and a standard library of its own"), &mut build)
            });
            match small {
                Ok(()) => return Ok(linked),
                Err(why) => println!(
                    "  {}.wasm is made with the standard library as it comes, and some 10 % larger: {why}",
                    self.name
                ),
            }
        }
        quiet(workspace, &doing, self.command(workspace, &target).env("RUSTFLAGS", COMPACT))?;
        Ok(linked)
    }

    fn command(&self, workspace: &Workspace, target: &Path) -> Command {
        let mut build = cargo(workspace);
        // The crate type is said here and not in Cargo.toml: a native build has no use for a cdylib.
        build.args(["rustc", "--lib", "--crate-type", "cdylib", "--target", "wasm32-unknown-unknown"]);
        build.args(["--profile", "wasm", "--no-default-features", "--features", self.features]);
        build.arg("--target-dir").arg(target);
        build
    }
}
