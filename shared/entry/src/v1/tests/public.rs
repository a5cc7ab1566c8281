//! Entries of the public log, and what their clients sent.

use super::*;

/// An entry as the log promised it: body, time, log and index.
fn logged(text: &str) -> Vec<u8> {
    let entry: Value = serde_json::from_str(text).unwrap();
    BASE64_STANDARD.decode(entry["body"].as_str().unwrap()).unwrap()
}

#[test]
fn a_hashedrekord_of_the_public_log() {
    let logged = logged(include_str!("../../../testdata/public-hashedrekord-0.0.1.json"));
    let entry = ProposedEntry::from_json(&logged).unwrap().verify().unwrap();
    assert_eq!(std::str::from_utf8(entry.body()).unwrap(), std::str::from_utf8(&logged).unwrap());
    assert_eq!(entry.leaf_hash().to_string(), "86407f5cc9c6f0d1a84fede6cfe1265fe0b3e1a4e21b4c0695e4a021ec11338f");
    let identity = entry.index_keys().iter().find(|key| key.starts_with("https://github.com/"));
    assert!(identity.is_some(), "{:?}", entry.index_keys());
}

#[test]
fn a_dsse_of_the_public_log() {
    let logged = logged(include_str!("../../../testdata/public-dsse-0.0.1.json"));
    let body: Value = serde_json::from_slice(&logged).unwrap();
    let signature = &body["spec"]["signatures"][0];
    let envelope = format!(
        r#"{{"payload":"{}","payloadType":"{IN_TOTO}","signatures":[{{"sig":{}}}]}}"#,
        include_str!("../../../testdata/public-dsse-0.0.1.payload"),
        signature["signature"],
    );
    let proposal = json!({"kind": "dsse", "apiVersion": "0.0.1",
        "spec": {"proposedContent": {"envelope": envelope, "verifiers": [signature["verifier"]]}}});
    let entry = verified(&proposal);
    assert_eq!(std::str::from_utf8(entry.body()).unwrap(), std::str::from_utf8(&logged).unwrap());
    assert_eq!(entry.leaf_hash().to_string(), "875d33538d49eb9bc3224c4868c25d06f78f566730771c4437f50962530906ae");
    assert_eq!(read(&body).unwrap().locate().unwrap(), entry.leaf_hash());
}

#[test]
fn an_intoto_of_the_public_log() {
    let logged = logged(include_str!("../../../testdata/public-intoto-0.0.2.json"));
    let body: Value = serde_json::from_slice(&logged).unwrap();
    let mut proposal = body.clone();
    let payload = include_str!("../../../testdata/public-intoto-0.0.2.payload");
    proposal["spec"]["content"]["envelope"]["payload"] = b64(payload).into();
    let entry = verified(&proposal);
    assert_eq!(std::str::from_utf8(entry.body()).unwrap(), std::str::from_utf8(&logged).unwrap());
    assert_eq!(entry.leaf_hash().to_string(), "83c4d5305de1248c4bc0f14c9fa50b20120bb04579f13a29151c2494d1d220cb");
    assert_eq!(read(&body).unwrap().locate().unwrap(), entry.leaf_hash());
}
