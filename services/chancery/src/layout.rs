//! The folder layout of an installation.

use std::path::{Path, PathBuf};

/// An installation's folder, `D/`.
#[derive(Debug, Clone)]
pub(crate) struct Layout(PathBuf);

impl Layout {
    /// The layout below `dir`.
    pub(crate) fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// `D/` itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    /// A path below `D/`.
    pub(crate) fn join(&self, relative: &str) -> PathBuf {
        self.0.join(relative)
    }

    /// The one configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.join("chancery.yaml")
    }

    /// What was created, with fingerprints.
    pub(crate) fn anchors(&self) -> PathBuf {
        self.join("anchors.json")
    }

    /// The lab's environment for clients.
    pub(crate) fn env(&self) -> PathBuf {
        self.join("env")
    }

    /// Which steps of the lab's proof have passed.
    pub(crate) fn proof(&self) -> PathBuf {
        self.join("proof.json")
    }
}

/// File names below `D/`, as `chancery.yaml` and `anchors.json` spell them.
pub(crate) mod names {
    /// Every key.
    pub(crate) const KEYS: &str = "keys";
    /// Fulcio's issuing key.
    pub(crate) const INTERMEDIATE_KEY: &str = "keys/fulcio-intermediate.pem";
    /// Fulcio's chain, issuing certificate first, root last.
    pub(crate) const FULCIO_CHAIN: &str = "trust/fulcio_chain.pem";
    /// The roots whose certificates the CT log accepts.
    pub(crate) const FULCIO_ROOTS: &str = "trust/fulcio_root.pem";
    /// The CT log's key.
    pub(crate) const CTLOG_KEY: &str = "keys/ctlog.pem";
    /// The CT log's public key.
    pub(crate) const CTLOG_PUB: &str = "trust/ctfe.pub";
    /// The key of the Rekor v2 log.
    pub(crate) const REKOR_V2_KEY: &str = "keys/rekor-v2.pem";
    /// Its public key.
    pub(crate) const REKOR_V2_PUB: &str = "trust/rekor_v2.pub";
    /// The key of the Rekor v1 log.
    pub(crate) const REKOR_V1_KEY: &str = "keys/rekor-v1.pem";
    /// Its public key, under the name that older clients know.
    pub(crate) const REKOR_V1_PUB: &str = "trust/rekor.pub";
    /// The timestamp authority's key.
    pub(crate) const TSA_KEY: &str = "keys/tsa.pem";
    /// The timestamp authority's chain, leaf first.
    pub(crate) const TSA_CHAIN: &str = "trust/tsa_chain.pem";
    /// TUF's online keys.
    pub(crate) const TUF_SNAPSHOT_KEY: &str = "keys/tuf-snapshot.pem";
    /// See [`TUF_SNAPSHOT_KEY`].
    pub(crate) const TUF_TIMESTAMP_KEY: &str = "keys/tuf-timestamp.pem";
    /// The folder that `serve` never opens.
    pub(crate) const OFFLINE: &str = "keys/offline";
    /// The root certificate authority's key.
    pub(crate) const ROOT_KEY: &str = "keys/offline/fulcio-root.pem";
    /// The timestamp authority's root key.
    pub(crate) const TSA_ROOT_KEY: &str = "keys/offline/tsa-root.pem";
    /// TUF's root key.
    pub(crate) const TUF_ROOT_KEY: &str = "keys/offline/tuf-root.pem";
    /// TUF's targets key.
    pub(crate) const TUF_TARGETS_KEY: &str = "keys/offline/tuf-targets.pem";
    /// The lab issuer's key; exists in a lab only.
    pub(crate) const LAB_ISSUER_KEY: &str = "keys/lab-issuer.pem";
    /// Fulcio's record of what it signs.
    pub(crate) const FULCIO_DB: &str = "db/fulcio.db";
    /// The CT log.
    pub(crate) const CTLOG_DB: &str = "db/ctlog.db";
    /// The Rekor logs.
    pub(crate) const REKOR_DB: &str = "db/rekor.db";
    /// What the registry knows: manifests, tags, promotions.
    pub(crate) const GATEWAY_DB: &str = "db/gateway.db";
    /// The bytes that the registry holds.
    pub(crate) const BLOBS: &str = "blobs";
    /// The secret of whoever may promote images.
    pub(crate) const PROMOTION_TOKEN: &str = "keys/promotion.token";
    /// The key of the witness.
    pub(crate) const WITNESS_KEY: &str = "keys/witness.pem";
    /// What the witness has seen.
    pub(crate) const WITNESS_DB: &str = "db/witness.db";
    /// The TUF repository.
    pub(crate) const TUF_REPOSITORY: &str = "tuf";
    /// TUF's record of used versions.
    pub(crate) const TUF_STATE: &str = "db/tuf.json";
    /// The trust root people hand out.
    pub(crate) const ROOT_JSON: &str = "trust/root.json";
    /// The trusted root.
    pub(crate) const TRUSTED_ROOT: &str = "trust/trusted_root.json";
    /// Where signing clients go.
    pub(crate) const SIGNING_CONFIG: &str = "trust/signing_config.v0.2.json";
    /// The same with the Rekor v1 log alone.
    pub(crate) const SIGNING_CONFIG_V1: &str = "trust/signing_config_rekor_v1.v0.2.json";
    /// The same with the Rekor v2 log alone.
    pub(crate) const SIGNING_CONFIG_V2: &str = "trust/signing_config_rekor_v2.v0.2.json";
    /// Both of them in one file.
    pub(crate) const CLIENT_TRUST_CONFIG: &str = "trust/client_trust_config.json";
}
