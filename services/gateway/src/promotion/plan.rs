//! The plan: everything that will be at the target, named once.

use oci::Digest;

use super::closure::Closure;

/// What will be at the target, sorted, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// SHA-256 over the list.
    pub(super) id: Digest,
    /// Bytes of all of it.
    pub(super) bytes: u64,
}

impl Plan {
    /// Of everything that was gathered. Depends on nothing else: not on the repositories, the order of reading, or the machine.
    pub(super) fn of(closure: &Closure) -> Self {
        let manifests =
            closure.nodes.iter().map(|node| ("manifest", node.digest(), node.manifest.manifest().bytes().len() as u64));
        let blobs = closure.blobs.iter().map(|(digest, size)| ("blob", digest, *size));
        let contents: Vec<_> = manifests.chain(blobs).collect();
        let mut lines: Vec<String> = contents.iter().map(|(kind, digest, size)| format!("{kind} {digest} {size}\n")).collect();
        lines.extend(closure.tags.iter().map(|(tag, digest)| format!("tag {tag} {digest}\n")));
        lines.sort_unstable();
        let text = format!("chancery promotion plan 1\nroot {}\n{}", closure.root, lines.concat());
        let bytes = contents.iter().fold(0_u64, |sum, (.., size)| sum.saturating_add(*size));
        Self { id: Digest::of(text.as_bytes()), bytes }
    }
}
