//! Telling someone what happens, for metrics.

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Is this a registry, and how does it want to be talked to.
    Ping,
    /// A token for a repository.
    Token,
    /// A manifest or its head.
    Manifest,
    /// A blob, its head, or an upload.
    Blob,
    /// A listing of referrers by the API.
    Referrers,
    /// A list of tags.
    Tags,
}

impl Kind {
    /// As a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Token => "token",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Referrers => "referrers",
            Self::Tags => "tags",
        }
    }
}

/// Someone who is told. Called on the paths of requests: it must not block.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A request was answered; `None` when no answer came.
    fn answered(&self, kind: Kind, status: Option<u16>);
    /// So many bytes of a blob came.
    fn received(&self, bytes: u64);
    /// So many requests are left before the registry limits us.
    fn rate_limit_remaining(&self, requests: u64);
}

/// Nobody is told.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn answered(&self, _: Kind, _: Option<u16>) {}
    fn received(&self, _: u64) {}
    fn rate_limit_remaining(&self, _: u64) {}
}
