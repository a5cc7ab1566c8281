//! Timestamp requests (RFC 3161 §2.4.1).

use der::Tag;
use der::asn1::ObjectIdentifier;

use crate::encode::{ONE, SEQUENCE, TRUE, tlv};
use crate::read::{Fields, context};
use crate::{DigestLengthError, FailureInfo, HashAlgorithm, Integer, MessageImprint, PolicyId, PolicyIdError};

/// The longest nonce that is taken, in bytes: more than the decimal nonce of a JSON request of [`crate::MAX_JSON`] bytes.
pub const MAX_NONCE: usize = 512;

const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");

/// A request for a timestamp, well-formed. Whether its policy and extensions are served is the authority's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) imprint: MessageImprint,
    pub(crate) policy: Option<PolicyId>,
    pub(crate) nonce: Option<Integer>,
    pub(crate) certificates: bool,
    pub(crate) extensions: bool,
}

impl Request {
    /// Asks for a token over `imprint`: no nonce, any policy, no certificates.
    #[must_use]
    pub fn new(imprint: MessageImprint) -> Self {
        Self { imprint, policy: None, nonce: None, certificates: false, extensions: false }
    }

    /// Asks for the nonce to be echoed.
    #[must_use]
    pub fn with_nonce(mut self, nonce: impl Into<Integer>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Asks for the signing certificate to be included.
    #[must_use]
    pub fn with_certificates(mut self) -> Self {
        self.certificates = true;
        self
    }

    /// Asks for one policy.
    #[must_use]
    pub fn with_policy(mut self, policy: PolicyId) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Reads a DER `TimeStampReq`: nothing follows it, the version is 1, the algorithm is one of [`HashAlgorithm`] and the
    /// digest as long as that says.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let mut request = Fields::whole(der, Tag::Sequence)?;
        let version = request.integer()?;
        if version != [1] {
            return Err(RequestError::Version);
        }
        let imprint = read_imprint(request.nested(Tag::Sequence)?)?;
        let policy = request.optional(Tag::ObjectIdentifier)?.map(PolicyId::from_contents).transpose()?;
        let nonce = request.optional_integer()?.map(bounded_nonce).transpose()?;
        let certificates = match request.optional(Tag::Boolean)? {
            None => false,
            Some([0x00]) => false, // A written default is no DER, but some libraries write it and it misleads nobody.
            Some([0xff]) => true,
            Some(_) => return Err(der::Error::from(Tag::Boolean.non_canonical_error()).into()),
        };
        let extensions = request.optional(context(0))?.is_some();
        request.end()?;
        Ok(Self { imprint, policy, nonce, certificates, extensions })
    }

    /// DER, as a client posts it. Extensions are not written.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let policy = self.policy.map(PolicyId::to_der).unwrap_or_default();
        let nonce = self.nonce.as_ref().map(Integer::to_der).unwrap_or_default();
        let certificates: &[u8] = if self.certificates { TRUE } else { &[] };
        tlv(SEQUENCE, &[ONE, &self.imprint.to_der(), &policy, &nonce, certificates])
    }

    /// What is to be timestamped.
    #[must_use]
    pub fn imprint(&self) -> &MessageImprint {
        &self.imprint
    }

    /// The policy that was asked for.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyId> {
        self.policy
    }

    /// What the token has to echo.
    #[must_use]
    pub fn nonce(&self) -> Option<&Integer> {
        self.nonce.as_ref()
    }

    /// Whether the token has to include the signing certificate (`certReq`); otherwise it must not.
    #[must_use]
    pub fn wants_certificates(&self) -> bool {
        self.certificates
    }

    /// Whether the request carries extensions. An authority that does not know them all must refuse.
    #[must_use]
    pub fn has_extensions(&self) -> bool {
        self.extensions
    }
}

/// `MessageImprint`, from its members.
pub(crate) fn read_imprint(mut imprint: Fields<'_>) -> Result<MessageImprint, RequestError> {
    let mut algorithm = imprint.nested(Tag::Sequence)?;
    let oid = ObjectIdentifier::from_bytes(algorithm.contents(Tag::ObjectIdentifier)?).map_err(der::Error::from)?;
    let parameters = (!algorithm.is_empty()).then(|| algorithm.any()).transpose()?;
    algorithm.end()?;
    let digest = imprint.contents(Tag::OctetString)?;
    imprint.end()?;
    if oid == SHA1 {
        return Err(RequestError::WeakHash);
    }
    let algorithm = HashAlgorithm::from_oid(oid).ok_or_else(|| RequestError::UnknownHash(oid.to_string()))?;
    if parameters.is_some_and(|parameters| !parameters.is_null()) {
        return Err(RequestError::HashParameters);
    }
    Ok(MessageImprint::new(algorithm, digest)?)
}

pub(crate) fn bounded_nonce(contents: &[u8]) -> Result<Integer, RequestError> {
    if contents.len() > MAX_NONCE {
        return Err(RequestError::NonceTooLong(contents.len()));
    }
    Integer::from_contents(contents).ok_or(RequestError::Malformed(None))
}

/// Why some bytes are no timestamp request that could be served. Always the caller's error.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not a DER `TimeStampReq`, or something follows it.
    #[error("Error generating timestamp response: the body is not one DER TimeStampReq")]
    Malformed(#[source] Option<der::Error>),
    /// Not the JSON form of a request.
    #[error("Error generating timestamp response: the body is not a timestamp request in JSON")]
    MalformedJson(#[source] serde_json::Error),
    /// A member of a JSON request is not what it has to be.
    #[error("Error generating timestamp response: {member} must be {expected}")]
    Member {
        /// The member's name.
        member: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A JSON request of more than [`crate::MAX_JSON`] bytes.
    #[error("timestamp request is too large: {0} bytes of JSON, at most {max} are read", max = crate::MAX_JSON)]
    TooLarge(usize),
    /// A version other than 1.
    #[error("Error generating timestamp response: the request's version is not 1")]
    Version,
    /// SHA-1.
    #[error("Weak hash algorithm in timestamp request: SHA-1, expected SHA-256, SHA-384 or SHA-512")]
    WeakHash,
    /// Any other algorithm that is not served: its identifier or name.
    #[error("Error generating timestamp response: hash algorithm {0} is not supported, expected SHA-256, SHA-384 or SHA-512")]
    UnknownHash(String),
    /// Parameters other than NULL with the hash algorithm.
    #[error("Error generating timestamp response: the hash algorithm has parameters, expected none or NULL")]
    HashParameters,
    /// The digest is shorter or longer than its algorithm says.
    #[error("Message digest has incorrect length for specified algorithm")]
    DigestLength(#[from] DigestLengthError),
    /// A nonce of so many bytes.
    #[error("Error generating timestamp response: the nonce has {0} bytes, at most {max} are echoed", max = MAX_NONCE)]
    NonceTooLong(usize),
    /// `tsaPolicyOID` of a JSON request is no policy.
    #[error(transparent)]
    Policy(#[from] PolicyIdError),
}

impl RequestError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "timestamp_malformed",
            Self::MalformedJson(_) | Self::Member { .. } => "timestamp_json_malformed",
            Self::TooLarge(_) => "timestamp_json_too_large",
            Self::Version => "timestamp_version",
            Self::WeakHash => "timestamp_weak_hash",
            Self::UnknownHash(_) | Self::HashParameters => "timestamp_unknown_hash",
            Self::DigestLength(_) => "timestamp_digest_length",
            Self::NonceTooLong(_) => "timestamp_nonce_length",
            Self::Policy(_) => "timestamp_policy_malformed",
        }
    }

    /// What a refusal says.
    #[must_use]
    pub const fn failure(&self) -> FailureInfo {
        match self {
            Self::Malformed(_) | Self::MalformedJson(_) | Self::Member { .. } | Self::Policy(_) => FailureInfo::BadDataFormat,
            Self::WeakHash | Self::UnknownHash(_) | Self::HashParameters => FailureInfo::BadAlg,
            Self::Version | Self::DigestLength(_) | Self::NonceTooLong(_) | Self::TooLarge(_) => FailureInfo::BadRequest,
        }
    }
}

impl From<der::Error> for RequestError {
    fn from(error: der::Error) -> Self {
        Self::Malformed(Some(error))
    }
}

#[cfg(test)]
mod tests {
    use der07::{Decode, Encode};
    use proptest::prelude::*;

    use super::*;
    use crate::encode::{CONTEXT_0, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING};

    fn full() -> Request {
        Request::new(HashAlgorithm::Sha384.digest(b"artifact"))
            .with_nonce(0xdead_beef_dead_beef)
            .with_policy(PolicyId::SIGSTORE)
            .with_certificates()
    }

    /// A request whose members are given; `None` takes the good one.
    fn assemble(version: &[u8], oid: &[u8], parameters: &[u8], digest: &[u8], rest: &[u8]) -> Vec<u8> {
        let algorithm = tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[oid]), parameters]);
        let imprint = tlv(SEQUENCE, &[&algorithm, &tlv(OCTET_STRING, &[digest])]);
        tlv(SEQUENCE, &[version, &imprint, rest])
    }

    fn with_rest(rest: &[u8]) -> Result<Request, RequestError> {
        Request::from_der(&assemble(ONE, HashAlgorithm::Sha256.oid().as_bytes(), NULL, &[7; 32], rest))
    }

    #[test]
    fn openssl_query_and_sigstore_go_request() {
        let query = hex::decode("30400201013031300D060960864801650304020105000420BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD0208314CFCE4E0651827").unwrap();
        let request = Request::from_der(&query).unwrap();
        assert_eq!(request.imprint(), &HashAlgorithm::Sha256.digest(b"abc"));
        assert_eq!(hex::encode(request.nonce().unwrap().contents()), "314cfce4e0651827");
        assert!(!request.wants_certificates() && !request.has_extensions() && request.policy().is_none());
        assert_eq!(request.to_der(), query);
        assert_eq!(Request::new(HashAlgorithm::Sha256.digest(b"abc")).to_der().len(), 56, "what sigstore-go posts");
    }

    #[test]
    fn agrees_with_x509_tsp() {
        let der = full().to_der();
        let theirs = x509_tsp::TimeStampReq::from_der(&der).unwrap();
        assert!(theirs.cert_req);
        assert_eq!(theirs.req_policy.unwrap().to_string(), PolicyId::SIGSTORE.to_string());
        assert_eq!(theirs.to_der().unwrap(), der);
        assert_eq!(Request::from_der(&der).unwrap(), full());
    }

    #[test]
    fn absent_hash_parameters_and_a_written_default_are_taken() {
        let absent = assemble(ONE, HashAlgorithm::Sha512.oid().as_bytes(), &[], &[7; 64], &[1, 1, 0]);
        let request = Request::from_der(&absent).unwrap();
        assert_eq!(request.imprint().algorithm(), HashAlgorithm::Sha512);
        assert!(!request.wants_certificates());
    }

    #[test]
    fn extensions_are_seen() {
        assert!(with_rest(&tlv(CONTEXT_0, &[NULL])).unwrap().has_extensions());
    }

    #[test]
    fn every_refusal() {
        let sha256 = HashAlgorithm::Sha256.oid();
        let sha1 = assemble(ONE, SHA1.as_bytes(), NULL, &[7; 20], &[]);
        let md5 = assemble(ONE, ObjectIdentifier::new_unwrap("1.2.840.113549.2.5").as_bytes(), NULL, &[7; 16], &[]);
        let sha224 = assemble(ONE, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.4").as_bytes(), NULL, &[7; 28], &[]);
        let mut trailing = full().to_der();
        trailing.push(0);
        let truncated = &trailing[..trailing.len() - 2];
        for (bytes, code, failure) in [
            (&sha1[..], "timestamp_weak_hash", FailureInfo::BadAlg),
            (&md5, "timestamp_unknown_hash", FailureInfo::BadAlg),
            (&sha224, "timestamp_unknown_hash", FailureInfo::BadAlg),
            (&assemble(ONE, sha256.as_bytes(), ONE, &[7; 32], &[]), "timestamp_unknown_hash", FailureInfo::BadAlg),
            (&assemble(ONE, sha256.as_bytes(), NULL, &[7; 31], &[]), "timestamp_digest_length", FailureInfo::BadRequest),
            (&assemble(ONE, sha256.as_bytes(), NULL, &[], &[]), "timestamp_digest_length", FailureInfo::BadRequest),
            (&assemble(&[2, 1, 2], sha256.as_bytes(), NULL, &[7; 32], &[]), "timestamp_version", FailureInfo::BadRequest),
            (&assemble(&[2, 1, 0], sha256.as_bytes(), NULL, &[7; 32], &[]), "timestamp_version", FailureInfo::BadRequest),
            (&trailing, "timestamp_malformed", FailureInfo::BadDataFormat),
            (truncated, "timestamp_malformed", FailureInfo::BadDataFormat),
            (&[], "timestamp_malformed", FailureInfo::BadDataFormat),
            (b"not DER", "timestamp_malformed", FailureInfo::BadDataFormat),
            (&assemble(&[2, 2, 0, 1], sha256.as_bytes(), NULL, &[7; 32], &[]), "timestamp_malformed", FailureInfo::BadDataFormat),
        ] {
            let error = Request::from_der(bytes).unwrap_err();
            assert_eq!((error.code(), error.failure()), (code, failure), "{error}");
        }
        for rest in [&[1, 1, 1][..], &[2, 0], &[2, 2, 0, 1], &[5, 0], &[1, 1, 0xff, 2, 1, 1], &[2, 1, 1, 2, 1, 1], &[6, 1, 0x80]]
        {
            assert_eq!(with_rest(rest).unwrap_err().code(), "timestamp_malformed", "{rest:?}");
        }
        assert_eq!(with_rest(&tlv(INTEGER, &[&[1; MAX_NONCE + 1]])).unwrap_err().code(), "timestamp_nonce_length");
        assert!(with_rest(&tlv(INTEGER, &[&[1; MAX_NONCE]])).is_ok());
    }

    fn arbitrary_request() -> impl Strategy<Value = Request> {
        let imprint = (0usize..3, any::<[u8; 8]>()).prop_map(|(at, data)| HashAlgorithm::ALL[at].digest(&data));
        let nonce = proptest::option::of(any::<i128>().prop_map(|n| Integer::from_decimal(&n.to_string()).unwrap()));
        (imprint, nonce, any::<bool>(), any::<bool>()).prop_map(|(imprint, nonce, certificates, policy)| Request {
            imprint,
            nonce,
            certificates,
            policy: policy.then_some(PolicyId::SIGSTORE),
            extensions: false,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(request in arbitrary_request()) {
            prop_assert_eq!(Request::from_der(&request.to_der()).unwrap(), request);
        }

        #[test]
        fn what_both_read_is_the_same(request in arbitrary_request(), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut der = request.to_der();
            let at = at.index(der.len());
            der[at] ^= flip;
            // Extensions are not looked into here, since every one of them is refused.
            if let (Ok(ours), Ok(theirs)) = (Request::from_der(&der), x509_tsp::TimeStampReq::from_der(&der)) {
                prop_assert_eq!(ours.imprint().digest(), theirs.message_imprint.hashed_message.as_bytes());
                prop_assert_eq!(ours.wants_certificates(), theirs.cert_req);
            }
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::from_der(&bytes);
        }
    }
}
