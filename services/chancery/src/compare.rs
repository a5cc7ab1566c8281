//! Start-up's last question: is this what `init` created?

use std::path::Path;

use chassis::config::FilePath;
use keys::{FileKey, Signer as _};
use pki::{Certificate, PublicKey};

use crate::anchors::{Anchors, LogAnchors, sha256_hex};
use crate::cli::ShardedLog;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::layout::{Layout, names};
use crate::log_command::shards;
use crate::names::ServiceName;
use crate::output::short;

/// Compares one service's name, keys and certificates with `anchors.json`.
pub(crate) fn with_anchors(config: &Config, layout: &Layout, service: ServiceName, anchors: &Anchors) -> Outcome {
    match service {
        ServiceName::Fulcio => config.fulcio.as_ref().map_or(Ok(()), |section| {
            same_url(service, &section.public_url, anchors)?;
            same_key("the certificate authority's key", &section.key, &anchors.fulcio.intermediate_key)?;
            same_chain(&section.certificate_chain, &anchors.fulcio.intermediate_certificate, &anchors.fulcio.root_certificate)?;
            submits_to_a_log_of_ours(&section.ct_log.public_key, anchors)
        }),
        ServiceName::Ctlog => config.ctlog.as_ref().map_or(Ok(()), |section| {
            same_url(service, &section.public_url, anchors)?;
            same_key("the certificate log's key", &section.key, &anchors.ctlog.key)?;
            same_shards(service, &config.ctlog_shards, &anchors.ctlog_shards, anchors)
        }),
        ServiceName::RekorV2 => config.rekor_v2.as_ref().map_or(Ok(()), |section| {
            same_url(service, &section.public_url, anchors)?;
            same_key("the transparency log's key", &section.key, &anchors.rekor_v2.key)?;
            same_shards(service, &config.rekor_v2_shards, &anchors.rekor_v2_shards, anchors)
        }),
        ServiceName::RekorV1 => config.rekor_v1.as_ref().map_or(Ok(()), |section| {
            same_url(service, &section.public_url, anchors)?;
            let expected = anchors.rekor_v1.as_ref().ok_or_else(|| unknown(service))?;
            same_key("the key of the transparency log v1", &section.key, &expected.key)?;
            same_shards(service, &config.rekor_v1_shards, &anchors.rekor_v1_shards, anchors)
        }),
        ServiceName::Tsa => config.tsa.as_ref().map_or(Ok(()), |section| {
            same_url(service, &section.public_url, anchors)?;
            same_key("the timestamp authority's key", &section.key, &anchors.tsa.key)?;
            same_chain(&section.certificate_chain, &anchors.tsa.certificate, &anchors.tsa.root_certificate)
        }),
        ServiceName::Tuf => config.tuf.as_ref().map_or(Ok(()), |section| {
            same_url(service, &section.public_url, anchors)?;
            same_key("TUF's snapshot key", &section.snapshot_key, &anchors.tuf.snapshot_key)?;
            same_key("TUF's timestamp key", &section.timestamp_key, &anchors.tuf.timestamp_key)?;
            same_file(&layout.join(names::ROOT_JSON), &anchors.tuf.root_json)?;
            same_trusted_root(&layout.join(names::TRUSTED_ROOT), anchors)
        }),
        // Its key is trusted by the logs of others, which know it by name and key; nothing here was signed over it.
        ServiceName::Witness => Ok(()),
        // Its name is in nothing that was signed. Whom its policies believe is: this installation, or the one that it was given.
        ServiceName::Registry => config.gateway.as_ref().map_or(Ok(()), |section| match &section.trusted_root {
            Some(root) if is_ours(root, &layout.join(names::TRUSTED_ROOT)) => same_trusted_root(root, anchors),
            _ => Ok(()),
        }),
    }
}

/// Whether two paths name one file. Where one of them cannot be followed, whoever opens it says so.
fn is_ours(path: &Path, ours: &Path) -> bool {
    path == ours || path.canonicalize().is_ok_and(|path| ours.canonicalize().is_ok_and(|ours| path == ours))
}

/// A later shard, as the configuration has it.
trait Configured {
    fn key(&self) -> &FilePath;
    /// Where it is, when that is its own.
    fn public_url(&self) -> Option<&str>;
}

impl Configured for ctlog::ShardConfig {
    fn key(&self) -> &FilePath {
        &self.key
    }

    fn public_url(&self) -> Option<&str> {
        Some(&self.public_url)
    }
}

impl Configured for rekor::v2::ShardConfig {
    fn key(&self) -> &FilePath {
        &self.key
    }

    fn public_url(&self) -> Option<&str> {
        Some(&self.public_url)
    }
}

impl Configured for rekor::v1::ShardConfig {
    fn key(&self) -> &FilePath {
        &self.key
    }

    fn public_url(&self) -> Option<&str> {
        None
    }
}

fn same_shards(service: ServiceName, found: &[impl Configured], expected: &[LogAnchors], anchors: &Anchors) -> Outcome {
    // A run of `log new-shard` that was cut off enters the shard here before it is in the configuration.
    let least = expected.len() - usize::from(anchors.unfinished.is_some() && !expected.is_empty());
    if !(least..=expected.len()).contains(&found.len()) {
        return Err(Failure::new("anchor_mismatch", format!("the {} has other shards than were created", service.title()))
            .detail(format!("found     {} after the first", found.len()))
            .detail(format!("expected  {}", expected.len()))
            .advise("Set their list in chancery.yaml back to what `chancery log new-shard` wrote."));
    }
    for (number, (found, expected)) in (2..).zip(found.iter().zip(expected)) {
        same_key(&format!("the key of shard {number} of the {}", service.title()), found.key(), &expected.key)?;
        if let (Some(found), Some(expected)) = (found.public_url(), &expected.public_url)
            && found != expected
        {
            return Err(url_changed(&format!("shard {number} of the {}", service.title()), found, expected));
        }
    }
    Ok(())
}

/// Where a run of `chancery log` was cut off, the file may be the one from before it.
fn same_trusted_root(path: &Path, anchors: &Anchors) -> Outcome {
    match &anchors.trusted_root_before {
        Some(before) if same_file(path, before).is_ok() => Ok(()),
        _ => same_file(path, &anchors.trusted_root),
    }
}

fn same_url(service: ServiceName, found: &str, anchors: &Anchors) -> Outcome {
    let expected = anchors.public_urls.get(service).ok_or_else(|| unknown(service))?;
    if found == expected {
        return Ok(());
    }
    Err(url_changed(service.as_str(), found, expected))
}

fn url_changed(what: &str, found: &str, expected: &str) -> Failure {
    Failure::new("public_url_changed", format!("the public URL of {what} is not the one it was created with"))
        .detail(format!("configuration  {found}"))
        .detail(format!("created with   {expected}"))
        .advise("It is part of origins, the trusted root and signing configs, so clients would refuse what this service signs. Set it back.")
}

fn unknown(service: ServiceName) -> Failure {
    Failure::new("anchor_mismatch", format!("this installation was created without a {}", service.title()))
        .detail(format!("the configuration has a section {}, and anchors.json knows nothing of it", service.section()))
        .advise("Remove the section; a service that clients are to believe is created by `chancery init` or `chancery log add`.")
}

fn same_key(what: &str, path: &FilePath, expected: &str) -> Outcome {
    let key = FileKey::load(path).map_err(|error| {
        Failure::because("key_unusable", format!("{what} cannot be used"), &error).advise("Restore it from the backup.")
    })?;
    let found = hex::encode(key.public_key().fingerprint());
    if found == expected { Ok(()) } else { Err(mismatch(what, path, &found, expected)) }
}

/// The digest of a public key in a file.
pub(crate) fn public_key(what: &str, path: &FilePath) -> Outcome<String> {
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        Failure::because("key_unusable", format!("{what} cannot be used"), error).advise("Restore it from the backup.")
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(&error))?;
    Ok(hex::encode(PublicKey::from_pem(&text).map_err(|error| unusable(&error))?.fingerprint()))
}

/// The promises of another log would verify here, and nowhere else; one that is frozen makes none.
fn submits_to_a_log_of_ours(path: &FilePath, anchors: &Anchors) -> Outcome {
    const WHAT: &str = "the certificate log's public key";
    let found = public_key(WHAT, path)?;
    let logs = shards::of(anchors, ShardedLog::Ctlog);
    match logs.iter().find(|log| log.anchors.key == found) {
        None => Err(mismatch(WHAT, path, &found, &anchors.ctlog.key)),
        Some(log) if log.anchors.frozen.is_some() => {
            let failure = Failure::new("log_frozen", "the certificate authority submits to a certificate log that is frozen")
                .detail(format!("frozen  shard {}, {}", log.number, log.public_url));
            let next = logs.iter().find(|log| log.anchors.frozen.is_none());
            Err(match next {
                Some(next) => failure.advise(format!(
                    "Set fulcio.ct_log to the log that follows it: url to {} or where that listens, public_key to {}.",
                    next.public_url,
                    next.log.public_key(next.number)
                )),
                None => failure,
            })
        }
        Some(_) => Ok(()),
    }
}

fn same_chain(path: &FilePath, first: &str, last: &str) -> Outcome {
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        Failure::because("certificate_unusable", format!("the certificate chain in {} cannot be used", path.display()), error)
            .advise("Restore it from the backup.")
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(&error))?;
    let chain = Certificate::chain_from_pem(&text).map_err(|error| unusable(&error))?;
    for (certificate, expected) in [(chain.first(), first), (chain.last(), last)] {
        let found = certificate.map(|certificate| hex::encode(certificate.fingerprint())).unwrap_or_default();
        if found != expected {
            return Err(mismatch("a certificate", path, &found, expected));
        }
    }
    Ok(())
}

fn same_file(path: &Path, expected: &str) -> Outcome {
    let bytes = std::fs::read(path).map_err(|error| {
        Failure::because("anchor_mismatch", format!("{} cannot be read", path.display()), &error)
            .advise("Restore it from the backup.")
    })?;
    let found = sha256_hex(&bytes);
    if found == expected { Ok(()) } else { Err(mismatch("a file that clients rely on", path, &found, expected)) }
}

fn mismatch(what: &str, path: &Path, found: &str, expected: &str) -> Failure {
    Failure::new("anchor_mismatch", format!("{what} is not the one this installation was created with"))
        .detail(format!("{}  {}", path.display(), short(found)))
        .detail(format!("anchors.json  {}", short(expected)))
        .advise(format!("Restore the one with fingerprint {}.", short(expected)))
}

#[cfg(test)]
mod tests {
    use chassis::report::Explain as _;
    use pki::KeyKind;

    use super::*;

    #[test]
    fn a_public_key_is_known_by_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path: FilePath = serde_json::from_value(serde_json::json!(folder.path().join("ctfe.pub"))).unwrap();
        let key = FileKey::generate(KeyKind::P256).unwrap();
        let expected = hex::encode(key.public_key().fingerprint());
        assert_eq!(public_key("the log's key", &path).err().map(|failure| failure.code()), Some("key_unusable"));
        std::fs::write(&path, key.public_key().to_pem()).unwrap();
        assert_eq!(public_key("the log's key", &path).ok(), Some(expected));
    }
}
