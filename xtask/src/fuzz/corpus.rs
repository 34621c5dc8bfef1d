//! The inputs that a run starts from, and which of those that it found are worth keeping.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::libfuzzer::{program, working_corpus};
use crate::failure::Failure;
use crate::process::{cannot_start, cargo, counted, succeeded};
use crate::report::Counts;
use crate::workspace::Workspace;

/// What the checkout keeps of one target's inputs.
const MOST_BYTES: u64 = 16 * 1024;
const MOST_FILES: usize = 40;

/// Writes out the seeds that the smoke test uses, so that there is one list of them.
pub fn write_seeds(workspace: &Workspace) -> Result<Counts, Failure> {
    let mut tests = cargo(workspace);
    tests.args(["test", "--quiet", "--all-features", "--test", "fuzz", "--"]);
    tests.args(["--exact", "seeds_are_written_out"]);
    counted(tests.env("EVENTHUBS_FUZZ_SEEDS", workspace.target().join("fuzz/seeds")))
}

/// Keeps inputs that together reach much of what all of them reach: of those that libFuzzer needs for that, the longest,
/// which reach most, as far as there is room for them.
pub fn keep(workspace: &Workspace, name: &str) -> Result<(), Failure> {
    let kept = workspace.root().join("fuzz/corpus").join(name);
    let merged = workspace.target().join("fuzz/merged").join(name);
    fresh(&merged)?;
    let mut merge = Command::new(program(workspace, name)?);
    merge.arg("-set_cover_merge=1").arg(&merged).arg(working_corpus(workspace, name));
    if kept.is_dir() {
        merge.arg(&kept);
    }
    merge.stdout(Stdio::null()).stderr(Stdio::null());
    let status = merge.status().map_err(|error| cannot_start(&merge, &error))?;
    succeeded(&merge, status)?;
    let mut inputs = files(&merged)?;
    inputs.sort();
    inputs.reverse();
    fresh(&kept)?;
    let (mut bytes, mut count) = (0, 0);
    for (len, path) in inputs {
        if count == MOST_FILES || bytes + len > MOST_BYTES {
            continue;
        }
        (bytes, count) = (bytes + len, count + 1);
        // libFuzzer names inputs by their content.
        let to = kept.join(path.file_name().unwrap_or_default());
        fs::copy(&path, &to).map_err(|error| cannot_write(&to, &error))?;
    }
    println!("  kept {count} inputs of {bytes} bytes in fuzz/corpus/{name}");
    Ok(())
}

/// The files of a folder with their sizes.
fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>, Failure> {
    let entries = fs::read_dir(folder)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", folder.display())))?;
    Ok(entries.flatten().filter_map(|entry| Some((entry.metadata().ok()?.len(), entry.path()))).collect())
}

fn fresh(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        fs::remove_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
    }
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}
