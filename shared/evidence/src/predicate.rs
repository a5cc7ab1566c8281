//! Predicate types: the URIs that say what kind of thing a statement states, and what people call them.

/// What `cosign sign` states: that somebody stands behind the digest.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
/// An SBOM in SPDX.
pub const SPDX: &str = "https://spdx.dev/Document";
/// An SBOM in CycloneDX.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";

/// URI, the word that `cosign attest --type` takes for it, and what people call it.
const KNOWN: [(&str, &str, &str); 8] = [
    (SPDX, "spdxjson", "SPDX SBOM"),
    (CYCLONEDX, "cyclonedx", "CycloneDX SBOM"),
    ("https://slsa.dev/provenance/v0.2", "slsaprovenance", "SLSA provenance v0.2"),
    ("https://slsa.dev/provenance/v1", "slsaprovenance1", "SLSA provenance v1"),
    ("https://cosign.sigstore.dev/attestation/vuln/v1", "vuln", "vulnerability scan"),
    ("https://openvex.dev/ns", "openvex", "OpenVEX document"),
    ("https://in-toto.io/Link/v1", "link", "in-toto link"),
    ("https://cosign.sigstore.dev/attestation/v1", "custom", "custom attestation"),
];

/// What people call it: `SPDX SBOM`; for a type that is not known, `attestation URI`.
#[must_use]
pub fn name(predicate_type: &str) -> String {
    match known(predicate_type) {
        Some((.., name)) => (*name).to_owned(),
        None => format!("attestation {predicate_type}"),
    }
}

/// What `cosign attest --type` takes: a word for what it knows, else the URI.
#[must_use]
pub fn cosign_type(predicate_type: &str) -> &str {
    known(predicate_type).map_or(predicate_type, |(_, word, _)| word)
}

fn known(predicate_type: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    KNOWN.iter().find(|(uri, ..)| *uri == predicate_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_types() {
        assert_eq!((name(SPDX).as_str(), cosign_type(SPDX)), ("SPDX SBOM", "spdxjson"));
        let other = "https://example.com/review/v1";
        assert_eq!((name(other), cosign_type(other)), (format!("attestation {other}"), other));
    }
}
