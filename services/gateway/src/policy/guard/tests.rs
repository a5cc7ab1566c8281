//! Every way that a client might try, against what is asked for.

use serde_json::{Value, json};

use super::*;
use crate::PolicyConfig;

fn guard() -> Guard {
    let config = json!({
        "name": "prod-images", "repositories": "prod/*", "mode": "enforce", "identities": [{"issuer": "i", "subject": "s"}],
    });
    let config: PolicyConfig = serde_json::from_value(config).unwrap();
    Guard::new(Arc::new(Policies::read(&[config], &[]).unwrap()))
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn descriptor(media_type: &str, content: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

/// A manifest with a configuration and layers of these types.
fn image(config: &str, layers: &[&str]) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST,
        "config": descriptor(config, if config == media_type::EMPTY { "{}" } else { "config" }),
        "layers": layers.iter().map(|layer| descriptor(layer, layer)).collect::<Vec<_>>(),
    })
}

fn attached(mut document: Value) -> Value {
    document["subject"] = descriptor(media_type::IMAGE_INDEX, "subject");
    document
}

fn index(members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| descriptor(media_type::IMAGE_MANIFEST, member)).collect();
    json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": members})
}

fn parse(document: &Value) -> Manifest {
    Manifest::parse(None, document.to_string().into_bytes().into()).unwrap()
}

fn push(document: &Value, tags: &[&str]) -> Result<Vec<Condition>, String> {
    let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    let pushed = guard().push(&name("prod/app"), &parse(document), &tags);
    pushed.map_err(|refused| {
        assert_eq!(refused.code(), "repository_under_policy");
        refused.to_string()
    })
}

fn signature_tag(ending: &str) -> String {
    format!("sha256-{}{ending}", digest("subject").hex())
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[test]
fn tags_are_set_by_promotion_alone() {
    for document in [image(media_type::IMAGE_CONFIG, &[LAYER]), attached(image(media_type::EMPTY, &[])), index(&["member"])] {
        let refused = push(&document, &["2.1"]).unwrap_err();
        assert_eq!(
            refused,
            "tag 2.1 may not be set directly; prod/app is under policy prod-images and takes images only by: \
             chancery promote SOURCE prod/app:2.1"
        );
        // However the tag is named, and whatever stands beside it.
        assert!(push(&document, &[&signature_tag(".sig"), "latest"]).unwrap_err().contains("may"), "{document}");
    }
    for near in ["SHA256-00", &signature_tag(".SIG"), &signature_tag(".sig.x"), &signature_tag(".rekor"), &signature_tag("-x")] {
        assert!(push(&image(media_type::IMAGE_CONFIG, &[media_type::SIMPLE_SIGNING]), &[near]).is_err(), "{near}");
    }
    let upper = signature_tag(".sig").replace("sha256", "Sha256");
    assert!(push(&image(media_type::IMAGE_CONFIG, &[media_type::SIMPLE_SIGNING]), &[&upper]).is_err());
}

#[test]
fn manifests_come_by_digest_only_if_they_are_attached_and_cannot_be_started() {
    for document in [
        image(media_type::IMAGE_CONFIG, &[LAYER]),
        image(media_type::EMPTY, &[]),
        image(media_type::EMPTY, &[media_type::SIGSTORE_BUNDLE]),
        index(&["member"]),
        index(&[]),
    ] {
        assert!(push(&document, &[]).unwrap_err().starts_with("a manifest that is attached to nothing"), "{document}");
    }
    let mut docker = image(media_type::DOCKER_CONFIG, &[DOCKER_LAYER]);
    docker["mediaType"] = json!(media_type::DOCKER_MANIFEST);
    let mut false_empty = image(media_type::EMPTY, &[LAYER]);
    false_empty["config"]["digest"] = json!(digest("a configuration under the type of nothing"));
    for document in [
        image(media_type::IMAGE_CONFIG, &[LAYER]),
        image(media_type::IMAGE_CONFIG, &[]),
        image(media_type::DOCKER_CONFIG, &[DOCKER_LAYER]),
        docker,
        image("application/vnd.example.config.v1+json", &[LAYER]),
        image("application/vnd.example.config.v1+json", &["application/octet-stream", DOCKER_LAYER]),
        image("application/vnd.wasm.config.v0+json", &["application/wasm"]),
        image("application/vnd.containerd.container.checkpoint.config.v1+proto", &["application/octet-stream"]),
        image("application/vnd.example.config.v1+json", &["application/vnd.erofs.layer.v1+zstd"]),
        image("Application/vnd.oci.image.config.v1+json", &["application/octet-stream"]),
        false_empty,
    ] {
        assert!(
            push(&attached(document.clone()), &[]).unwrap_err().starts_with("a manifest that a runtime could start"),
            "{document}"
        );
    }
    for document in [
        image(media_type::EMPTY, &[media_type::SIGSTORE_BUNDLE]),
        // What `oras attach` makes of a file.
        image(media_type::EMPTY, &["application/vnd.oci.image.layer.v1.tar"]),
        image("application/vnd.cncf.notary.signature", &["application/jose+json"]),
        image("application/vnd.dev.cosign.artifact.sig.v1+json", &[media_type::SIMPLE_SIGNING]),
        image(media_type::HELM_CONFIG, &["application/vnd.cncf.helm.chart.provenance.v1.prov"]),
        index(&[]),
    ] {
        assert_eq!(push(&attached(document.clone()), &[]), Ok(Vec::new()), "{document}");
    }
    let of = |member: &str| Condition::Attached { digest: digest(member), to: None };
    assert_eq!(push(&attached(index(&["a", "b"])), &[]), Ok(vec![of("a"), of("b")]), "an index of attached things alone");
}

#[test]
fn signature_tags_hold_what_they_are_for() {
    let config = media_type::IMAGE_CONFIG;
    let good = [
        (".sig", image(config, &[media_type::SIMPLE_SIGNING, media_type::SIMPLE_SIGNING])),
        (".att", image(config, &[media_type::DSSE_ENVELOPE])),
        (".sbom", image(config, &["text/spdx+json"])),
        ("", index(&[])),
    ];
    for (ending, document) in &good {
        let conditions = push(document, &[&signature_tag(ending)]).unwrap();
        assert_eq!(conditions, [Condition::Present(digest("subject"))], "{ending}");
    }
    let bad =
        [image(config, &[LAYER]), image(config, &[]), image(config, &[media_type::SIMPLE_SIGNING, LAYER]), index(&["member"])];
    for (at, (ending, _)) in good.iter().enumerate() {
        let others = good.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, (_, document))| document);
        for document in others.chain(&bad[..3]) {
            let refused = push(document, &[&signature_tag(ending)]).unwrap_err();
            assert!(refused.contains("and nothing else"), "{ending} {document}: {refused}");
        }
    }
    // The fallback index lists what refers to the subject itself: decided when it is written.
    let member = Condition::Attached { digest: digest("member"), to: Some(digest("subject")) };
    assert_eq!(push(&bad[3], &[&signature_tag("")]), Ok(vec![Condition::Present(digest("subject")), member]));
    assert!(push(&attached(index(&[])), &[&signature_tag("")]).is_err());
    // The tag that cosign once copied images under: the index itself.
    let own = index(&[]);
    assert!(push(&own, &[&format!("sha256-{}", parse(&own).digest().hex())]).is_err());
}

#[test]
fn deletions() {
    let (guard, prod, staging) = (guard(), name("prod/app"), name("staging/app"));
    let (tag, some) = ("2.1".parse().unwrap(), digest("x"));
    assert!(guard.delete_tag(&prod, &tag).unwrap_err().to_string().starts_with("tag 2.1 may not be deleted; prod/app"));
    assert!(guard.delete_tag(&prod, &signature_tag(".sig").parse().unwrap()).is_err());
    assert!(guard.delete_blob(&prod, &some).unwrap_err().to_string().starts_with("blob sha256:"));
    assert_eq!(guard.delete_manifest(&prod, &some), [Condition::Unreached(some.clone())]);
    let unmet = Unmet { condition: Condition::Unreached(some.clone()), tag: Some(tag.clone()) };
    let told = guard.unmet(&prod, unmet.clone()).unwrap().to_string();
    assert!(told.starts_with(&format!("tag 2.1 reaches {some}; prod/app is under policy prod-images")), "{told}");
    guard.delete_tag(&staging, &tag).unwrap();
    guard.delete_blob(&staging, &some).unwrap();
    assert!(guard.delete_manifest(&staging, &some).is_empty() && guard.unmet(&staging, unmet).is_none());
}

#[test]
fn elsewhere_everything_may_be_written() {
    let guard = guard();
    for free in ["staging/app", "prod", "products/app"] {
        let image = parse(&image(media_type::IMAGE_CONFIG, &[LAYER]));
        assert_eq!(guard.push(&name(free), &image, &["1".parse().unwrap()]), Ok(Vec::new()), "{free}");
    }
}
