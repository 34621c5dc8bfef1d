//! Remembers in one SQLite database that several processes share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::super::rules::{Version, fresh_etag};
use super::super::{CheckpointStore, Records};
use super::threads::on_thread;
use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};
use crate::model::value::Timestamp;
use crate::runtime::unix_now;

/// How long another process that writes is waited for.
const BUSY_PATIENCE: Duration = Duration::from_secs(10);

/// Named so that they can lie in a database beside tables of others. `STRICT`: a column holds what it says.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS eventhubs_ownership (
        namespace TEXT NOT NULL, event_hub TEXT NOT NULL, consumer_group TEXT NOT NULL, partition_id TEXT NOT NULL,
        owner_id TEXT NOT NULL, last_modified INTEGER NOT NULL, etag TEXT NOT NULL,
        PRIMARY KEY (namespace, event_hub, consumer_group, partition_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS eventhubs_checkpoint (
        namespace TEXT NOT NULL, event_hub TEXT NOT NULL, consumer_group TEXT NOT NULL, partition_id TEXT NOT NULL,
        \"offset\" TEXT, sequence_number INTEGER,
        PRIMARY KEY (namespace, event_hub, consumer_group, partition_id)
    ) STRICT, WITHOUT ROWID;";

/// Keeps everything in one SQLite database, in two tables of its own (`eventhubs_ownership`, `eventhubs_checkpoint`).
/// Several processes of one machine may use the same file.
///
/// Needs the feature `sqlite`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use eventhubs::checkpoint::{Checkpoint, CheckpointStore, ConsumerGroup, SqliteStore};
///
/// # let directory = tempfile::tempdir()?;
/// # let file = directory.path().join("checkpoints.db");
/// let store = SqliteStore::new(file);
/// let group = ConsumerGroup {
///     namespace: "contoso.servicebus.windows.net".into(),
///     event_hub: "orders".into(),
///     name: "$Default".into(),
/// };
/// store.update_checkpoint(&group, &Checkpoint::new("0", "4096", 17)).await?;
/// assert_eq!(store.list_checkpoints(&group).await?.records.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: PathBuf,
    busy_patience: Duration,
    /// Opened at the first use, and again after a failure.
    connection: Mutex<Option<Connection>>,
}

impl SqliteStore {
    /// A store in this file, which is made when it is first used.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self::with(file.into(), BUSY_PATIENCE)
    }

    /// How long a change waits for another process that is in the middle of one. Default: 10 s.
    #[must_use]
    pub fn with_busy_timeout(self, timeout: Duration) -> Self {
        Self::with(self.0.file.clone(), timeout)
    }

    fn with(file: PathBuf, busy_patience: Duration) -> Self {
        SqliteStore(Arc::new(Shared { file, busy_patience, connection: Mutex::new(None) }))
    }

    fn run<'a, T: Send + 'static>(
        &'a self,
        operation: &'static str,
        group: &'a ConsumerGroup,
        work: impl FnOnce(&mut Connection, &ConsumerGroup) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let (shared, folded) = (self.0.clone(), group.folded());
        on_thread(operation, group, move || shared.run(|connection| work(connection, &folded)))
    }
}

impl CheckpointStore for SqliteStore {
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        self.run("list the ownerships of", group, |connection, group| {
            let mut query = connection.prepare_cached(
                "SELECT partition_id, owner_id, last_modified, etag FROM eventhubs_ownership
                 WHERE namespace = ?1 AND event_hub = ?2 AND consumer_group = ?3",
            )?;
            let rows = query.query_map(params![group.namespace, group.event_hub, group.name], |row| {
                Ok(Ownership {
                    partition_id: row.get(0)?,
                    owner_id: row.get(1)?,
                    last_modified: Some(Timestamp::from_millis(row.get(2)?)),
                    etag: Some(row.get(3)?),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into())
        })
    }

    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        let claims = claims.to_vec();
        self.run("claim partitions of", group, move |connection, group| {
            // What is read must still be so when it is written: the lock for writing is taken first.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut won = Vec::new();
            for claim in &claims {
                won.extend(decide(&transaction, group, claim)?);
            }
            transaction.commit()?;
            Ok(won.into())
        })
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
        self.run("list the checkpoints of", group, |connection, group| {
            let mut query = connection.prepare_cached(
                "SELECT partition_id, \"offset\", sequence_number FROM eventhubs_checkpoint
                 WHERE namespace = ?1 AND event_hub = ?2 AND consumer_group = ?3",
            )?;
            let rows = query.query_map(params![group.namespace, group.event_hub, group.name], |row| {
                Ok(Checkpoint {
                    partition_id: row.get(0)?,
                    offset: row.get(1)?,
                    sequence_number: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into())
        })
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>> {
        if let Err(error) = checkpoint.position() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let checkpoint = checkpoint.clone();
        self.run("write a checkpoint of", group, move |connection, group| {
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO eventhubs_checkpoint VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            let Checkpoint { partition_id, offset, sequence_number } = &checkpoint;
            let ConsumerGroup { namespace, event_hub, name } = group;
            insert.execute(params![namespace, event_hub, name, partition_id, offset, sequence_number])?;
            Ok(())
        })
    }
}

fn decide(
    connection: &Connection,
    group: &ConsumerGroup,
    claim: &Ownership,
) -> rusqlite::Result<Option<Ownership>> {
    let ConsumerGroup { namespace, event_hub, name } = group;
    let mut query = connection.prepare_cached(
        "SELECT etag, last_modified FROM eventhubs_ownership
         WHERE namespace = ?1 AND event_hub = ?2 AND consumer_group = ?3 AND partition_id = ?4",
    )?;
    let known: Option<(String, i64)> = query
        .query_row(params![namespace, event_hub, name, claim.partition_id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let version = Version {
        etag: known.as_ref().map(|(etag, _)| etag.as_str()),
        last_modified: known.as_ref().map(|(_, millis)| Timestamp::from_millis(*millis)),
    };
    let Some(record) = version.claimed(claim, unix_now(), fresh_etag()) else { return Ok(None) };
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO eventhubs_ownership VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let modified = record.last_modified.map(Timestamp::as_millis);
    insert.execute(params![
        namespace,
        event_hub,
        name,
        record.partition_id,
        record.owner_id,
        modified,
        record.etag
    ])?;
    Ok(Some(record))
}

impl Shared {
    fn run<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        // A transaction that a panic left is rolled back when it is dropped.
        let mut slot = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => open(&self.file, self.busy_patience).map_err(|error| self.failed(&error))?,
        };
        match work(&mut connection) {
            Ok(done) => {
                *slot = Some(connection);
                Ok(done)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &rusqlite::Error) -> Error {
        let (kind, can_pass) = match error.sqlite_error_code() {
            // A table of that name that is another's.
            _ if matches!(error, rusqlite::Error::SqlInputError { .. }) => (ErrorKind::Rejected, false),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (ErrorKind::Timeout, true),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (ErrorKind::Protocol, false),
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => (ErrorKind::Unauthorized, false),
            Some(ErrorCode::CannotOpen) => (ErrorKind::NotFound, false),
            Some(ErrorCode::DiskFull) => (ErrorKind::QuotaExceeded, true),
            _ => (ErrorKind::Internal, true),
        };
        Error::new(kind, format!("the database {} failed: {error}", self.file.display()))
            .with_transient(can_pass)
    }
}

fn open(file: &Path, busy_patience: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(busy_patience)?;
    // Readers do not wait for writers. A database in memory has no such log, and says so.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // What was said to be written is on the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::super::super::contract;
    use super::*;

    fn group() -> ConsumerGroup {
        ConsumerGroup { namespace: "n".into(), event_hub: "orders".into(), name: "$Default".into() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_sqlite_store_keeps_every_promise() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        let kept = contract::check(async || Ok(SqliteStore::new(&file))).await;
        kept.unwrap_or_else(|broken| panic!("{broken}"));
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        std::fs::write(&file, "certainly not a database, but long enough to be looked at as one".repeat(40))
            .unwrap();
        let error = SqliteStore::new(&file).list_checkpoints(&group()).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("a.db") && said.contains("not a database") && !error.is_transient(), "{said}");
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_opened_is_named_and_opened_when_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("missing/a.db");
        let store = SqliteStore::new(&file);
        let error = store.list_checkpoints(&group()).await.unwrap_err();
        assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("missing"), "{error}");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        assert!(store.list_checkpoints(&group()).await.unwrap().records.is_empty());
    }

    #[tokio::test]
    async fn who_writes_for_ever_is_waited_for_within_the_deadline_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        let store = SqliteStore::new(&file).with_busy_timeout(Duration::from_millis(50));
        store.update_checkpoint(&group(), &Checkpoint::new("0", "1", 1)).await.unwrap();
        let mut other = Connection::open(&file).unwrap();
        let held = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let error = store.update_checkpoint(&group(), &Checkpoint::new("0", "2", 2)).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Timeout && error.is_transient(), "{error}");
        // Who only reads does not wait.
        assert_eq!(store.list_checkpoints(&group()).await.unwrap().records.len(), 1);
        drop(held);
        store.update_checkpoint(&group(), &Checkpoint::new("0", "2", 2)).await.unwrap();
    }

    #[tokio::test]
    async fn tables_of_others_with_these_names_are_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        let other = Connection::open(&file).unwrap();
        other.execute_batch("CREATE TABLE eventhubs_checkpoint (mine TEXT)").unwrap();
        let error = SqliteStore::new(&file).list_checkpoints(&group()).await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("no such column"), "{error}");
    }
}
