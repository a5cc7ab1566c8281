use std::os::unix::fs::PermissionsExt as _;

use super::*;

const KINDS: [KeyKind; 4] = [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa { bits: 2048 }];

#[tokio::test]
async fn every_kind_signs_and_survives_its_file() {
    let directory = tempfile::tempdir().unwrap();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let path = directory.path().join(format!("{number}.pem"));
        let key = FileKey::generate(kind).unwrap();
        assert_eq!(key.public_key().kind(), kind);
        key.create_file(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let loaded = FileKey::load(&path).unwrap();
        assert_eq!(loaded.public_key(), key.public_key());
        let signature = loaded.sign(b"message").await.unwrap();
        key.public_key().verify(b"message", &signature).unwrap();
        assert!(key.public_key().verify(b"other", &signature).is_err());
    }
}

#[test]
fn a_file_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let first = FileKey::generate(KeyKind::P256).unwrap();
    first.create_file(&path).unwrap();
    let error = FileKey::generate(KeyKind::P256).unwrap().create_file(&path).unwrap_err();
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    assert_eq!(FileKey::load(&path).unwrap().public_key(), first.public_key());

    let link = directory.path().join("link.pem");
    std::os::unix::fs::symlink(directory.path().join("elsewhere.pem"), &link).unwrap();
    assert!(matches!(first.create_file(&link), Err(KeyFileError::Exists { .. })), "a dangling link is not followed");
    let nowhere = directory.path().join("no/such/directory.pem");
    assert!(matches!(first.create_file(&nowhere), Err(KeyFileError::Write { .. })));
}

#[test]
fn errors_name_the_file_and_what_was_expected_but_never_the_content() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let good = FileKey::generate(KeyKind::P256).unwrap().to_pem();
    let relabelled = |label: &str| good.replace("PRIVATE KEY", label);
    let truncated = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", &good.lines().nth(1).unwrap()[..40]);
    let cases = [
        (String::new(), ParseError::NotPem),
        ("MIGHAgEAMBMGByqGSM49".into(), ParseError::NotPem),
        (relabelled("ENCRYPTED PRIVATE KEY"), ParseError::Encrypted),
        (relabelled("EC PRIVATE KEY"), ParseError::NotPkcs8),
        (relabelled("PUBLIC KEY"), ParseError::NotPrivate),
        (truncated, ParseError::Unsupported),
    ];
    for (text, expected) in cases {
        std::fs::write(&path, &text).unwrap();
        let error = FileKey::load(&path).unwrap_err();
        let KeyFileError::Parse { source, .. } = &error else { panic!("{error}") };
        assert_eq!(*source, expected);
        let shown = format!("{error} {error:?} {source}");
        assert!(shown.contains("key.pem"), "{shown}");
        assert!(!text.lines().any(|line| line.len() > 16 && !line.starts_with('-') && shown.contains(&line[..16])), "{shown}");
    }
    assert!(matches!(FileKey::load(&directory.path().join("absent")), Err(KeyFileError::Read { .. })));
    assert!(matches!(FileKey::generate(KeyKind::P521), Err(GenerateError::Kind { .. })));
}

#[test]
fn debug_shows_the_public_half_only() {
    let key = FileKey::generate(KeyKind::Ed25519).unwrap();
    assert_eq!(format!("{key:?}"), format!("FileKey(PublicKey(Ed25519 {}))", key.public_key().short()));
}
