use proptest::prelude::*;

use super::hashedrekord::valid;
use super::*;

/// Any JSON, with the names of the contract among its members.
fn json_value() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "kind",
        "apiVersion",
        "spec",
        "data",
        "hash",
        "algorithm",
        "value",
        "signature",
        "signatures",
        "content",
        "publicKey",
        "proposedContent",
        "envelope",
        "verifiers",
        "envelopeHash",
        "payloadHash",
        "payload",
        "payloadType",
        "sig",
        "keyid",
        "x",
    ]);
    let texts = prop::sample::select(vec!["", "dsse", "intoto", "hashedrekord", "0.0.1", "0.0.2", "sha256", "AAAA", "~", "{}"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        texts.prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..6)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(proposal) = ProposedEntry::from_json(&bytes) {
            let _ = proposal.verify();
        }
        let _ = PemVerifier::from_pem(&bytes);
        let mut keys = IndexKeys::default();
        keys.add_statement(&bytes);
    }

    #[test]
    fn no_document_panics(spec in json_value(), kind in 0usize..4) {
        let (kind, version) = [("hashedrekord", "0.0.1"), ("dsse", "0.0.1"), ("intoto", "0.0.1"), ("intoto", "0.0.2")][kind];
        let proposal = json!({"kind": kind, "apiVersion": version, "spec": spec});
        if let Err(error) = verify(&proposal) {
            described(&error);
        }
        if let Ok(found) = read(&proposal).and_then(ProposedEntry::locate) {
            prop_assert_ne!(found, merkle::EMPTY_ROOT);
        }
    }

    /// Whatever a text of ours is changed to: it is refused, or it is an entry in canonical form whose stored form finds it.
    #[test]
    fn a_changed_proposal_is_refused_or_canonical(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut text = valid().to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = to;
        if let Ok(entry) = ProposedEntry::from_json(&text).and_then(ProposedEntry::verify) {
            let again = ProposedEntry::from_json(entry.body()).unwrap().verify().unwrap();
            prop_assert_eq!(&again, &entry);
            prop_assert_eq!(serde_json_canonicalizer::to_vec(&body(&entry)).unwrap(), entry.body());
        }
    }

    #[test]
    fn canonical_bodies_are_rfc_8785_whatever_texts_they_hold(payload_type in "\\PC{1,20}", keyid in any::<String>(), payload: Vec<u8>) {
        let signer = Signer::p256();
        let sig = b64(signer.sign(&pae(&payload_type, &payload)));
        let proposal = json!({"kind": "intoto", "apiVersion": "0.0.2", "spec": {"content": {
            "envelope": {"payload": b64(b64(&payload)), "payloadType": payload_type,
                         "signatures": [{"keyid": keyid, "publicKey": b64(&signer.pem), "sig": b64(sig)}]},
            "hash": {"algorithm": "sha256", "value": sha256(b"")},
        }}});
        if payload.is_empty() {
            // An empty payload is how the stored form is told apart.
            prop_assert!(verify(&proposal).is_err());
        } else {
            verified(&proposal);
        }
    }

    #[test]
    fn base64_is_read_as_go_reads_it(bytes: Vec<u8>, breaks in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let mut text = b64(&bytes);
        for at in breaks {
            text.insert(at.index(text.len() + 1), '\n');
        }
        prop_assert_eq!(wire::decode_base64(text.as_bytes()), Some(bytes.clone()));
        prop_assert_eq!(wire::decode_base64_either(BASE64_URL_SAFE.encode(&bytes).as_bytes()), Some(bytes));
    }
}
