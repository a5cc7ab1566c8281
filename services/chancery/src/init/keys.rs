//! Keys and certificates of a new installation.

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use keys::{FileKey, KeyFileError};
use pki::ca::{self, CaError, CaKey, Subject};
use pki::leaf::Serial;
use pki::{Certificate, KeyKind};

use super::Plan;
use crate::cli::LogKey;
use crate::failure::{Failure, Outcome};
use crate::layout::{Layout, names};

/// Every private key, and the certificates made with them. They are on disk already.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Fulcio's issuing key.
    pub intermediate: FileKey,
    /// Issuing certificate first, root last.
    pub fulcio_chain: Vec<Certificate>,
    /// The CT log's.
    pub ctlog: FileKey,
    /// The Rekor v2 log's.
    pub rekor_v2: FileKey,
    /// The Rekor v1 log's.
    pub rekor_v1: FileKey,
    /// The timestamp authority's.
    pub tsa: FileKey,
    /// Leaf first, root last.
    pub tsa_chain: Vec<Certificate>,
    /// Offline.
    pub tuf_root: FileKey,
    /// Offline.
    pub tuf_targets: FileKey,
    /// Online.
    pub tuf_snapshot: FileKey,
    /// Online.
    pub tuf_timestamp: FileKey,
}

/// The common names of the certificates; clients show them.
pub(crate) mod common_name {
    /// Of the root.
    pub(crate) fn root(organization: &str) -> String {
        format!("{organization} root")
    }

    /// Of the issuing certificate.
    pub(crate) fn intermediate(organization: &str) -> String {
        format!("{organization} intermediate")
    }

    /// Of the timestamp authority's root.
    pub(crate) fn tsa_root(organization: &str) -> String {
        format!("{organization} timestamp root")
    }

    /// Of the certificate that signs timestamps.
    pub(crate) fn tsa_leaf(organization: &str) -> String {
        format!("{organization} timestamps")
    }
}

/// Lifetimes in years: root and timestamp certificates, and the intermediate.
const LONG: i64 = 10;
const INTERMEDIATE: i64 = 3;

impl Keys {
    /// Draws every key, makes the certificates and writes all of them below `layout`.
    pub(crate) fn create(layout: &Layout, plan: &Plan, now: Timestamp) -> Outcome<Self> {
        let draw = |kind, name| draw(layout, kind, name);
        let (root, tsa_root) = (draw(KeyKind::P384, names::ROOT_KEY)?, draw(KeyKind::P384, names::TSA_ROOT_KEY)?);
        let rekor_kind = match plan.rekor_v2_key {
            LogKey::EcdsaP256 => KeyKind::P256,
            LogKey::Ed25519 => KeyKind::Ed25519,
        };
        if plan.lab.is_some() {
            draw(KeyKind::Rsa { bits: 2048 }, names::LAB_ISSUER_KEY)?;
        }
        let intermediate = draw(KeyKind::P384, names::INTERMEDIATE_KEY)?;
        let tsa = draw(KeyKind::P256, names::TSA_KEY)?;
        let keys = Self {
            fulcio_chain: fulcio_chain(&plan.organization, &root, &intermediate, now)?,
            tsa_chain: tsa_chain(&plan.organization, &tsa_root, &tsa, now)?,
            intermediate,
            ctlog: draw(KeyKind::P256, names::CTLOG_KEY)?,
            rekor_v2: draw(rekor_kind, names::REKOR_V2_KEY)?,
            rekor_v1: draw(KeyKind::P256, names::REKOR_V1_KEY)?,
            tsa,
            tuf_root: draw(KeyKind::P256, names::TUF_ROOT_KEY)?,
            tuf_targets: draw(KeyKind::P256, names::TUF_TARGETS_KEY)?,
            tuf_snapshot: draw(KeyKind::P256, names::TUF_SNAPSHOT_KEY)?,
            tuf_timestamp: draw(KeyKind::P256, names::TUF_TIMESTAMP_KEY)?,
        };
        keys.write_public(layout)?;
        Ok(keys)
    }

    fn write_public(&self, layout: &Layout) -> Outcome {
        use ::keys::Signer as _;
        let write = |name: &str, pem: String| super::write(&layout.join(name), pem.as_bytes());
        write(names::FULCIO_CHAIN, pem(&self.fulcio_chain))?;
        write(names::FULCIO_ROOTS, self.fulcio_chain.last().map(Certificate::to_pem).unwrap_or_default())?;
        write(names::TSA_CHAIN, pem(&self.tsa_chain))?;
        write(names::CTLOG_PUB, self.ctlog.public_key().to_pem())?;
        write(names::REKOR_V2_PUB, self.rekor_v2.public_key().to_pem())?;
        write(names::REKOR_V1_PUB, self.rekor_v1.public_key().to_pem())
    }
}

fn draw(layout: &Layout, kind: KeyKind, name: &str) -> Outcome<FileKey> {
    let failed =
        |error: &(dyn std::error::Error + 'static)| Failure::because("init_failed", format!("{name} cannot be created"), error);
    let key = FileKey::generate(kind).map_err(|error| failed(&error))?;
    key.create_file(&layout.join(name)).map_err(|error: KeyFileError| failed(&error))?;
    Ok(key)
}

fn fulcio_chain(organization: &str, root: &FileKey, intermediate: &FileKey, now: Timestamp) -> Outcome<Vec<Certificate>> {
    use ::keys::Signer as _;
    let root_key = ca_key(root)?;
    let root = ca::root(&root_key, &subject(organization, common_name::root(organization), now, LONG)?)
        .map_err(|error| refused(&error))?;
    let name = common_name::intermediate(organization);
    let issuing = ca::intermediate(&root, &root_key, intermediate.public_key(), &subject(organization, name, now, INTERMEDIATE)?)
        .map_err(|error| refused(&error))?;
    Ok(vec![issuing, root])
}

fn tsa_chain(organization: &str, root: &FileKey, leaf: &FileKey, now: Timestamp) -> Outcome<Vec<Certificate>> {
    use ::keys::Signer as _;
    let root_key = ca_key(root)?;
    let root = ca::root(&root_key, &subject(organization, common_name::tsa_root(organization), now, LONG)?)
        .map_err(|error| refused(&error))?;
    let name = common_name::tsa_leaf(organization);
    let leaf = ca::timestamping(&root, &root_key, leaf.public_key(), &subject(organization, name, now, LONG)?)
        .map_err(|error| refused(&error))?;
    Ok(vec![leaf, root])
}

fn ca_key(key: &FileKey) -> Outcome<CaKey> {
    CaKey::from_pkcs8_pem(&key.to_pem()).map_err(|error| refused(&error))
}

/// Valid from a minute ago, for machines whose clocks are a little behind.
fn subject(organization: &str, common_name: String, now: Timestamp, years: i64) -> Outcome<Subject> {
    let after = |years: i64| now.to_zoned(jiff::tz::TimeZone::UTC).checked_add(years.years()).ok().map(|end| end.timestamp());
    let (not_before, not_after) = now
        .checked_sub(SignedDuration::from_mins(1))
        .ok()
        .zip(after(years))
        .ok_or_else(|| Failure::new("init_failed", format!("this machine's clock shows {now}, which cannot be right")))?;
    let mut octets = [0; 20];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| Failure::new("init_failed", "the random source failed"))?;
    let serial = Serial::from_random(octets);
    Ok(Subject { organization: organization.to_owned(), common_name, serial, not_before, not_after })
}

fn pem(chain: &[Certificate]) -> String {
    chain.iter().map(Certificate::to_pem).collect()
}

fn refused(error: &CaError) -> Failure {
    Failure::because("init_failed", "the certificates cannot be made", error)
}
