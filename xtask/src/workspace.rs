//! Where things are.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The checkout this xtask was built from.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    pub fn locate() -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf);
        let root = root.filter(|root| root.join("Cargo.toml").is_file()).ok_or_else(|| {
            Failure::new(
                "the checkout that this xtask was built from is gone; run it as `cargo xtask` inside one",
            )
        })?;
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(directory) => std::path::absolute(directory)
                .map_err(|error| Failure::new(format!("cannot use CARGO_TARGET_DIR: {error}")))?,
            None => root.join("target"),
        };
        Ok(Workspace { root, target })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where Cargo builds to, and where everything that this program installs goes.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The `eventhubs` binary of a Cargo profile (`debug` or `release`).
    pub fn binary(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join(format!("eventhubs{}", std::env::consts::EXE_SUFFIX))
    }

    /// The version of a package in Cargo.lock, this project's own too.
    pub fn locked(&self, package: &str) -> Result<String, Failure> {
        let path = self.root.join("Cargo.lock");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
        let name = format!("name = \"{package}\"");
        let mut lines = text.lines().skip_while(|line| *line != name);
        let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
        version
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("Cargo.lock has no package '{package}'")))
    }

    /// Folders with a Cargo workspace of their own: the programs that this crate is compared with, and `fuzz`.
    pub fn side_manifests(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.root.join("fuzz"), self.root.join("peers")];
        if let Ok(entries) = std::fs::read_dir(self.root.join("peers")) {
            folders.extend(entries.flatten().map(|entry| entry.path()));
        }
        let mut manifests: Vec<PathBuf> = folders
            .into_iter()
            .map(|folder| folder.join("Cargo.toml"))
            .filter(|path| path.is_file())
            .collect();
        manifests.sort();
        manifests
    }
}
