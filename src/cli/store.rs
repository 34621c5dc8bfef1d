//! Which checkpoint store a command looks into.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::checkpoint::{BlobStore, CheckpointStore, FileStore};

/// The storage account, said as Azure's own command line has it said.
const STORAGE: &str = "AZURE_STORAGE_CONNECTION_STRING";

/// A store, as it is named in arguments. What it is opened with does not show.
#[derive(Clone)]
pub(super) enum StoreName {
    Files(String),
    Sqlite(String),
    /// A container, by a URL that opens it.
    Url(String),
    /// A container of the storage account in the environment.
    Container(String),
}

impl StoreName {
    pub(super) fn open(&self) -> Result<Box<dyn CheckpointStore>, Box<dyn Error>> {
        Ok(match self {
            StoreName::Files(directory) => Box::new(FileStore::new(there(directory, Path::is_dir)?)),
            StoreName::Sqlite(file) => sqlite(there(file, Path::is_file)?)?,
            StoreName::Url(url) => Box::new(BlobStore::from_sas_url(url)?),
            StoreName::Container(container) => {
                let account = std::env::var(STORAGE).map_err(|_| {
                    format!("{STORAGE} is not set: set it to the storage account's connection string")
                })?;
                Box::new(BlobStore::from_connection_string(account, container)?)
            }
        })
    }
}

impl fmt::Debug for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreName::Files(_) => "Files",
            StoreName::Sqlite(_) => "Sqlite",
            StoreName::Url(_) => "Url",
            StoreName::Container(_) => "Container",
        })
    }
}

impl FromStr for StoreName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(StoreName::Url(text.to_owned()));
        }
        match text.split_once(':') {
            Some((_, "")) | None if text.is_empty() || text.ends_with(':') => Err(
                "say which: files:DIRECTORY, sqlite:FILE, blob:CONTAINER, or a container's URL with a SAS"
                    .to_owned(),
            ),
            Some(("files", directory)) => Ok(StoreName::Files(directory.to_owned())),
            Some(("sqlite", file)) => Ok(StoreName::Sqlite(file.to_owned())),
            Some(("blob", container)) => Ok(StoreName::Container(container.to_owned())),
            _ => Ok(StoreName::Files(text.to_owned())),
        }
    }
}

/// A store that nobody has written to looks as empty as one that is misspelt.
fn there(path: &str, is_it: fn(&Path) -> bool) -> Result<&str, String> {
    match is_it(Path::new(path)) {
        true => Ok(path),
        false => Err(format!("there is no checkpoint store at '{path}'")),
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(file: &str) -> Result<Box<dyn CheckpointStore>, Box<dyn Error>> {
    Ok(Box::new(crate::checkpoint::SqliteStore::new(file)))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(file: &str) -> Result<Box<dyn CheckpointStore>, Box<dyn Error>> {
    let why = "this program was built without SQLite: build it with --features cli,sqlite";
    Err(format!("cannot open '{file}': {why}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_has_a_name() {
        let read = |text: &str| text.parse::<StoreName>();
        assert!(matches!(read("files:a/b"), Ok(StoreName::Files(path)) if path == "a/b"));
        assert!(matches!(read("a/b"), Ok(StoreName::Files(path)) if path == "a/b"));
        assert!(matches!(read("sqlite:a.db"), Ok(StoreName::Sqlite(path)) if path == "a.db"));
        assert!(matches!(read("blob:checkpoints"), Ok(StoreName::Container(name)) if name == "checkpoints"));
        assert!(matches!(read("https://a.blob.core.windows.net/c?sv=1"), Ok(StoreName::Url(_))));
        for nothing in ["", "files:", "blob:"] {
            assert!(read(nothing).is_err_and(|text| text.contains("sqlite:FILE")), "{nothing}");
        }
    }

    #[test]
    fn a_store_that_is_not_there_is_called_that() {
        let error = StoreName::Files("no/such/place".to_owned()).open().err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("there is no checkpoint store at 'no/such/place'"));
    }
}
