//! Images and what is attached to them, made byte by byte, so that a test knows every digest before a registry does.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

/// Media types of the OCI image specification.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// See [`INDEX`].
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Not compressed: then the layer's digest is the one that its config names.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A Sigstore bundle, as manifests and layers call it.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Bytes with their name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What they are.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// `sha256:…` of them.
    pub digest: String,
}

impl Content {
    /// Names bytes.
    #[must_use]
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        let digest = sha256(&bytes);
        Self { media_type: media_type.to_owned(), bytes, digest }
    }

    /// A document; its bytes are what serde_json makes of it.
    #[must_use]
    pub fn json(media_type: &str, document: &Value) -> Self {
        Self::new(media_type, document.to_string().into_bytes())
    }

    /// A descriptor of it.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// `sha256:…` of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(digest(&SHA256, bytes)))
}

/// Something with a tag, and everything it refers to.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the tag points at.
    pub root: Content,
    /// The manifests that an index lists; none below a plain image.
    pub platforms: Vec<Content>,
    /// Configs and layers.
    pub blobs: Vec<Content>,
}

impl Image {
    /// An index of `linux/amd64` and `linux/arm64`, each with one layer that holds a file with `text` in it.
    #[must_use]
    pub fn two_platforms(text: &str) -> Self {
        let parts = ["amd64", "arm64"].map(|architecture| {
            let layer = Content::new(LAYER, tar("hello.txt", format!("{text} on {architecture}\n").as_bytes()));
            Self::of(architecture, layer)
        });
        let entry = |(part, architecture): (&Self, &str)| {
            let mut entry = part.root.descriptor();
            entry["platform"] = json!({"os": "linux", "architecture": architecture});
            entry
        };
        let manifests: Vec<Value> = parts.iter().zip(["amd64", "arm64"]).map(entry).collect();
        let root = Content::json(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}));
        let platforms = parts.iter().map(|part| part.root.clone()).collect();
        let blobs = parts.into_iter().flat_map(|part| part.blobs).collect();
        Self { root, platforms, blobs }
    }

    /// An image of one platform with one layer, which is a file with these bytes.
    #[must_use]
    pub fn plain(bytes: &[u8]) -> Self {
        Self::of("amd64", Content::new(LAYER, tar("content", bytes)))
    }

    fn of(architecture: &str, layer: Content) -> Self {
        let config = json!({
            "os": "linux", "architecture": architecture, "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = Content::json(CONFIG, &config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": [layer.descriptor()],
        });
        Self { root: Content::json(MANIFEST, &manifest), platforms: Vec::new(), blobs: vec![config, layer] }
    }

    /// The root and every platform: what a policy wants signed.
    pub fn manifests(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.root).chain(&self.platforms)
    }

    /// Something attached to a manifest: an artifact manifest with `subject`, and one blob.
    #[must_use]
    pub fn referrer(subject: &Content, artifact_type: &str, blob: Content) -> Self {
        let config = Content::new(EMPTY, b"{}".to_vec());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
            "config": config.descriptor(), "layers": [blob.descriptor()], "subject": subject.descriptor(),
        });
        Self { root: Content::json(MANIFEST, &manifest), platforms: Vec::new(), blobs: vec![config, blob] }
    }
}

/// A tar archive with one file (POSIX ustar).
#[must_use]
pub fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    let mut field = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    field(0, name.as_bytes());
    field(100, b"0000644\0");
    field(108, b"0000000\0");
    field(116, b"0000000\0");
    field(124, format!("{:011o}\0", bytes.len()).as_bytes());
    field(136, b"00000000000\0");
    field(156, b"0");
    field(257, b"ustar\x0000");
    // The checksum is over the header with spaces in its own place.
    field(148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; bytes.len().next_multiple_of(512) - bytes.len() + 1024];
    [header.as_slice(), bytes, &padding].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_read_by_tar() {
        let client = testkit::Client::new(testkit::on_path("tar"));
        client.file("a.tar", tar("hello.txt", b"hello\n"));
        assert_eq!(client.run(["-xOf", "a.tar", "hello.txt"]).ok().stdout, "hello\n");
    }

    #[test]
    fn an_index_names_its_platforms() {
        let image = Image::two_platforms("x");
        let index: Value = serde_json::from_slice(&image.root.bytes).unwrap();
        let named: Vec<&str> = index["manifests"].as_array().unwrap().iter().filter_map(|m| m["digest"].as_str()).collect();
        assert_eq!(named, image.platforms.iter().map(|m| m.digest.as_str()).collect::<Vec<_>>());
        assert_eq!(image.manifests().count(), 3);
        assert_ne!(Image::two_platforms("y").root.digest, image.root.digest);
    }
}
