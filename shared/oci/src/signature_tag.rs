//! Tags that name a digest: the fallback of the referrers API, and cosign's signatures from before it.

use crate::digest::{Algorithm, Digest};
use crate::tag::Tag;

/// The tag under which registries without the referrers API keep the referrers of `subject` (distribution-spec, "Referrers Tag
/// Schema"): the algorithm, a dash, and the first 64 digits.
#[must_use]
pub fn fallback_tag(subject: &Digest) -> Tag {
    let encoded = &subject.hex()[..64];
    format!("{}-{encoded}", subject.algorithm().name()).parse().expect("letters, digits and a dash, at most 71 of them")
}

/// A tag `sha256-<64 hexadecimal digits>[.sig|.att|.sbom]`: something attached to one digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignatureTag {
    /// What it is attached to.
    pub subject: Digest,
    /// What it is.
    pub kind: SignatureKind,
}

/// What a [`SignatureTag`] holds, by its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureKind {
    /// No ending: the fallback index of referrers.
    Referrers,
    /// `.sig`: cosign's signatures.
    Signature,
    /// `.att`: cosign's attestations.
    Attestation,
    /// `.sbom`: an SBOM as cosign attached it.
    Sbom,
}

impl SignatureTag {
    /// What `tag` is attached to, if it is such a tag.
    #[must_use]
    pub fn parse(tag: &Tag) -> Option<Self> {
        let (subject, ending) = Self::split(tag)?;
        let kind = match ending {
            None => SignatureKind::Referrers,
            Some("sig") => SignatureKind::Signature,
            Some("att") => SignatureKind::Attestation,
            Some("sbom") => SignatureKind::Sbom,
            Some(_) => return None,
        };
        Some(Self { subject, kind })
    }

    /// The digest that `tag` names, and whatever ending it has: tools invent new ones.
    #[must_use]
    pub fn split(tag: &Tag) -> Option<(Digest, Option<&str>)> {
        let encoded = tag.as_str().strip_prefix(Algorithm::Sha256.name())?.strip_prefix('-')?;
        let (encoded, ending) = encoded.split_once('.').map_or((encoded, None), |(hex, ending)| (hex, Some(ending)));
        Some((format!("sha256:{encoded}").parse().ok()?, ending))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    #[test]
    fn the_fallback_tag_of_the_specification() {
        let digest = Digest::of(b"{}");
        assert_eq!(fallback_tag(&digest).as_str(), "sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        let wide = fallback_tag(&Digest::with(Algorithm::Sha512, b"{}"));
        assert_eq!(wide.as_str().len(), "sha512-".len() + 64, "cut, or it would be no tag");
    }

    #[test]
    fn endings() {
        let digest = Digest::of(b"{}");
        let base = fallback_tag(&digest);
        let kind = |ending: &str| SignatureTag::parse(&tag(&format!("{base}{ending}"))).map(|found| found.kind);
        assert_eq!(kind(""), Some(SignatureKind::Referrers));
        assert_eq!(kind(".sig"), Some(SignatureKind::Signature));
        assert_eq!(kind(".att"), Some(SignatureKind::Attestation));
        assert_eq!(kind(".sbom"), Some(SignatureKind::Sbom));
        for other in [".", ".SIG", ".sig.sig", ".sigs", "0", "-sig"] {
            assert_eq!(kind(other), None, "{other}");
        }
        assert_eq!(SignatureTag::split(&tag(&format!("{base}.rekor"))), Some((digest, Some("rekor"))));
        assert_eq!(SignatureTag::parse(&tag("sha256-44136fa3.sig")), None);
        assert_eq!(SignatureTag::parse(&tag(&base.as_str().replace('a', "A"))), None);
    }

    proptest! {
        #[test]
        fn a_fallback_tag_names_its_digest(content: Vec<u8>) {
            let subject = Digest::of(&content);
            let found = SignatureTag::parse(&fallback_tag(&subject)).unwrap();
            prop_assert_eq!(found, SignatureTag { subject, kind: SignatureKind::Referrers });
        }

        #[test]
        fn no_tag_breaks_it(text in "(sha256-)?[a-zA-Z0-9_][a-zA-Z0-9._-]{0,80}") {
            let _ = SignatureTag::parse(&tag(&text));
        }
    }
}
