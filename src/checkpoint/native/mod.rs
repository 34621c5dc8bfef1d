//! Stores of this machine, and what is reached from it.

#[cfg(feature = "blob")]
mod blob;
mod file;
#[cfg(feature = "sqlite")]
mod sqlite;
mod threads;

#[cfg(feature = "blob")]
pub use blob::BlobStore;
pub use file::FileStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
