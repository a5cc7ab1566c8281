//! What clients are told: the trusted root, the signing config, and the TUF repository around them.

use bundle::{
    CertificateAuthority, ClientTrustConfig, DocumentError, Publishable, Service, SigningConfig, Subject, TransparencyLog,
    TrustedRoot, ValidFor,
};
use jiff::Timestamp;
use pki::{Certificate, PublicKey};
use tuf::{Legacy, Target};

use super::keys::common_name;
use crate::names::{PublicUrls, ServiceName};

/// The public halves of everything that was created.
#[derive(Debug)]
pub(crate) struct Public {
    /// Issuing certificate first, root last.
    pub fulcio_chain: Vec<Certificate>,
    /// The CT log's key.
    pub ctlog: PublicKey,
    /// The Rekor v2 log's key and the id that its entries carry.
    pub rekor_v2: (PublicKey, [u8; 32]),
    /// Leaf first, root last.
    pub tsa_chain: Vec<Certificate>,
}

/// The documents, checked against the strictest client.
#[derive(Debug)]
pub(crate) struct Documents {
    /// Whom to trust.
    pub trusted_root: Publishable<TrustedRoot>,
    /// Where to sign.
    pub signing_config: Publishable<SigningConfig>,
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
            vec![service(urls.of(ServiceName::RekorV2), 2)],
            vec![service(&urls.timestamp_endpoint(), 1)],
        );
        Ok(Self { trusted_root: trusted_root.publishable()?, signing_config: signing_config.publishable()? })
    }

    /// Both in the one file that sigstore-python takes.
    pub(crate) fn client_trust_config(&self) -> Publishable<ClientTrustConfig> {
        ClientTrustConfig::new(&self.trusted_root, &self.signing_config)
    }

    /// The targets of the TUF repository: these documents, and the single files that older clients know.
    pub(crate) fn targets(&self, public: &Public, urls: &PublicUrls) -> Vec<Target> {
        let fulcio = urls.of(ServiceName::Fulcio);
        let tsa = urls.timestamp_endpoint();
        let mut targets = vec![
            Target::trusted_root(&self.trusted_root),
            Target::signing_config(&self.signing_config),
            Target::legacy(Legacy::Ctfe, public.ctlog.to_pem(), urls.of(ServiceName::Ctlog)),
        ];
        let mut legacy = |which, certificate: Option<&Certificate>, uri: &str| {
            targets.extend(certificate.map(|certificate| Target::legacy(which, certificate.to_pem(), uri)));
        };
        legacy(Legacy::FulcioIntermediate, public.fulcio_chain.first(), fulcio);
        legacy(Legacy::FulcioRoot, public.fulcio_chain.last(), fulcio);
        legacy(Legacy::TsaLeaf, public.tsa_chain.first(), &tsa);
        legacy(Legacy::TsaRoot, public.tsa_chain.last(), &tsa);
        targets
    }
}
