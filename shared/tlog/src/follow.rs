//! Heads of other processes, for a log that only reads: nothing else would ever tell it that the tree has grown.

use std::sync::Arc;
use std::time::Duration;

use crate::queue::Queue;
use crate::reader::Reader;
use crate::sequencer::chain;
use crate::{AppendError, Store};

/// How often the state row is looked at. One row by its key: ten of these in a second cost less than one append.
///
/// Looking costs no more than being told would: a notification makes the commits of all logs of a server wait for each other, and one
/// that is lost would have to be made up for by looking.
const EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Follower {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) reader: Arc<Reader>,
}

impl Follower {
    /// Looks at the row until the queue is closed.
    pub(crate) async fn run(self) {
        // Said once when it begins and once when it is over, not ten times a second.
        let mut failing = false;
        loop {
            tokio::time::sleep(EVERY).await;
            match self.look().await {
                Ok(()) if failing => tracing::info!(log = self.store.location(), "other writers' heads are followed again"),
                Ok(()) => {}
                Err(AppendError::Closed) => return,
                Err(error) if !failing => {
                    let (log, error) = (self.store.location(), chain(&error));
                    tracing::error!(log, error, "other writers' heads cannot be followed; older ones are served meanwhile");
                    failing = true;
                    continue;
                }
                Err(_) => continue,
            }
            failing = false;
        }
    }

    /// Asks the sequencer to take over what is there, if there is anything: memory is its business.
    async fn look(&self) -> Result<(), AppendError> {
        let row = self.store.state().await?;
        if row.is_some_and(|row| row.checkpoint == self.reader.head().note) {
            return Ok(());
        }
        self.queue.follow()?.await.map_err(|_| AppendError::Closed)?.map(drop)
    }
}
