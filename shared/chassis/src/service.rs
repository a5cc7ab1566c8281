//! One service of a process.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use axum::Router;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::listen::Listener;
use crate::ready::ReadyCheck;

/// A service as the process sees it: where it listens, what answers, when it is ready, how it finishes.
pub struct Service {
    /// Its name in logs, metrics and reports.
    pub name: &'static str,
    /// Its bound sockets.
    pub listener: Listener,
    /// What answers, with its layers already applied ([`crate::layers::Stack`]).
    pub router: Router,
    /// What must hold before the process is ready.
    pub ready: Vec<Arc<dyn ReadyCheck>>,
    /// Runs once no request is left: commit the last batch, close the store.
    pub finish: BoxFuture<'static, ()>,
}

impl Service {
    /// A service without checks and with nothing to finish, named like its listener.
    #[must_use]
    pub fn new(listener: Listener, router: Router) -> Self {
        Self { name: listener.service(), listener, router, ready: Vec::new(), finish: async {}.boxed() }
    }

    /// Adds something that must hold before the process is ready.
    #[must_use]
    pub fn ready_when(mut self, check: Arc<dyn ReadyCheck>) -> Self {
        self.ready.push(check);
        self
    }

    /// Adds what runs once no request is left, after what was added before.
    #[must_use]
    pub fn finish_with(mut self, last: impl Future<Output = ()> + Send + 'static) -> Self {
        let before = std::mem::replace(&mut self.finish, async {}.boxed());
        self.finish = before.then(|()| last).boxed();
        self
    }
}

impl Debug for Service {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name).field("listener", &self.listener).finish_non_exhaustive()
    }
}
