//! Generated from `proto/`: messages are [`prost::Message`]s, services speak [`tonic_prost::ProstCodec`].
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used, reason = "generated code")]

/// `dev.sigstore.fulcio.v2`.
pub mod v2 {
    tonic::include_proto!("dev.sigstore.fulcio.v2");
}

/// `grpc.health.v1`.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::v2::create_signing_certificate_request::Key;
    use super::v2::*;

    fn hex_of(message: &impl prost::Message) -> String {
        hex::encode(message.encode_to_vec())
    }

    /// Numbers and types are what released clients send and read, so they stand here a second time.
    #[test]
    fn messages_have_upstreams_field_numbers() {
        let token = credentials::Credentials::OidcIdentityToken("t".into());
        let request = |key| CreateSigningCertificateRequest {
            credentials: Some(Credentials { credentials: Some(token.clone()) }),
            key: Some(key),
        };
        let key = PublicKey { algorithm: PublicKeyAlgorithm::Ecdsa.into(), content: "k".into() };
        let with_key = Key::PublicKeyRequest(PublicKeyRequest { public_key: Some(key), proof_of_possession: b"p".to_vec() });
        assert_eq!(hex_of(&request(with_key)), "0a030a0174120a0a05080212016b120170");
        assert_eq!(hex_of(&request(Key::CertificateSigningRequest(b"c".to_vec()))), "0a030a01741a0163");

        let chain = CertificateChain { certificates: vec!["a".into(), "b".into()] };
        let embedded = SigningCertificateEmbeddedSct { chain: Some(chain.clone()) };
        let answer =
            SigningCertificate { certificate: Some(signing_certificate::Certificate::SignedCertificateEmbeddedSct(embedded)) };
        assert_eq!(hex_of(&answer), "12080a060a01610a0162");
        assert_eq!(hex_of(&TrustBundle { chains: vec![chain] }), "0a060a01610a0162");

        let issuer = OidcIssuer {
            issuer: Some(oidc_issuer::Issuer::WildcardIssuerUrl("w".into())),
            audience: "a".into(),
            challenge_claim: "c".into(),
            spiffe_trust_domain: "s".into(),
            issuer_type: "t".into(),
            subject_domain: "d".into(),
            skip_email_verification: true,
        };
        assert_eq!(hex_of(&Configuration { issuers: vec![issuer] }), "0a141201771a01612201632a01733201743a01644001");
    }

    /// When a caller sets both keys, the last one counts, as protobuf has it.
    #[test]
    fn the_last_of_two_keys_counts() {
        let both = hex::decode("12021200".to_owned() + "1a0163").unwrap();
        let request = CreateSigningCertificateRequest::decode(&both[..]).unwrap();
        assert_eq!(request.key, Some(Key::CertificateSigningRequest(b"c".to_vec())));
    }
}
