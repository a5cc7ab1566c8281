//! What a pipeline does with an image before it may be promoted: signatures and SBOMs by the released cosign.

use testkit::{Chancery, Client, Ran};

use crate::image::{Content, Image};

/// The least that is an SPDX document.
pub const SBOM: &str =
    r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"hello","packages":[{"name":"hello","SPDXID":"SPDXRef-1"}]}"#;

/// `HOST/REPOSITORY@DIGEST`.
#[must_use]
pub fn by_digest(host: &str, repository: &str, content: &Content) -> String {
    format!("{host}/{repository}@{}", content.digest)
}

/// Signs index and platforms.
///
/// # Panics
/// cosign fails.
pub fn sign(cosign: &Client, host: &str, repository: &str, image: &Image) {
    let _ = cosign.run(["sign", "--yes", "--recursive", &by_digest(host, repository, &image.root)]).ok();
}

/// Attests an SBOM of one manifest.
///
/// # Panics
/// cosign fails.
pub fn attest_sbom(cosign: &Client, host: &str, repository: &str, manifest: &Content) {
    attest(cosign, "spdxjson", SBOM, &by_digest(host, repository, manifest));
}

/// Attests a predicate of one of the kinds that cosign knows by name.
///
/// # Panics
/// cosign fails.
pub fn attest(cosign: &Client, kind: &str, predicate: &str, reference: &str) {
    cosign.file("predicate.json", predicate);
    let _ = cosign.run(["attest", "--yes", "--type", kind, "--predicate", "predicate.json", reference]).ok();
}

/// All that the lab's policy asks for: signatures and SBOMs of index and platforms.
///
/// # Panics
/// cosign fails.
pub fn sign_and_attest(cosign: &Client, host: &str, repository: &str, image: &Image) {
    sign(cosign, host, repository, image);
    image.manifests().for_each(|manifest| attest_sbom(cosign, host, repository, manifest));
}

/// `chancery promote SOURCE TARGET --dir D`.
#[must_use]
pub fn promote(lab: &Chancery, source: &str, target: &str) -> Ran {
    Chancery::run(Chancery::command().args(["promote", source, target, "--dir"]).arg(lab.dir()))
}
