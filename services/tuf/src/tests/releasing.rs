//! Creating, publishing, and what is refused before anything is visible.

use bundle::TrustedRoot;
use chassis::Explain as _;
use keys::{FileKey, SignError, Signer};
use pki::KeyKind;

use super::fixture::{Fixture, note, targets};
use crate::*;

#[tokio::test]
async fn targets_are_added_and_replaced_and_nothing_else_changes() {
    let fixture = Fixture::created().await;
    let before = fixture.bytes("1.root.json");
    let published = fixture.publish(&[note("one")]).await.unwrap();
    assert_eq!(fixture.versions(), [1, 2, 2, 2]);
    assert_eq!(published.root_json, before);
    fixture.publish(&[note("two")]).await.unwrap();
    let repository = fixture.read().unwrap();
    let listed: Vec<_> = repository.targets.targets.keys().map(TargetName::as_str).collect();
    assert_eq!(listed, ["ctfe.pub", "fulcio_v1.crt.pem", "note.txt", "signing_config.v0.2.json", "trusted_root.json"]);
    assert_eq!(fixture.bytes(&format!("targets/{}.note.txt", Digest::of(b"two"))), b"two");
    assert_eq!(fixture.bytes(&format!("targets/{}.note.txt", Digest::of(b"one"))), b"one", "clients may be half way");
    assert_eq!(fixture.bytes("1.root.json"), before);
}

#[tokio::test]
async fn everything_is_renewed_by_the_offline_keys() {
    let fixture = Fixture::created().await;
    fixture.wait("300d");
    assert!(fixture.publish(&[]).await.is_ok());
    fixture.wait("70d");
    let refused = fixture.publish(&[]).await.unwrap_err();
    assert_eq!(refused.code(), "tuf_unpublishable");
    assert!(refused.details()[0].contains("the root metadata expired at 2027-11-21T09:14:03Z"), "{refused:?}");
    renew(&fixture.place, &fixture.keys(), &fixture.lifetimes, &*fixture.clock).await.unwrap();
    let repository = fixture.read().unwrap();
    repository.check_fresh(&Role::ALL, fixture.now()).unwrap();
    assert_eq!(repository.version(Role::Root), 2);
    assert_eq!(fixture.bytes("root.json"), fixture.bytes("2.root.json"));
    assert_eq!(repository.targets.targets.len(), targets().len());
}

#[tokio::test]
async fn a_repository_is_created_once() {
    let fixture = Fixture::created().await;
    let before = fixture.bytes("timestamp.json");
    assert_eq!(fixture.create(&targets()).await.unwrap_err().code(), "tuf_exists");
    std::fs::remove_dir_all(&fixture.place.directory).unwrap();
    let refused = fixture.create(&targets()).await.unwrap_err();
    assert_eq!(refused.code(), "tuf_exists", "the record of versions is still there");
    std::fs::remove_file(&fixture.place.state).unwrap();
    fixture.create(&targets()).await.unwrap();
    assert_ne!(fixture.bytes("timestamp.json"), before);
}

#[tokio::test]
async fn targets_that_break_a_client_are_refused_before_anything_is_signed() {
    let bad_root = {
        let text = String::from_utf8(targets()[0].bytes().to_vec()).unwrap();
        let named = |name: &str, text: String| Target::other(name.parse().unwrap(), text.into_bytes());
        [
            named("trusted_root.json", text.replace("version=0.1", "version=0.2")),
            named("trusted_root.json", text.replace("SHA2_256", "SHA2_512")),
            named("trusted_root.json", "{}".into()),
            named("signing_config.v0.2.json", "{}".into()),
            named("signing_config_rekor_v2.v0.2.json", "{}".into()),
            named("fulcio_v1.crt.pem", "not PEM".into()),
            named("rekor.pub", include_str!("../../../../shared/bundle/testdata/fulcio-root.pem").into()),
            named("big.bin", "x".repeat(5_000_001)),
        ]
    };
    let fixture = Fixture::created().await;
    let before = fixture.backup();
    for target in bad_root {
        let name = target.name().clone();
        let refused = fixture.publish(&[note("fine"), target]).await.unwrap_err();
        assert_eq!(refused.code(), "tuf_target_refused", "{name}");
        assert!(refused.details()[0].contains(name.as_str()), "{refused:?}");
    }
    let twice = fixture.publish(&[note("a"), note("b")]).await.unwrap_err();
    assert!(matches!(twice, TufError::Target(TargetError::Repeated(_))));
    assert_eq!(fixture.backup(), before);
}

#[tokio::test]
async fn a_new_repository_needs_what_every_client_looks_for() {
    let without = |name: &str| targets().into_iter().filter(|target| target.name().as_str() != name).collect::<Vec<_>>();
    let fixture = Fixture::empty();
    let refused = fixture.create(&without(TRUSTED_ROOT)).await.unwrap_err();
    assert!(matches!(refused, TufError::Target(TargetError::NoTrustedRoot)));
    let refused = fixture.create(&without(SIGNING_CONFIG)).await.unwrap_err();
    assert!(matches!(refused, TufError::Target(TargetError::NoSigningConfig)));
    assert!(!fixture.place.directory.exists() && !fixture.place.state.exists());
}

#[tokio::test]
async fn each_role_has_a_key_of_its_own() {
    let fixture = Fixture::empty();
    let keys = CreationKeys { snapshot: &fixture.root, ..fixture.keys() };
    let refused = create_repository(&fixture.place, &keys, &targets(), &fixture.lifetimes, &*fixture.clock).await.unwrap_err();
    assert!(matches!(refused, TufError::KeyShared(Role::Root, Role::Snapshot)), "{refused:?}");
}

#[tokio::test]
async fn only_keys_that_the_root_names_sign() {
    let fixture = Fixture::created().await;
    let before = fixture.backup();
    let stranger = FileKey::generate(KeyKind::P256).unwrap();
    let keys = TargetsKeys { targets: &stranger, snapshot: &*fixture.snapshot, timestamp: &*fixture.timestamp };
    let refused = publish_targets(&fixture.place, &keys, &[], &fixture.lifetimes, &*fixture.clock).await.unwrap_err();
    assert_eq!(refused.code(), "tuf_key_mismatch");
    let expected = format!(
        "the TUF targets key is {}, but the root names {}",
        stranger.public_key().short(),
        fixture.targets.public_key().short()
    );
    assert_eq!(refused.to_string(), expected);
    assert_eq!(fixture.backup(), before);
}

/// A key that stopped working: a token that was pulled, a KMS that is away.
#[derive(Debug)]
struct Broken(FileKey);

#[async_trait::async_trait]
impl Signer for Broken {
    fn public_key(&self) -> &pki::PublicKey {
        self.0.public_key()
    }

    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError { fingerprint: self.public_key().short(), source: "the token was pulled".into() })
    }
}

#[tokio::test]
async fn a_key_that_fails_changes_nothing_that_clients_see() {
    let mut fixture = Fixture::created().await;
    let before = fixture.backup();
    let timestamp = std::sync::Arc::get_mut(&mut fixture.timestamp).unwrap();
    let working = std::mem::replace(timestamp, FileKey::generate(KeyKind::P256).unwrap());
    let broken = Broken(working);
    let keys = TargetsKeys { targets: &fixture.targets, snapshot: &*fixture.snapshot, timestamp: &broken };
    let refused = publish_targets(&fixture.place, &keys, &[note("x")], &fixture.lifetimes, &*fixture.clock).await.unwrap_err();
    assert_eq!(refused.code(), "tuf_signing");
    assert!(refused.details().join(" ").contains("the token was pulled"));
    assert_eq!(fixture.backup().files(), before.files());
    // The versions it had taken are not used again.
    let keys = TargetsKeys { timestamp: &broken.0, ..keys };
    publish_targets(&fixture.place, &keys, &[note("x")], &fixture.lifetimes, &*fixture.clock).await.unwrap();
    assert_eq!(fixture.versions(), [1, 3, 3, 3]);
}

#[tokio::test]
async fn nothing_is_built_on_a_damaged_repository() {
    let fixture = Fixture::created().await;
    fixture.edit("timestamp.json", &[&fixture.root], |_| {}).await;
    assert_eq!(fixture.publish(&[]).await.unwrap_err().code(), "tuf_damaged");
}

#[tokio::test]
async fn nothing_is_signed_without_the_record_of_versions() {
    let fixture = Fixture::created().await;
    std::fs::remove_file(&fixture.place.state).unwrap();
    assert_eq!(fixture.publish(&[]).await.unwrap_err().code(), "tuf_marks_missing");
    std::fs::write(&fixture.place.state, "{").unwrap();
    assert_eq!(fixture.publish(&[]).await.unwrap_err().code(), "tuf_marks_unreadable");
}

#[tokio::test]
async fn a_restored_directory_gets_versions_above_the_lost_ones() {
    let fixture = Fixture::created().await;
    let yesterday = fixture.backup();
    fixture.publish(&[note("lost")]).await.unwrap();
    fixture.publish(&[note("lost too")]).await.unwrap();
    assert_eq!(fixture.versions(), [1, 3, 3, 3]);
    fixture.restore(&yesterday);
    assert_eq!(fixture.versions(), [1, 1, 1, 1]);
    fixture.publish(&[note("again")]).await.unwrap();
    assert_eq!(fixture.versions(), [1, 4, 4, 4]);
}

#[tokio::test]
async fn a_restored_root_is_never_signed_over() {
    let fixture = Fixture::created().await;
    let yesterday = fixture.backup();
    renew(&fixture.place, &fixture.keys(), &fixture.lifetimes, &*fixture.clock).await.unwrap();
    fixture.restore(&yesterday);
    let refused = fixture.publish(&[]).await.unwrap_err();
    assert!(matches!(refused, TufError::RolledBack { role: Role::Root, found: 1, published: 2 }), "{refused:?}");
    let refused = renew(&fixture.place, &fixture.keys(), &fixture.lifetimes, &*fixture.clock).await.unwrap_err();
    assert_eq!(refused.code(), "tuf_rolled_back", "two different second roots would split the clients");
}

#[tokio::test]
async fn even_when_everything_was_restored_versions_rise() {
    let fixture = Fixture::created().await;
    let yesterday = fixture.backup();
    fixture.wait("1d");
    fixture.publish(&[note("lost")]).await.unwrap();
    let lost = fixture.versions();
    assert_eq!(lost, [1, 1441, 1441, 1441]);
    fixture.restore(&yesterday);
    fixture.restore_state(&yesterday);
    fixture.wait("1m");
    fixture.publish(&[]).await.unwrap();
    assert!(fixture.versions().iter().zip(lost).skip(1).all(|(now, lost)| *now > lost), "{:?}", fixture.versions());
}

#[tokio::test]
async fn refusals_have_three_parts_and_a_code() {
    let fixture = Fixture::created().await;
    let text = String::from_utf8(targets()[0].bytes().to_vec()).unwrap().replace("SHA2_256", "SHA2_512");
    TrustedRoot::from_json(text.as_bytes()).unwrap();
    let refused = fixture.publish(&[Target::other(TRUSTED_ROOT.parse().unwrap(), text.into_bytes())]).await.unwrap_err();
    assert_eq!(
        chassis::report::render(&refused),
        "error: a target of the trust root must not be published\n  trusted_root.json is not accepted\n  \
         the trusted root must not be published: tlogs[0].hashAlgorithm is SHA2_512; every client knows SHA2_256 only\n  \
         Correct the document; nothing was signed.\n  [tuf_target_refused]"
    );
}
