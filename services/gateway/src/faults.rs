//! Where tests make a step of a write fail, before it is done or after. Outside tests there is nothing in it.

use std::io;

/// A step of a write that a crash or a full disk may cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file is made.
    Create,
    /// Bytes are appended to it.
    Append,
    /// Its bytes reach the disk.
    Sync,
    /// The folder that it goes to is made.
    MakeFolder,
    /// It gets its final name.
    Rename,
    /// The name reaches the disk.
    SyncFolder,
    /// A file is removed.
    Remove,
    /// A transaction commits.
    Commit,
}

/// On which side of a step it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// It is not done.
    Before,
    /// It is done and reported as failed.
    After,
}

/// What is going to fail, in order; each fails once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(#[cfg(test)] std::sync::Arc<std::sync::Mutex<Plan>>);

#[cfg(test)]
#[derive(Debug, Default)]
struct Plan {
    faults: Vec<(Step, When)>,
    /// Whether nothing is done any more once all of these have failed.
    kill: bool,
    dead: bool,
}

impl Faults {
    /// Runs `step`, unless it is to fail.
    pub(crate) fn around<T>(&self, step: Step, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.check(step, When::Before)?;
        let done = run()?;
        self.check(step, When::After)?;
        Ok(done)
    }

    /// Fails if this is what was planned next.
    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as in tests")]
    pub(crate) fn check(&self, _step: Step, _when: When) -> io::Result<()> {
        Ok(())
    }

    /// Fails if this is what was planned next, or after the kill.
    #[cfg(test)]
    pub(crate) fn check(&self, step: Step, when: When) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap();
        if plan.dead {
            return Err(io::Error::other("nothing is done any more"));
        }
        if plan.faults.first() != Some(&(step, when)) {
            return Ok(());
        }
        plan.faults.remove(0);
        plan.dead = plan.kill && plan.faults.is_empty();
        Err(io::Error::other(format!("failing on purpose: {step:?} {when:?}")))
    }

    /// Lets these fail.
    #[cfg(test)]
    pub(crate) fn plan(&self, faults: &[(Step, When)]) {
        *self.0.lock().unwrap() = Plan { faults: faults.to_vec(), kill: false, dead: false };
    }

    /// Ends every effect at this point, as a crash of the process does.
    #[cfg(test)]
    pub(crate) fn kill_at(&self, step: Step, when: When) {
        *self.0.lock().unwrap() = Plan { faults: vec![(step, when)], kill: true, dead: false };
    }

    /// Whether all that was planned has failed.
    #[cfg(test)]
    pub(crate) fn spent(&self) -> bool {
        self.0.lock().unwrap().faults.is_empty()
    }
}
