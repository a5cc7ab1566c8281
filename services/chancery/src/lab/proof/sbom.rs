//! An SPDX 2.3 document about an image that was just built, and so about all that is in it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::image::{Image, Manifest, PROGRAM, Platform};

/// About the whole image: its index and the platforms that are its variants.
pub(super) fn of_index(image: &Image, now: Timestamp) -> Value {
    let mut packages = vec![package("Image", &image.index, "")];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")];
    for platform in &image.platforms {
        let name = format!("Image-{}", platform.architecture);
        packages.push(package(&name, &platform.manifest, platform.architecture));
        relationships.push(relationship(&format!("SPDXRef-{name}"), "VARIANT_OF", "SPDXRef-Image"));
    }
    document(&image.index, now, &json!({ "packages": packages, "relationships": relationships }))
}

/// About one platform: the image and the one file in it.
pub(super) fn of_platform(platform: &Platform, now: Timestamp) -> Value {
    let sha1 = |bytes: &[u8]| hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes));
    let file_sha1 = sha1(&platform.program);
    let file = json!({
        "SPDXID": "SPDXRef-File",
        "fileName": format!("./{PROGRAM}"),
        "fileTypes": ["BINARY"],
        // The specification wants a SHA-1 of every file.
        "checksums": [
            { "algorithm": "SHA1", "checksumValue": file_sha1 },
            { "algorithm": "SHA256", "checksumValue": hex::encode(digest(&SHA256, &platform.program)) },
        ],
        "licenseConcluded": "NOASSERTION",
        "licenseInfoInFiles": ["NOASSERTION"],
        "copyrightText": "NOASSERTION",
    });
    let mut package = package("Image", &platform.manifest, platform.architecture);
    package["filesAnalyzed"] = true.into();
    // Over the SHA-1 digits of every file in the package, sorted (SPDX 2.3 §7.9): here of the one.
    package["packageVerificationCode"] = json!({ "packageVerificationCodeValue": sha1(file_sha1.as_bytes()) });
    let content = json!({
        "packages": [package],
        "files": [file],
        "relationships": [
            relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"),
            relationship("SPDXRef-Image", "CONTAINS", "SPDXRef-File"),
        ],
    });
    document(&platform.manifest, now, &content)
}

fn document(about: &Manifest, now: Timestamp, content: &Value) -> Value {
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{PROGRAM}@{}", about.digest),
        // A name and no address; documents about one image at different times are different documents.
        "documentNamespace": format!("urn:chancery:lab:spdx:{}:{}", about.digest.hex(), now.as_second()),
        "creationInfo": {
            "created": format!("{now:.0}"),
            "creators": [concat!("Tool: chancery-", env!("CARGO_PKG_VERSION"))],
        },
    });
    for (name, value) in content.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    document
}

fn package(id: &str, manifest: &Manifest, architecture: &str) -> Value {
    let qualifier = if architecture.is_empty() { String::new() } else { format!("?arch={architecture}&os=linux") };
    let digest = manifest.digest.to_string();
    json!({
        "SPDXID": format!("SPDXRef-{id}"),
        "name": PROGRAM,
        "versionInfo": digest,
        "primaryPackagePurpose": "CONTAINER",
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": manifest.digest.hex() }],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": format!("pkg:oci/{PROGRAM}@{}{qualifier}", digest.replace(':', "%3A")),
        }],
    })
}

fn relationship(element: &str, kind: &str, related: &str) -> Value {
    json!({ "spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T09:14:03.7Z".parse().unwrap()
    }

    /// Every relation is between elements that are there, and every element has an identifier of its own.
    fn check(document: &Value) {
        assert_eq!(
            (document["spdxVersion"].as_str(), document["creationInfo"]["created"].as_str()),
            (Some("SPDX-2.3"), Some("2026-11-21T09:14:03Z"))
        );
        let elements = ["packages", "files"].into_iter().flat_map(|list| document[list].as_array().into_iter().flatten());
        let mut known = BTreeSet::from(["SPDXRef-DOCUMENT"]);
        for element in elements {
            assert!(known.insert(element["SPDXID"].as_str().unwrap()), "{element}");
        }
        for relationship in document["relationships"].as_array().unwrap() {
            for end in ["spdxElementId", "relatedSpdxElement"] {
                assert!(known.contains(relationship[end].as_str().unwrap()), "{relationship}");
            }
        }
    }

    #[test]
    fn it_lists_what_is_in_the_image() {
        let image = Image::saying("hello\n");
        let index = of_index(&image, now());
        check(&index);
        assert_eq!(index["packages"].as_array().unwrap().len(), 3);
        assert_eq!(index["packages"][0]["checksums"][0]["checksumValue"], image.index.digest.hex());
        for platform in &image.platforms {
            let document = of_platform(platform, now());
            check(&document);
            let program = hex::encode(digest(&SHA256, &platform.program));
            assert_eq!(document["files"][0]["checksums"][1]["checksumValue"], program);
            assert!(
                document["packages"][0]["externalRefs"][0]["referenceLocator"]
                    .as_str()
                    .unwrap()
                    .ends_with(&format!("arch={}&os=linux", platform.architecture))
            );
        }
    }
}
