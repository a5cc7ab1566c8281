//! What released clients accept, this accepts.

use pki::HashAlgorithm;
use serde_json::{Value, json};
use verify::{Artifact, ArtifactDigest, IdentityPolicy, Matcher, Policy, SignerReport, TimeSource, Verified};

use crate::world::{
    ARTIFACT, IDENTITY, ISSUER, Key, Leaf, Logged, Order, PREDICATE, Signer, V01, V02, V03, What, World, at, policy, statement,
    verifier,
};

fn accept(world: &World, bundle: &Value, policy: &Policy) -> Verified {
    let verify = |artifact: Artifact<'_>| {
        let verdict = verifier(world).verify(bundle.to_string().as_bytes(), artifact, policy);
        verdict.unwrap_or_else(|error| panic!("{error} {:?}\n{bundle:#}", std::error::Error::source(&error)))
    };
    verify(Artifact::Reader(&mut &*ARTIFACT));
    verify(Artifact::Bytes(ARTIFACT))
}

fn digest(algorithm: HashAlgorithm) -> Artifact<'static> {
    Artifact::Digest(ArtifactDigest::new(algorithm, algorithm.digest(ARTIFACT)).unwrap())
}

#[test]
fn a_blob_in_rekor_v2() {
    let world = World::new();
    let verified = accept(&world, &world.sign(&Order::default()), &policy());
    let SignerReport::Identity { identity, identity_kind, issuer, .. } = &verified.signer else { panic!("{verified:?}") };
    assert_eq!((identity.as_str(), *identity_kind, issuer.as_deref()), (IDENTITY, "uri", Some(ISSUER)));
    assert_eq!(verified.times.len(), 1);
    assert_eq!((verified.times[0].time, verified.times[0].source), (at(1), TimeSource::TimestampAuthority));
    assert_eq!(verified.times[0].by, "https://tsa.example");
    let entry = &verified.log_entries[0];
    assert_eq!((entry.index, entry.kind.as_str(), entry.included), (2, "hashedrekord 0.0.2", true));
    assert!(verified.statement.is_none());
    let document = serde_json::to_value(&verified).unwrap();
    assert_eq!(document["signer"]["kind"], "identity");
    assert_eq!(document["times"][0]["source"], "timestamp_authority");
    assert_eq!(document["times"][0]["time"], "2025-06-01T12:00:01Z");
    assert!(document.get("certificate").is_none());
}

#[test]
fn by_digest_alone() {
    let world = World::new();
    for order in [Order::default(), Order::attestation(), Order::v1()] {
        let bundle = world.sign(&order).to_string();
        verifier(&world).verify(bundle.as_bytes(), digest(HashAlgorithm::Sha256), &policy()).unwrap();
    }
}

#[test]
fn an_attestation_in_both_logs() {
    let world = World::new();
    let v1 = Order { what: Order::attestation().what, ..Order::v1() };
    for order in [Order::attestation(), v1] {
        let verified = accept(&world, &world.sign(&order), &policy().with_predicate_type(PREDICATE));
        let statement = verified.statement.unwrap();
        assert_eq!(
            (statement.predicate_type.as_str(), statement.subjects),
            (PREDICATE, vec!["other".to_owned(), "app".to_owned()])
        );
    }
    let mut old = statement();
    old["_type"] = json!("https://in-toto.io/Statement/v0.1");
    let what = What::Envelope { payload_type: "application/vnd.in-toto+json", statement: old };
    accept(&world, &world.sign(&Order { what, ..Order::default() }), &policy());
}

#[test]
fn every_version_with_a_v1_log() {
    let world = World::new();
    for (media_type, promise, proof, stamped) in [
        (V01, true, false, None),
        (V01, true, true, None),
        (V02, true, true, None),
        (V02, false, true, Some(1)),
        (V03, true, true, None),
        (V03, true, true, Some(1)),
        ("application/vnd.dev.sigstore.bundle+json;version=0.3", false, true, Some(1)),
    ] {
        let media = if media_type.ends_with("0.3") { V03 } else { media_type };
        let order = Order { media_type: media, logged: Logged::V1 { promise, proof }, stamped, ..Order::default() };
        let mut bundle = world.sign(&order);
        bundle["mediaType"] = json!(media_type);
        let verified = accept(&world, &bundle, &policy());
        assert_eq!(verified.times.len(), usize::from(promise) + usize::from(stamped.is_some()), "{media_type}");
        assert_eq!(verified.log_entries[0].included, proof);
    }
}

#[test]
fn managed_keys() {
    let world = World::new();
    for key in [Key::p256(), Key::p384()] {
        let sign = |order: Order<'_>| world.sign(&Order { signer: Signer::Key(&key), ..order });
        let policy = Policy::key(key.public.clone());
        for stamped in [None, Some(1)] {
            for order in [Order::default(), Order::attestation()] {
                let verified = accept(&world, &sign(Order { stamped, ..order }), &policy);
                assert!(matches!(verified.signer, SignerReport::Key { .. }));
            }
        }
        let bundle = sign(Order::default()).to_string();
        verifier(&world).verify(bundle.as_bytes(), digest(key.public.kind().hash()), &policy).unwrap();
    }
    let key = Key::p256();
    let order = Order { signer: Signer::Key(&key), ..Order::v1() };
    accept(&world, &world.sign(&order), &Policy::key(key.public.clone()));
}

#[test]
fn usernames_in_other_names() {
    let world = World::new();
    let leaf = Leaf { name: "ann!example.org".into(), ..Leaf::default() };
    let bundle = world.sign(&Order { signer: Signer::Certified(leaf), ..Order::default() });
    let wanted = IdentityPolicy { identity: Matcher::Exact("ann!example.org".into()), issuer: Matcher::Exact(ISSUER.into()) };
    let verified = accept(&world, &bundle, &Policy::identity(wanted));
    assert!(matches!(verified.signer, SignerReport::Identity { identity_kind: "username", .. }));
}

#[test]
fn identities_by_pattern() {
    let world = World::new();
    let wanted = IdentityPolicy {
        identity: Matcher::pattern(r"https://ghe\.example/platform/.*@refs/heads/main").unwrap(),
        issuer: Matcher::pattern(r"https://ghe\.example/.*").unwrap(),
    };
    accept(&world, &world.sign(&Order::default()), &Policy::identity(wanted));
}

/// What a verifier cannot judge counts as not there, as long as something is left.
#[test]
fn evidence_of_strangers_is_passed_over() {
    let (world, stranger) = (World::new(), World::new());
    let (mut bundle, foreign) = (world.sign(&Order::default()), stranger.sign(&Order::default()));
    let material = &foreign["verificationMaterial"];
    let mut entry = material["tlogEntries"][0].clone();
    entry["logIndex"] = json!("7");
    let evidence = &mut bundle["verificationMaterial"];
    evidence["tlogEntries"].as_array_mut().unwrap().push(entry);
    let token = material["timestampVerificationData"]["rfc3161Timestamps"][0].clone();
    evidence["timestampVerificationData"]["rfc3161Timestamps"].as_array_mut().unwrap().push(token);
    let verified = accept(&world, &bundle, &policy());
    assert_eq!((verified.log_entries.len(), verified.times.len()), (1, 1));
}

#[test]
fn validities_include_their_ends() {
    let mut world = World::new();
    let bundle = world.sign(&Order::default());
    for list in ["timestampAuthorities", "certificateAuthorities"] {
        world.trusted_root[list][0]["validFor"] = json!({"start": at(1).to_string(), "end": at(1).to_string()});
    }
    accept(&world, &bundle, &policy());
    world.trusted_root["ctlogs"][0]["publicKey"]["validFor"] = json!({"start": at(-4).to_string(), "end": at(-4).to_string()});
    accept(&world, &bundle, &policy());
}

/// Who signed is proven without a name to compare; the comparison is the caller's.
#[test]
fn by_anyone_who_is_certified() {
    let world = World::new();
    let order = Order::attestation().by("https://ghe.example/other", ISSUER);
    let bundle = world.sign(&order);
    let verified = accept(&world, &bundle, &Policy::anyone());
    let wanted = IdentityPolicy { identity: Matcher::Exact(IDENTITY.into()), issuer: Matcher::Exact(ISSUER.into()) };
    assert_eq!(
        wanted.check(&verified.signer).unwrap_err().to_string(),
        format!("signed by https://ghe.example/other, expected {IDENTITY}")
    );
    let theirs = IdentityPolicy { identity: Matcher::pattern("https://ghe.example/.*").unwrap(), ..wanted };
    theirs.check(&verified.signer).unwrap();
    let payload = verified.statement.unwrap().payload;
    assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap(), statement());
}
