//! Stores on this machine block their thread, so they work on threads of their own.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::ConsumerGroup;
use crate::runtime::{blocking, within};

/// How long a disk may take: one that hangs must not hang its users.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does `work` on another thread and says in its errors what was attempted. A future that is dropped leaves it to be
/// done.
pub(super) fn on_thread<'a, T: Send + 'static>(
    operation: &'static str,
    group: &ConsumerGroup,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> BoxFuture<'a, Result<T, Error>> {
    let entity = group.to_string();
    Box::pin(async move {
        let result = match within(PATIENCE, blocking(work)).await {
            Some(Ok(Some(result))) => result,
            Some(Ok(None)) => Err(Error::new(ErrorKind::Closed, "the runtime is shutting down")),
            Some(Err(no_runtime)) => Err(Error::new(ErrorKind::InvalidArgument, no_runtime.to_string())),
            None => {
                let message = format!("the disk has not answered within {} s", PATIENCE.as_secs());
                Err(Error::new(ErrorKind::Timeout, message))
            }
        };
        result.map_err(|error| error.with_operation(operation).with_entity(entity))
    })
}
