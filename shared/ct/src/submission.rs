//! `add-chain` and `add-pre-chain` as JSON (RFC 6962 §4.1, §4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::sct::{DigitallySigned, LogId, Sct};
use crate::wire::Malformed;

/// The longest chain that is read: a leaf, its issuers and the root.
const LONGEST_CHAIN: usize = 10;

/// A submission: the (pre)certificate first, each next certificate the issuer of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddChainRequest {
    /// DER.
    pub chain: Vec<Vec<u8>>,
}

/// A request body that is no submission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not JSON of that shape.
    #[error("the body is not a JSON object like {{'chain':['base64 DER', …]}}: {0}")]
    Json(String),
    /// No certificate.
    #[error("the chain is empty; expected the certificate to log first, then its issuers")]
    Empty,
    /// More certificates than any chain has.
    #[error("the chain has {0} certificates; expected at most 10")]
    TooLong(usize),
    /// Not base64.
    #[error("certificate {0} of the chain is not standard base64 with padding")]
    Base64(usize),
}

#[derive(Serialize, Deserialize)]
struct RequestBody {
    chain: Vec<String>,
}

impl AddChainRequest {
    /// Reads a request body. Unknown members are ignored.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn from_json(body: &[u8]) -> Result<Self, ChainError> {
        let body: RequestBody =
            serde_json::from_slice(body).map_err(|error| ChainError::Json(error.to_string().replace('"', "'")))?;
        match body.chain.len() {
            0 => Err(ChainError::Empty),
            length if length > LONGEST_CHAIN => Err(ChainError::TooLong(length)),
            _ => {
                let decode = |(position, text): (usize, &String)| STANDARD.decode(text).map_err(|_| ChainError::Base64(position));
                Ok(Self { chain: body.chain.iter().enumerate().map(decode).collect::<Result<_, _>>()? })
            }
        }
    }

    /// The request body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let body = RequestBody { chain: self.chain.iter().map(|der| STANDARD.encode(der)).collect() };
        serde_json::to_vec(&body).expect("strings have a JSON form")
    }
}

/// A log's answer: an SCT in JSON. It is also what a detached SCT is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddChainResponse {
    sct_version: u8,
    id: String,
    timestamp: u64,
    extensions: String,
    signature: String,
}

impl AddChainResponse {
    /// The answer that carries `sct`.
    ///
    /// # Errors
    /// As [`DigitallySigned::to_bytes`].
    pub fn new(sct: &Sct) -> Result<Self, Malformed> {
        Ok(Self {
            sct_version: 0,
            id: STANDARD.encode(sct.log_id.0),
            timestamp: sct.timestamp,
            extensions: STANDARD.encode(&sct.extensions),
            signature: STANDARD.encode(sct.signature.to_bytes()?),
        })
    }

    /// The SCT in an answer.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn sct(&self) -> Result<Sct, Malformed> {
        let bad = |reason| Malformed { structure: "add-chain answer", reason };
        if self.sct_version != 0 {
            return Err(bad("its sct_version is not 0"));
        }
        let id = STANDARD.decode(&self.id).ok().and_then(|id| id.try_into().ok());
        let signature = STANDARD.decode(&self.signature).map_err(|_| bad("its signature is not base64"))?;
        Ok(Sct {
            log_id: LogId(id.ok_or_else(|| bad("its id is not 32 bytes in base64"))?),
            timestamp: self.timestamp,
            extensions: STANDARD.decode(&self.extensions).map_err(|_| bad("its extensions are not base64"))?,
            signature: DigitallySigned::parse(&signature)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_that_is_none_says_why() {
        let refused = |body: &str| AddChainRequest::from_json(body.as_bytes()).unwrap_err().to_string();
        assert!(refused("nonsense").contains("not a JSON object"));
        assert!(refused("{}").contains("missing field `chain`"));
        assert!(refused(r#"{"chain":[]}"#).contains("empty"));
        assert!(refused(r#"{"chain":["AA==","!"]}"#).contains("certificate 1"));
        assert!(refused(&format!(r#"{{"chain":[{}"AA=="]}}"#, r#""AA==","#.repeat(10))).contains("11 certificates"));
        assert!(!refused(r#"{"chain":7}"#).contains('"'), "reasons stand inside quotes");
    }

    #[test]
    fn an_answer_comes_back() {
        let signature = DigitallySigned(vec![1, 2, 3]);
        let sct = Sct { log_id: LogId([1; 32]), timestamp: 5, extensions: vec![0, 0, 5, 0, 0, 0, 0, 1], signature };
        let answer = AddChainResponse::new(&sct).unwrap();
        assert_eq!(answer.sct().unwrap(), sct);
        let text = serde_json::to_string(&answer).unwrap();
        assert!(text.starts_with(r#"{"sct_version":0,"id":"AQEB"#), "{text}");
        for broken in [text.replace(":0,", ":1,"), text.replace("AQEB", "AQE"), text.replace("BAMA", "BAQA")] {
            assert!(serde_json::from_str::<AddChainResponse>(&broken).unwrap().sct().is_err(), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn requests_come_back(chain in prop::collection::vec(any::<Vec<u8>>(), 1..=10)) {
            let request = AddChainRequest { chain };
            prop_assert_eq!(AddChainRequest::from_json(&request.to_json()).unwrap(), request);
        }

        #[test]
        fn no_bytes_panic(body: Vec<u8>) {
            let _ = AddChainRequest::from_json(&body);
            let _ = serde_json::from_slice::<AddChainResponse>(&body).map(|answer| answer.sct());
        }
    }
}
