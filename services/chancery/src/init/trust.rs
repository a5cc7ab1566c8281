//! What clients are told: the trusted root, the signing configs, and the TUF repository around them.

use bundle::{
    CertificateAuthority, ClientTrustConfig, DocumentError, Publishable, Service, SigningConfig, Subject, Time, TransparencyLog,
    TrustedRoot, ValidFor,
};
use jiff::Timestamp;
use pki::{Certificate, PublicKey};
use tuf::{Legacy, Target, TargetName};

use super::keys::common_name;
use crate::layout::names;
use crate::names::{PublicUrls, ServiceName};

/// Versions of the Rekor API, as signing configs number them.
const V1: u32 = 1;
const V2: u32 = 2;

/// The public halves of everything that was created.
#[derive(Debug)]
pub(crate) struct Public {
    /// Issuing certificate first, root last.
    pub fulcio_chain: Vec<Certificate>,
    /// The CT log's key.
    pub ctlog: PublicKey,
    /// The Rekor v2 log's key and the id that its entries carry.
    pub rekor_v2: (PublicKey, [u8; 32]),
    /// The Rekor v1 log's.
    pub rekor_v1: PublicKey,
    /// Leaf first, root last.
    pub tsa_chain: Vec<Certificate>,
}

/// The documents, checked against the strictest client.
#[derive(Debug)]
pub(crate) struct Documents {
    /// Whom to trust.
    pub trusted_root: Publishable<TrustedRoot>,
    /// Where to sign: a client takes the newest log that it knows.
    pub signing_config: Publishable<SigningConfig>,
    /// The same with the Rekor v1 log alone, and with the Rekor v2 log alone, where there are both.
    apart: Option<[Publishable<SigningConfig>; 2]>,
}

impl Documents {
    /// The documents for services at `urls`, valid from `start`.
    ///
    /// # Errors
    /// Something in them would be refused by a released client.
    pub(crate) fn new(
        public: &Public,
        urls: &PublicUrls,
        organization: &str,
        oidc_issuer: Option<&str>,
        start: Timestamp,
    ) -> Result<Self, DocumentError> {
        let since = ValidFor::since(start);
        let log = |service, key: &PublicKey, id| TransparencyLog::new(urls.of(service), key, id, since);
        let authority = |uri: &str, chain: &[Certificate], common_name: String| {
            let subject = Subject { organization: organization.to_owned(), common_name };
            CertificateAuthority::new(subject, uri, chain.iter().map(Certificate::der), since)
        };
        let trusted_root = TrustedRoot::new(
            vec![log(ServiceName::RekorV2, &public.rekor_v2.0, public.rekor_v2.1)],
            vec![authority(urls.of(ServiceName::Fulcio), &public.fulcio_chain, common_name::intermediate(organization))],
            vec![log(ServiceName::Ctlog, &public.ctlog, public.ctlog.fingerprint())],
            vec![authority(&urls.timestamp_endpoint(), &public.tsa_chain, common_name::tsa_leaf(organization))],
        );
        let service = |url: &str, major_api_version| Service {
            url: url.to_owned(),
            major_api_version,
            valid_for: since,
            operator: organization.to_owned(),
        };
        let signing_config = SigningConfig::new(
            vec![service(urls.of(ServiceName::Fulcio), 1)],
            oidc_issuer.map(|url| service(url, 1)).into_iter().collect(),
            vec![service(urls.of(ServiceName::RekorV2), V2)],
            vec![service(&urls.timestamp_endpoint(), 1)],
        );
        let log = NewLog { url: urls.of(ServiceName::RekorV1), key: &public.rekor_v1, since: start };
        Self::with_rekor_v1(trusted_root, signing_config, log)
    }

    /// The documents with `log` beside what is in them. A log that is in them already stays as it is.
    ///
    /// # Errors
    /// As [`Documents::new`].
    pub(crate) fn with_rekor_v1(
        mut trusted_root: TrustedRoot,
        mut signing_config: SigningConfig,
        log: NewLog<'_>,
    ) -> Result<Self, DocumentError> {
        let valid_for = ValidFor::since(log.since);
        let trusted = TransparencyLog::new(log.url, log.key, log.key.fingerprint(), valid_for);
        if !trusted_root.tlogs.iter().any(|known| known.log_id == trusted.log_id) {
            trusted_root.tlogs.push(trusted);
            trusted_root.tlogs.sort_by_key(|log| log.public_key.valid_for.start);
        }
        let logs = &mut signing_config.rekor_tlog_urls;
        if !logs.iter().any(|known| known.url == log.url) {
            // One operator runs everything: clients take one log of each.
            let operator = logs.first().or(signing_config.ca_urls.first()).map(|service| service.operator.clone());
            logs.push(Service {
                url: log.url.to_owned(),
                major_api_version: V1,
                valid_for,
                operator: operator.unwrap_or_default(),
            });
        }
        Self::of(trusted_root, signing_config)
    }

    /// The documents with `shard` beside the logs that are in them. One that is in them already stays as it is.
    ///
    /// # Errors
    /// As [`Documents::new`].
    pub(crate) fn with_shard(
        mut trusted_root: TrustedRoot,
        mut signing_config: SigningConfig,
        shard: &NewShard<'_>,
    ) -> Result<Self, DocumentError> {
        let NewLog { url, key, since } = shard.log;
        let trusted = TransparencyLog::new(url, key, shard.id, ValidFor::since(since));
        if !trusted_root.tlogs.iter().any(|known| known.log_id == trusted.log_id) {
            trusted_root.tlogs.push(trusted);
            trusted_root.tlogs.sort_by_key(|log| log.public_key.valid_for.start);
        }
        let logs = &mut signing_config.rekor_tlog_urls;
        if let (Some(from), false) = (shard.write_from, logs.iter().any(|known| known.url == url)) {
            // Whoever knows of both writes to one of them at any time. Some clients take the first that is valid, so the new one is it.
            let valid_for = ValidFor::since(from);
            let older = logs.iter_mut().filter(|log| log.major_api_version == V2 && log.valid_for.end.is_none());
            older.for_each(|log| log.valid_for.end = Some(valid_for.start.max(log.valid_for.start)));
            let operator = logs.first().map(|log| log.operator.clone()).unwrap_or_default();
            logs.insert(0, Service { url: url.to_owned(), major_api_version: V2, valid_for, operator });
        }
        Self::of(trusted_root, signing_config)
    }

    /// The documents with a shard of the certificate log beside those that are in them. Nobody who signs is told where it is.
    ///
    /// # Errors
    /// As [`Documents::new`].
    pub(crate) fn with_ct_shard(
        mut trusted_root: TrustedRoot,
        signing_config: SigningConfig,
        log: NewLog<'_>,
    ) -> Result<Self, DocumentError> {
        let trusted = TransparencyLog::new(log.url, log.key, log.key.fingerprint(), ValidFor::since(log.since));
        if !trusted_root.ctlogs.iter().any(|known| known.log_id == trusted.log_id) {
            trusted_root.ctlogs.push(trusted);
            trusted_root.ctlogs.sort_by_key(|log| log.public_key.valid_for.start);
        }
        Self::of(trusted_root, signing_config)
    }

    /// The documents when the log with this id has taken its last entry. It stays in them: what it has logged stays believed.
    ///
    /// # Errors
    /// As [`Documents::new`].
    pub(crate) fn with_frozen(
        mut trusted_root: TrustedRoot,
        signing_config: SigningConfig,
        id: &[u8],
        last: Timestamp,
    ) -> Result<Self, DocumentError> {
        // Ends are inclusive and compared with whole seconds.
        let end = Timestamp::from_second(last.as_second() + 1).unwrap_or(last);
        let logs = trusted_root.tlogs.iter_mut().chain(&mut trusted_root.ctlogs);
        for log in logs.filter(|log| *log.log_id.key_id == *id) {
            log.public_key.valid_for.end = Some(Time::whole_second(end));
        }
        Self::of(trusted_root, signing_config)
    }

    fn of(trusted_root: TrustedRoot, signing_config: SigningConfig) -> Result<Self, DocumentError> {
        let only = |version| {
            let mut config = signing_config.clone();
            config.rekor_tlog_urls.retain(|service| service.major_api_version == version);
            config.publishable()
        };
        // An installation may have been made before there was a Rekor v1 log.
        let has_v1 = signing_config.rekor_tlog_urls.iter().any(|service| service.major_api_version == V1);
        let apart = if has_v1 { Some([only(V1)?, only(V2)?]) } else { None };
        Ok(Self { trusted_root: trusted_root.publishable()?, apart, signing_config: signing_config.publishable()? })
    }

    /// The files below `D/`, for those who do not use TUF.
    pub(crate) fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        // Trusted root and signing config in the one file that sigstore-python takes.
        let both = ClientTrustConfig::new(&self.trusted_root, &self.signing_config);
        let mut files = vec![
            (names::TRUSTED_ROOT, self.trusted_root.to_json()),
            (names::SIGNING_CONFIG, self.signing_config.to_json()),
            (names::CLIENT_TRUST_CONFIG, both.to_json()),
        ];
        files.extend(self.apart().map(|(name, document)| (name, document.to_json())));
        files
    }

    /// The signing configs with one log alone, by name below `D/`.
    fn apart(&self) -> impl Iterator<Item = (&'static str, &Publishable<SigningConfig>)> {
        [names::SIGNING_CONFIG_V1, names::SIGNING_CONFIG_V2].into_iter().zip(self.apart.iter().flatten())
    }

    /// The documents as targets of the TUF repository.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let other = |(file, document): (&str, &Publishable<SigningConfig>)| {
            let name = file.strip_prefix("trust/").unwrap_or(file);
            let name: TargetName = name.parse().expect("the name of a file of ours is one of a target");
            Target::other(name, document.to_json())
        };
        let known = [Target::trusted_root(&self.trusted_root), Target::signing_config(&self.signing_config)];
        known.into_iter().chain(self.apart().map(other)).collect()
    }
}

/// A shard that follows others of a Rekor log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewShard<'a> {
    /// The log that it is.
    pub log: NewLog<'a>,
    /// What its entries name it by.
    pub id: [u8; 32],
    /// From when on clients that sign are to write to it; none of a Rekor v1 tree, which is where the one before it was.
    pub write_from: Option<Timestamp>,
}

/// A log, as documents name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewLog<'a> {
    /// Base URL.
    pub url: &'a str,
    /// Its key.
    pub key: &'a PublicKey,
    /// When it began.
    pub since: Timestamp,
}

impl NewLog<'_> {
    /// Its key, as older clients look for it.
    pub(crate) fn target(&self) -> Target {
        Target::legacy(Legacy::Rekor, self.key.to_pem(), self.url)
    }
}

/// The targets of a new TUF repository: the documents, and the single files that older clients know.
pub(crate) fn all_targets(documents: &Documents, public: &Public, urls: &PublicUrls, start: Timestamp) -> Vec<Target> {
    let fulcio = urls.of(ServiceName::Fulcio);
    let tsa = urls.timestamp_endpoint();
    let mut targets = documents.targets();
    targets.push(Target::legacy(Legacy::Ctfe, public.ctlog.to_pem(), urls.of(ServiceName::Ctlog)));
    targets.push(NewLog { url: urls.of(ServiceName::RekorV1), key: &public.rekor_v1, since: start }.target());
    let mut legacy = |which, certificate: Option<&Certificate>, uri: &str| {
        targets.extend(certificate.map(|certificate| Target::legacy(which, certificate.to_pem(), uri)));
    };
    legacy(Legacy::FulcioIntermediate, public.fulcio_chain.first(), fulcio);
    legacy(Legacy::FulcioRoot, public.fulcio_chain.last(), fulcio);
    legacy(Legacy::TsaLeaf, public.tsa_chain.first(), &tsa);
    legacy(Legacy::TsaRoot, public.tsa_chain.last(), &tsa);
    targets
}
