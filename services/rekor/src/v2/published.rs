//! Which checkpoint is shown: the newest one, or with witnesses one that they have seen.

use std::sync::Arc;

use tlog::{Appended, SignedTreeHead};

use super::App;
use super::error::WriteError;
use crate::witness::NotCosigned;

impl App {
    /// The checkpoint for readers.
    ///
    /// # Errors
    /// [`NotCosigned`] when witnesses must have cosigned it and none has that.
    pub(super) fn checkpoint(&self) -> Result<Arc<SignedTreeHead>, NotCosigned> {
        self.witnesses.as_ref().map_or_else(|| Ok(self.log.checkpoint()), |witnesses| witnesses.checkpoint())
    }

    /// An entry that was logged, proved against a checkpoint that may be shown. The entry stays logged when there is none.
    ///
    /// # Errors
    /// [`WriteError::NotCosigned`], and [`WriteError::Log`] when the proof to the later checkpoint cannot be read.
    pub(super) async fn published(&self, appended: Appended) -> Result<Appended, WriteError> {
        let Some(witnesses) = &self.witnesses else { return Ok(appended) };
        let head = witnesses.cover(&appended.head).await?;
        if head.size == appended.head.size {
            return Ok(Appended { head, ..appended });
        }
        let proof = self.log.inclusion_proof(appended.index, head.size).await.map_err(WriteError::Reprove)?;
        Ok(Appended { proof, head, ..appended })
    }
}
