//! The life of a timestamp.

use std::sync::{Arc, Mutex};

use clock::Clock;
use jiff::Timestamp;
use keys::Signer;
use tsp::{GenTime, PolicyId, Request, Serial, TokenDraft, TokenTemplate};

use crate::{CertificateChain, Config, TimestampError};

/// A running timestamp authority. Cheap to clone; all clones are one authority.
#[derive(Debug, Clone)]
pub struct Tsa(Arc<Authority>);

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/timestamp-query`: a DER `TimeStampReq`.
    Query,
    /// `application/json`: what sigstore-js posts.
    Json,
}

/// What a timestamp authority holds.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) chain: CertificateChain,
    template: TokenTemplate,
    signer: Arc<dyn Signer>,
    clock: Arc<dyn Clock>,
    default_policy: PolicyId,
    accepted_policies: Vec<PolicyId>,
    pub(crate) max_request_body_size: usize,
    /// The last time that was signed, in this process. Guarded so that requests that overlap draw their times one after
    /// the other: no token is dated before one that was drafted earlier. Held for a comparison, never across an await.
    last_time: Mutex<Option<Timestamp>>,
}

impl Tsa {
    /// An authority that signs with `signer`, which [`CertificateChain::check`] has found to be the chain's key.
    #[must_use]
    pub fn new(config: &Config, chain: CertificateChain, signer: Arc<dyn Signer>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Authority {
            template: chain.template(config.include_chain_in_response),
            chain,
            signer,
            clock,
            default_policy: config.default_policy_oid,
            accepted_policies: config.accepted_policy_oids.clone(),
            max_request_body_size: config.max_request_body_size,
            last_time: Mutex::new(None),
        }))
    }

    /// The certificate chain that belongs in the trust root.
    #[must_use]
    pub fn chain(&self) -> &CertificateChain {
        &self.0.chain
    }

    pub(crate) fn authority(&self) -> &Arc<Authority> {
        &self.0
    }

    /// Answers the request in `body` with the DER `TimeStampResp` that grants a token.
    ///
    /// # Errors
    /// [`TimestampError`]; nothing was signed.
    pub async fn timestamp(&self, form: Form, body: &[u8]) -> Result<Vec<u8>, TimestampError> {
        let authority = &self.0;
        // 1. Read: algorithm, digest length and encoding are right from here on.
        let request = match form {
            Form::Query => Request::from_der(body)?,
            Form::Json => Request::from_json(body)?,
        };
        // 2. Decide whether this authority serves it.
        let policy = authority.policy(&request)?;
        // 3. Take the time. What is dated now is signed by a chain that verifiers accept now.
        let time = authority.time()?;
        // 4. Draft. Serials are random, so that replicas need not agree on them.
        let draft: TokenDraft<'_> = authority.template.draft(&request, policy, fresh_serial()?, time);
        // 5. Sign. Nothing is stored: the token is its own record.
        let signature = authority.signer.sign(draft.to_be_signed()).await.map_err(TimestampError::Sign)?;
        Ok(draft.finish(&signature))
    }
}

impl Authority {
    /// The policy to issue under, when the request asks for nothing this authority does not do.
    fn policy(&self, request: &Request) -> Result<PolicyId, TimestampError> {
        if request.has_extensions() {
            return Err(TimestampError::Extension);
        }
        match request.policy() {
            None => Ok(self.default_policy),
            Some(policy) if policy == self.default_policy || self.accepted_policies.contains(&policy) => Ok(policy),
            Some(policy) => Err(TimestampError::Policy(policy)),
        }
    }

    /// The time to sign, never before one signed earlier.
    fn time(&self) -> Result<GenTime, TimestampError> {
        let time = {
            let mut last = self.last_time.lock().expect("no panic while the lock is held");
            let time = clock::next_time(*last, self.clock.now())?;
            *last = Some(time);
            time
        };
        if !self.chain.is_valid_at(time) {
            return Err(TimestampError::ChainNotValid { not_before: self.chain.not_before(), not_after: self.chain.not_after() });
        }
        GenTime::at(time).map_err(TimestampError::TimeOutOfRange)
    }

    /// Whole days until the first certificate of the chain expires; negative afterwards.
    pub(crate) fn days_remaining(&self) -> i64 {
        self.chain.not_after().duration_since(self.clock.now()).as_hours().div_euclid(24)
    }

    /// Whether a token could be issued now.
    pub(crate) fn check(&self) -> Result<(), TimestampError> {
        let now = clock::next_time(*self.last_time.lock().expect("no panic while the lock is held"), self.clock.now())?;
        if self.chain.is_valid_at(now) {
            Ok(())
        } else {
            Err(TimestampError::ChainNotValid { not_before: self.chain.not_before(), not_after: self.chain.not_after() })
        }
    }
}

fn fresh_serial() -> Result<Serial, TimestampError> {
    let mut bytes = [0; 20];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| TimestampError::Random)?;
    Ok(Serial::from_random(bytes))
}
