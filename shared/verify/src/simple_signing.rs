//! The document that is signed in the place of an image (containers/image, "atomic container signature"), as cosign writes it.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::artifact::ArtifactDigest;
use crate::refusal::{Refusal, shown};

/// What cosign calls it. A document of another type means something else by the same members.
const TYPE: &str = "cosign container image signature";

/// Whether `document`, whose signature was verified, is about `image`.
///
/// The format says that whoever does not know a member of `critical` must refuse the document. One that has a member twice is no
/// document: readers differ in which of the two they take.
pub(crate) fn check(document: &[u8], image: &ArtifactDigest) -> Result<(), Refusal> {
    let document = str::from_utf8(document).map_err(|error| Refusal::SimpleSigning(error.into()))?;
    let Document { critical, .. } = serde_json::from_str(document).map_err(|error| Refusal::SimpleSigning(error.into()))?;
    if critical.kind != TYPE {
        return Err(Refusal::SimpleSigningType { found: shown(&critical.kind) });
    }
    let (found, expected) = (critical.image.docker_manifest_digest, image.to_string());
    if found == expected { Ok(()) } else { Err(Refusal::SignedImage { found: shown(&found), expected }) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    critical: Critical,
    #[serde(rename = "optional")]
    _optional: Option<IgnoredAny>,
}

/// Under which name the image was signed is not compared: what was promoted has another one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "identity")]
    _identity: IgnoredAny,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn image() -> ArtifactDigest {
        format!("sha256:{}", "ab".repeat(32)).parse().unwrap()
    }

    fn document() -> Value {
        json!({
            "critical": {
                "identity": {"docker-reference": "registry.example/app"},
                "image": {"docker-manifest-digest": image().to_string()},
                "type": TYPE,
            },
            "optional": {"key": "value"},
        })
    }

    #[test]
    fn documents() {
        let with = |pointer: &str, value: Value| {
            let mut document = document();
            *document.pointer_mut(pointer).unwrap() = value;
            document.to_string()
        };
        let critical = |more: &str| document().to_string().replacen(r#""critical":{"#, &format!(r#""critical":{{{more},"#), 1);
        for good in [document().to_string(), with("/optional", Value::Null), with("/critical/identity", json!({}))] {
            assert!(check(good.as_bytes(), &image()).is_ok(), "{good}");
        }
        let another = format!("sha256:{}", "cd".repeat(32));
        for (text, code) in [
            (with("/critical/image/docker-manifest-digest", json!(another)), "artifact_mismatch"),
            (with("/critical/image/docker-manifest-digest", json!("")), "artifact_mismatch"),
            (with("/critical/image/docker-manifest-digest", json!(image().to_string().to_uppercase())), "artifact_mismatch"),
            (with("/critical/type", json!("atomic container signature")), "simple_signing"),
            (with("/critical/image", json!({})), "simple_signing"),
            (with("/critical", json!({"image": {"docker-manifest-digest": image().to_string()}})), "simple_signing"),
            (critical(&format!(r#""type":"{TYPE}""#)), "simple_signing"),
            (critical(&format!(r#""image":{{"docker-manifest-digest":"{another}"}}"#)), "simple_signing"),
            (critical(r#""only-until":1"#), "simple_signing"),
            (document().to_string().replacen('{', r#"{"more":1,"#, 1), "simple_signing"),
            (format!("{}{}", document(), document()), "simple_signing"),
            (String::new(), "simple_signing"),
        ] {
            assert_eq!(check(text.as_bytes(), &image()).unwrap_err().code(), code, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>, at in any::<prop::sample::Index>(), byte: u8) {
            prop_assert!(check(&bytes, &image()).is_err());
            // A changed document is about this image only if it says so.
            let mut changed = document().to_string().into_bytes();
            let at = at.index(changed.len());
            changed[at] = byte;
            if check(&changed, &image()).is_ok() {
                let said: Value = serde_json::from_slice(&changed).unwrap();
                prop_assert_eq!(&said["critical"]["image"], &document()["critical"]["image"]);
            }
        }
    }
}
