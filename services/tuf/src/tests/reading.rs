//! What a strict client refuses, the check before publishing refuses: each case is signed by the right keys, so that nothing
//! but the one rule is broken.

use serde_json::{Value, json};

use super::fixture::{Fixture, note, sign_value};
use crate::metadata::Key;
use crate::repository::Repository;
use crate::store::Staged;
use crate::*;

/// Edits `1.targets.json` and makes the rest fit.
async fn with_targets(change: impl FnOnce(&mut Value)) -> Invalid {
    let fixture = Fixture::created().await;
    fixture.edit("1.targets.json", &[&fixture.targets], change).await;
    fixture.describe_again().await;
    fixture.read().unwrap_err()
}

async fn with_root(change: impl FnOnce(&mut Value)) -> Invalid {
    let fixture = Fixture::created().await;
    fixture.edit("1.root.json", &[&fixture.root], change).await;
    fixture.read().unwrap_err()
}

fn is_shape(invalid: &Invalid) -> bool {
    matches!(invalid, Invalid::Envelope { source: EnvelopeError::Shape { .. }, .. })
}

#[tokio::test]
async fn what_was_created_is_accepted() {
    let fixture = Fixture::created().await;
    let repository = fixture.read().unwrap();
    assert_eq!(fixture.versions(), [1, 1, 1, 1]);
    repository.check_fresh(&Role::ALL, fixture.now()).unwrap();
    assert_eq!(fixture.bytes("root.json"), fixture.bytes("1.root.json"));
    assert_eq!(repository.expires(Role::Root).to_string(), "2027-11-21T09:14:03Z");
    assert_eq!(repository.expires(Role::Timestamp).to_string(), "2026-11-28T09:14:03Z");
}

#[tokio::test]
async fn the_documents_have_the_one_form_that_all_clients_take() {
    let fixture = Fixture::created().await;
    let root: Value = serde_json::from_slice(&fixture.bytes("1.root.json")).unwrap();
    let id = Key::new(keys::Signer::public_key(&fixture.root)).unwrap().id();
    let key = &root["signed"]["keys"][id.to_string()];
    assert_eq!(root["signed"]["spec_version"], "1.0.0");
    assert_eq!(root["signed"]["consistent_snapshot"], true);
    assert_eq!(root["signed"]["roles"]["root"], json!({"keyids": [id], "threshold": 1}));
    assert_eq!((&key["keytype"], &key["scheme"]), (&json!("ecdsa"), &json!("ecdsa-sha2-nistp256")));
    assert_eq!(key.as_object().unwrap().len(), 3);
    assert!(key["keyval"]["public"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    let targets: Value = serde_json::from_slice(&fixture.bytes("1.targets.json")).unwrap();
    let ctfe = &targets["signed"]["targets"]["ctfe.pub"];
    assert_eq!(ctfe["custom"], json!({"sigstore": {"usage": "CTFE", "status": "Active", "uri": "https://ctlog.example"}}));
    assert_eq!(ctfe["hashes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["sha256"]);
    let timestamp: Value = serde_json::from_slice(&fixture.bytes("timestamp.json")).unwrap();
    let snapshot = fixture.bytes("1.snapshot.json");
    let info = json!({"version": 1, "length": snapshot.len(), "hashes": {"sha256": Digest::of(&snapshot)}});
    assert_eq!(timestamp["signed"]["meta"], json!({"snapshot.json": info}));
}

#[tokio::test]
async fn a_fraction_in_expires_is_refused() {
    for expires in ["2027-11-21T09:14:03.000Z", "2027-11-21T09:14:03+00:00", "2027-11-21 09:14:03Z", "2027-11-21T09:14:03z"] {
        assert!(is_shape(&with_targets(|signed| signed["expires"] = json!(expires)).await), "{expires}");
    }
}

#[tokio::test]
async fn members_that_some_client_does_not_know_are_refused() {
    assert!(is_shape(&with_targets(|signed| signed["x-extra"] = json!(1)).await));
    assert!(is_shape(&with_targets(|signed| signed["delegations"] = json!({"keys": {}, "roles": []})).await));
    assert!(is_shape(&with_root(|signed| signed["roles"]["mirrors"] = json!({"keyids": [], "threshold": 1})).await));
    let second_digest = |signed: &mut Value| signed["targets"]["ctfe.pub"]["hashes"]["sha512"] = json!("00".repeat(64));
    assert!(is_shape(&with_targets(second_digest).await));
    for spec in ["1.0", "2.0.0", "1.0.31"] {
        assert!(is_shape(&with_targets(|signed| signed["spec_version"] = json!(spec)).await), "{spec}");
    }
    for version in [json!(0), json!(-1), json!("1"), json!(2_147_483_648_u32), Value::Null] {
        assert!(is_shape(&with_targets(|signed| signed["version"] = version.clone()).await), "{version}");
    }
}

#[tokio::test]
async fn text_that_tough_would_normalise_is_refused() {
    let fixture = Fixture::created().await;
    let mut envelope: Value = serde_json::from_slice(&fixture.bytes("1.targets.json")).unwrap();
    envelope["signed"]["targets"]["ctfe.pub"]["custom"]["sigstore"]["uri"] = json!("https://caf\u{e9}.example");
    fixture.overwrite("1.targets.json", envelope.to_string());
    fixture.describe_again().await;
    let invalid = fixture.read().unwrap_err();
    let expected =
        matches!(invalid, Invalid::Envelope { source: EnvelopeError::Canonical(NotCanonical::NotAscii('\u{e9}')), .. });
    assert!(expected, "{invalid:?}");
}

#[tokio::test]
async fn a_snapshot_without_its_entry_is_refused() {
    let fixture = Fixture::created().await;
    fixture.edit("1.snapshot.json", &[&*fixture.snapshot], |signed| signed["meta"] = json!({})).await;
    let snapshot = fixture.bytes("1.snapshot.json");
    fixture
        .edit("timestamp.json", &[&*fixture.timestamp], |signed| {
            signed["meta"]["snapshot.json"] =
                json!({"version": 1, "length": snapshot.len(), "hashes": {"sha256": Digest::of(&snapshot)}});
        })
        .await;
    assert!(is_shape(&fixture.read().unwrap_err()));
}

#[tokio::test]
async fn a_document_of_another_role_is_refused() {
    let fixture = Fixture::created().await;
    fixture.edit("timestamp.json", &[&*fixture.timestamp], |signed| signed["_type"] = json!("snapshot")).await;
    let refused = fixture.read().unwrap_err();
    let expected = matches!(
        refused,
        Invalid::Envelope { source: EnvelopeError::Role { found: Role::Snapshot, expected: Role::Timestamp }, .. }
    );
    assert!(expected, "{refused:?}");
}

#[tokio::test]
async fn keys_are_named_by_their_digest() {
    let rename = |signed: &mut Value| {
        let keys = signed["keys"].as_object_mut().unwrap();
        let (_, key) = keys.pop_first_for_test();
        keys.insert("00".repeat(32), key);
    };
    let refused = with_root(rename).await;
    assert!(matches!(refused, Invalid::Root { rule: RootRule::KeyId(..), .. }), "{refused:?}");
    let extra = |signed: &mut Value| {
        for key in signed["keys"].as_object_mut().unwrap().values_mut() {
            key["x-tuf-on-ci-keyowner"] = json!("@someone");
        }
    };
    assert!(is_shape(&with_root(extra).await));
    let other_kind = |signed: &mut Value| {
        for key in signed["keys"].as_object_mut().unwrap().values_mut() {
            key["keytype"] = json!("ed25519");
        }
    };
    assert!(is_shape(&with_root(other_kind).await));
}

/// `serde_json::Map` has no `pop_first`.
trait PopFirst {
    fn pop_first_for_test(&mut self) -> (String, Value);
}

impl PopFirst for serde_json::Map<String, Value> {
    fn pop_first_for_test(&mut self) -> (String, Value) {
        let name = self.keys().next().unwrap().clone();
        let value = self.remove(&name).unwrap();
        (name, value)
    }
}

#[tokio::test]
async fn roots_must_be_usable_by_every_client() {
    let refused = with_root(|signed| signed["consistent_snapshot"] = json!(false)).await;
    assert!(matches!(refused, Invalid::Root { rule: RootRule::ConsistentSnapshot, .. }), "{refused:?}");
    let refused = with_root(|signed| signed["roles"]["targets"]["keyids"] = json!(["00".repeat(32)])).await;
    assert!(matches!(refused, Invalid::Root { rule: RootRule::KeyMissing(Role::Targets, _), .. }), "{refused:?}");
    let refused = with_root(|signed| signed["roles"]["timestamp"]["threshold"] = json!(2)).await;
    assert!(matches!(refused, Invalid::Root { rule: RootRule::Threshold(Role::Timestamp), .. }), "{refused:?}");
    assert!(is_shape(&with_root(|signed| signed["roles"]["timestamp"]["threshold"] = json!(0)).await));
    let twice = |signed: &mut Value| {
        let id = signed["roles"]["timestamp"]["keyids"][0].clone();
        signed["roles"]["timestamp"]["keyids"] = json!([id, id]);
    };
    let refused = with_root(twice).await;
    assert!(matches!(refused, Invalid::Root { rule: RootRule::KeyRepeated(Role::Timestamp, _), .. }), "{refused:?}");
    let refused = with_root(|signed| signed["version"] = json!(2)).await;
    assert!(matches!(refused, Invalid::Version { .. }), "{refused:?}");
    let foreign = |signed: &mut Value| {
        let pem = include_str!("../../../../shared/bundle/testdata/rekor-ed25519.pub");
        let key = json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": pem}});
        let id = Digest::of(&metadata::canonical(&key).unwrap());
        signed["keys"].as_object_mut().unwrap().insert(id.to_string(), key);
    };
    let refused = with_root(foreign).await;
    assert!(matches!(refused, Invalid::Root { rule: RootRule::Key(_), .. }), "{refused:?}");
}

#[tokio::test]
async fn a_new_root_needs_the_old_key_and_its_own() {
    let fixture = Fixture::created().await;
    let newcomer = keys::FileKey::generate(pki::KeyKind::P256).unwrap();
    let (old, new): (&dyn keys::Signer, &dyn keys::Signer) = (&fixture.root, &newcomer);
    let key = Key::new(new.public_key()).unwrap();
    let mut envelope: Value = serde_json::from_slice(&fixture.bytes("1.root.json")).unwrap();
    let signed = &mut envelope["signed"];
    signed["version"] = json!(2);
    signed["keys"].as_object_mut().unwrap().insert(key.id().to_string(), json!(key));
    signed["roles"]["root"]["keyids"] = json!([key.id()]);
    let signed = signed.clone();

    for (signers, accepted) in [(vec![new], false), (vec![old], false), (vec![old, new], true), (vec![new, old], true)] {
        fixture.overwrite("2.root.json", sign_value(signed.clone(), &signers).await);
        assert_eq!(fixture.read().is_ok(), accepted, "{} signers", signers.len());
    }
    // From version 1 to 3: the file is not even asked for.
    let mut third = signed.clone();
    third["version"] = json!(3);
    fixture.remove("2.root.json");
    fixture.overwrite("3.root.json", sign_value(third.clone(), &[old, new]).await);
    assert_eq!(fixture.read().unwrap().version(Role::Root), 1);
    // And under the name of the next it has the wrong version.
    fixture.overwrite("2.root.json", sign_value(third, &[old, new]).await);
    assert!(matches!(fixture.read().unwrap_err(), Invalid::Version { .. }));
}

#[tokio::test]
async fn a_root_that_vanished_strands_clients_and_is_noticed() {
    let fixture = Fixture::created().await;
    let renewed = std::sync::Arc::new(keys::FileKey::generate(pki::KeyKind::P256).unwrap());
    let key = Key::new(keys::Signer::public_key(&*renewed)).unwrap();
    for version in [2, 3] {
        let mut envelope: Value = serde_json::from_slice(&fixture.bytes("1.root.json")).unwrap();
        let signed = &mut envelope["signed"];
        signed["version"] = json!(version);
        if version == 3 {
            signed["keys"].as_object_mut().unwrap().insert(key.id().to_string(), json!(key));
            signed["roles"]["timestamp"]["keyids"] = json!([key.id()]);
        }
        fixture.overwrite(&format!("{version}.root.json"), sign_value(signed.take(), &[&fixture.root]).await);
    }
    fixture.edit("timestamp.json", &[&*renewed], |_| {}).await;
    assert_eq!(fixture.versions(), [3, 1, 1, 1]);
    fixture.remove("2.root.json");
    let refused = fixture.read().unwrap_err();
    assert!(
        matches!(refused, Invalid::Envelope { name: FileName::Timestamp, source: EnvelopeError::Threshold { .. } }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn one_signer_counts_once() {
    let fixture = Fixture::created().await;
    let two: &[&dyn keys::Signer] = &[&*fixture.timestamp, &*fixture.timestamp];
    fixture.edit("timestamp.json", two, |_| {}).await;
    let refused = fixture.read().unwrap_err();
    assert!(matches!(refused, Invalid::Envelope { source: EnvelopeError::Repeated(_), .. }), "{refused:?}");
    // Strangers neither help nor harm.
    fixture.edit("timestamp.json", &[&fixture.root, &*fixture.timestamp], |_| {}).await;
    fixture.read().unwrap();
    fixture.edit("timestamp.json", &[&fixture.root, &fixture.targets], |_| {}).await;
    let refused = fixture.read().unwrap_err();
    let expected = matches!(refused, Invalid::Envelope { source: EnvelopeError::Threshold { good: 0, needed: 1 }, .. });
    assert!(expected, "{refused:?}");
}

#[tokio::test]
async fn a_flipped_bit_in_any_byte_is_noticed() {
    let fixture = Fixture::created().await;
    for name in ["1.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json"] {
        let good = fixture.bytes(name);
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            let directory = fixture.directory();
            let mut files = Staged::over(&directory);
            files.add(FileName::parse(name).unwrap(), bad);
            assert!(Repository::read(&files).is_err(), "{name}: byte {position}");
        }
    }
}

#[tokio::test]
async fn targets_must_be_there_whole_and_current() {
    let fixture = Fixture::created().await;
    fixture.publish(&[note("old")]).await.unwrap();
    fixture.publish(&[note("new")]).await.unwrap();
    let (old, new) = (format!("targets/{}.note.txt", Digest::of(b"old")), format!("targets/{}.note.txt", Digest::of(b"new")));
    fixture.read().unwrap();
    for (bytes, case) in [("old", "older content"), ("newer", "wrong length"), ("nev", "wrong digest"), ("", "empty")] {
        fixture.overwrite(&new, bytes);
        assert!(matches!(fixture.read().unwrap_err(), Invalid::Bytes { .. }), "{case}");
    }
    fixture.remove(&new);
    assert!(matches!(fixture.read().unwrap_err(), Invalid::Missing(FileName::Target(..))));
    fixture.overwrite(&new, "new");
    // What is not listed any more is not looked at.
    fixture.remove(&old);
    fixture.read().unwrap();
}

#[tokio::test]
async fn files_must_exist_in_the_version_that_is_named() {
    for name in ["1.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json"] {
        let fixture = Fixture::created().await;
        fixture.remove(name);
        assert!(matches!(fixture.read().unwrap_err(), Invalid::Missing(_)), "{name}");
    }
    let fixture = Fixture::created().await;
    fixture.publish(&[]).await.unwrap();
    let old = fixture.bytes("1.snapshot.json");
    fixture.overwrite("2.snapshot.json", old);
    assert!(matches!(fixture.read().unwrap_err(), Invalid::Bytes { name: FileName::Snapshot(_), .. }));
    let refused = with_targets(|signed| signed["version"] = json!(7)).await;
    assert!(matches!(refused, Invalid::Version { name: FileName::Targets(_), .. }), "{refused:?}");
}

#[tokio::test]
async fn what_is_longer_than_clients_read_is_refused() {
    let fixture = Fixture::created().await;
    let mut long = fixture.bytes("timestamp.json");
    long.resize(16_385, b' ');
    fixture.overwrite("timestamp.json", &long);
    assert!(matches!(fixture.read().unwrap_err(), Invalid::TooLong { name: FileName::Timestamp }));
    long.truncate(16_384);
    fixture.overwrite("timestamp.json", &long);
    fixture.read().unwrap();
}

#[tokio::test]
async fn no_more_roots_than_a_client_walks() {
    let fixture = Fixture::created().await;
    let mut envelope: Value = serde_json::from_slice(&fixture.bytes("1.root.json")).unwrap();
    for version in 2..=257 {
        envelope["signed"]["version"] = json!(version);
        fixture.overwrite(&format!("{version}.root.json"), sign_value(envelope["signed"].clone(), &[&fixture.root]).await);
    }
    assert!(matches!(fixture.read().unwrap_err(), Invalid::TooManyRoots));
    fixture.remove("257.root.json");
    assert_eq!(fixture.read().unwrap().version(Role::Root), 256);
}

#[tokio::test]
async fn metadata_expires_to_the_second() {
    let fixture = Fixture::created().await;
    let repository = fixture.read().unwrap();
    for role in Role::ALL {
        let end = repository.expires(role).moment();
        let just_before = end - jiff::SignedDuration::from_millis(1);
        repository.check_fresh(&[role], just_before).unwrap();
        let refused = repository.check_fresh(&[role], end).unwrap_err();
        assert!(matches!(refused, Invalid::Expired { role: expired, .. } if expired == role));
    }
}

mod damage {
    use proptest::prelude::*;

    use crate::metadata::{Envelope, Root, Snapshot, Targets, Timestamp};

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in r#"\{"signatures":\[[{}a-z0-9":,]{0,40}\],"signed":\{("_type":"(root|targets)",)?[{}\[\]a-z0-9":,]{0,80}\}\}"#) {
            for input in [bytes.as_slice(), text.as_bytes()] {
                let _ = Envelope::<Root>::parse(input);
                let _ = Envelope::<Targets>::parse(input);
                let _ = Envelope::<Snapshot>::parse(input);
                let _ = Envelope::<Timestamp>::parse(input);
            }
        }
    }
}
