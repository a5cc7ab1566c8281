//! CT 1, 2 and 3.

use ct::{ExtraData, SignedEntry, TimestampedEntry};
use pki::Certificate;
use pki::oid::CT_POISON;
use pki::splice::remove_extension;

use crate::common::{Authority, Fixture, bytes, hash, hashes};

fn entry(authority: &Authority, precertificate: &Certificate) -> SignedEntry {
    SignedEntry::Precert {
        issuer_key_hash: authority.intermediate.public_key().fingerprint(),
        tbs: remove_extension(precertificate.tbs_der(), CT_POISON).unwrap(),
    }
}

#[tokio::test]
async fn a_precertificate_is_promised_logged_and_proved() {
    let fixture = Fixture::new().await;
    fixture.logged().await;
    let (precertificate, sct) = fixture.logged().await;
    sct.verify(fixture.key(), entry(&fixture.authority, &precertificate)).unwrap();
    assert_eq!(sct.timestamp, 1_795_252_443_250);
    assert_eq!(ct::leaf_index(&sct.extensions), Ok(Some(1)));

    let leaf = TimestampedEntry {
        timestamp: sct.timestamp,
        entry: entry(&fixture.authority, &precertificate),
        extensions: sct.extensions.clone(),
    };
    let leaf_hash = leaf.leaf_hash().unwrap();
    let escaped = base64_escaped(leaf_hash.as_bytes());
    let proof = fixture.get(&format!("/ct/v1/get-proof-by-hash?hash={escaped}&tree_size=2")).await.json();
    assert_eq!(proof["leaf_index"], 1);
    let head = fixture.head().await;
    assert_eq!(head.tree_size, 2);
    merkle::verify_inclusion(&leaf_hash, 1, 2, &hashes(&proof["audit_path"]), &head.root).unwrap();

    let entries = fixture.get("/ct/v1/get-entries?start=0&end=1").await.json();
    let found = &entries["entries"][1];
    assert_eq!(TimestampedEntry::parse_leaf(&bytes(&found["leaf_input"])), Ok(leaf));
    let extra = bytes(&found["extra_data"]);
    let chain = vec![fixture.authority.intermediate.der(), fixture.authority.root.der()];
    let expected = ExtraData { precertificate: Some(precertificate.der()), chain };
    assert_eq!(ExtraData::parse(&extra, true), Ok(expected));

    let both = fixture.get("/ct/v1/get-entry-and-proof?leaf_index=1&tree_size=2").await.json();
    assert_eq!(both["leaf_input"], found["leaf_input"]);
    assert_eq!(both["extra_data"], found["extra_data"]);
    assert_eq!(both["audit_path"], proof["audit_path"]);
}

#[tokio::test]
async fn a_certificate_without_poison_is_logged_whole() {
    let fixture = Fixture::new().await;
    let profile = fixture.authority.profile();
    let certificate = fixture.authority.certificate_of(&profile, &[]).await;
    let sct = fixture.add_chain(&fixture.authority.whole(&certificate)).await.sct();
    sct.verify(fixture.key(), SignedEntry::X509(certificate.der().to_vec())).unwrap();
    let entries = fixture.get("/ct/v1/get-entries?start=0&end=0").await.json();
    let extra = bytes(&entries["entries"][0]["extra_data"]);
    let extra = ExtraData::parse(&extra, false).unwrap();
    assert_eq!((extra.precertificate, extra.chain.len()), (None, 2));
}

#[tokio::test]
async fn the_index_can_be_left_out() {
    let fixture = Fixture::with(|config| config["leaf_index"] = false.into()).await;
    let (precertificate, sct) = fixture.logged().await;
    assert!(sct.extensions.is_empty());
    sct.verify(fixture.key(), entry(&fixture.authority, &precertificate)).unwrap();
}

#[tokio::test]
async fn a_duplicate_gets_the_first_time_and_index() {
    let mut fixture = Fixture::new().await;
    let (precertificate, first) = fixture.logged().await;
    fixture.logged().await;
    fixture.clock.advance(jiff::SignedDuration::from_secs(60));
    // Sent without the root, and by a log whose switch was turned: still what is in the log.
    fixture.config.leaf_index = false;
    fixture.reopen().await;
    let again = fixture.add_pre_chain(&[&precertificate, &fixture.authority.intermediate]).await.sct();
    assert_eq!((again.timestamp, &again.extensions), (first.timestamp, &first.extensions));
    again.verify(fixture.key(), entry(&fixture.authority, &precertificate)).unwrap();
    assert_eq!(fixture.head().await.tree_size, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_at_once_are_one_entry() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let precertificate = fixture.authority.precertificate().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (fixture, precertificate) = (fixture.clone(), precertificate.clone());
        tasks.spawn(async move { fixture.add_pre_chain(&fixture.authority.whole(&precertificate)).await.sct() });
    }
    let scts = tasks.join_all().await;
    assert!(scts.iter().all(|sct| (sct.timestamp, &sct.extensions) == (scts[0].timestamp, &scts[0].extensions)));
    for sct in scts {
        sct.verify(fixture.key(), entry(&fixture.authority, &precertificate)).unwrap();
    }
    assert_eq!(fixture.head().await.tree_size, 1);
}

#[tokio::test]
async fn chains_count_whole_and_in_order() {
    let fixture = Fixture::new().await;
    let (leaf, other) = (fixture.authority.precertificate().await, Authority::new());
    let [_, intermediate, root] = fixture.authority.whole(&leaf);

    fixture.add_pre_chain(&[&leaf, intermediate]).await.sct();
    fixture.add_pre_chain(&[&leaf, intermediate, root]).await.sct();
    fixture.add_pre_chain(&[&leaf]).await.refused(400, "chain_root_unknown", &format!("accepted roots: {}", root.short()));
    fixture.add_pre_chain(&[&leaf, root]).await.refused(400, "chain_broken", "its issuer is not that one's subject");
    fixture.add_pre_chain(&[&leaf, root, intermediate]).await.refused(400, "chain_after_root", "certificate 3 follows the root");
    fixture.add_pre_chain(&[&leaf, intermediate, root, root]).await.refused(400, "chain_after_root", "certificate 4");
    fixture.add_pre_chain(&[&leaf, intermediate, root, &other.root]).await.refused(400, "chain_after_root", "certificate 4");
    fixture.add_pre_chain(&[&leaf, intermediate, intermediate]).await.refused(
        400,
        "chain_broken",
        "allows 0 certificate authorities below it",
    );
    let stranger = other.precertificate().await;
    fixture.add_pre_chain(&other.whole(&stranger)).await.refused(400, "chain_root_unknown", "certificate 3, the last");
    // The right names over the wrong keys.
    fixture.add_pre_chain(&[&stranger, intermediate, root]).await.refused(400, "chain_broken", "valid signature");
    fixture.add_pre_chain(&[&leaf, &other.intermediate, root]).await.refused(400, "chain_broken", "valid signature");
    assert_eq!(fixture.head().await.tree_size, 1);
}

#[tokio::test]
async fn issuers_that_are_known_are_no_way_around_the_signature() {
    let fixture = Fixture::new().await;
    fixture.logged().await;
    let stranger = Authority::new().precertificate().await;
    let known = fixture.authority.whole(&stranger);
    fixture.add_pre_chain(&known).await.refused(400, "chain_broken", "certificate 1");
    assert_eq!(fixture.head().await.tree_size, 1);
    assert_eq!(hash(&fixture.get("/ct/v1/get-sth").await.json()["sha256_root_hash"]), fixture.head().await.root);
}

fn base64_escaped(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
