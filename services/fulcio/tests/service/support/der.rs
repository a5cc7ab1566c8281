//! Just enough DER to take a certificate apart without the code under test.

/// One element: tag, content, and its whole length.
pub(crate) fn element(bytes: &[u8]) -> (u8, &[u8], usize) {
    let (length, header) = match bytes[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        0x81 => (usize::from(bytes[2]), 3),
        0x82 => (usize::from(bytes[2]) << 8 | usize::from(bytes[3]), 4),
        other => panic!("length octet {other:02x}"),
    };
    (bytes[0], &bytes[header..header + length], header + length)
}

/// The elements of a constructed one's content, each with its header.
pub(crate) fn elements(mut content: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !content.is_empty() {
        let (_, _, length) = element(content);
        found.push(&content[..length]);
        content = &content[length..];
    }
    found
}

pub(crate) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ 0x80..=0xff => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

/// The TBSCertificate of a certificate.
pub(crate) fn tbs(certificate: &[u8]) -> Vec<u8> {
    elements(element(certificate).1)[0].to_vec()
}

/// A TBSCertificate without the extension that has this OID; it must be there exactly once.
pub(crate) fn without_extension(tbs: &[u8], oid: &[u8]) -> Vec<u8> {
    let fields = elements(element(tbs).1);
    let (extensions, before) = fields.split_last().unwrap();
    let (tag, list, _) = element(extensions);
    assert_eq!(tag, 0xa3, "extensions come last");
    let all = elements(element(list).1);
    let kept: Vec<_> = all.iter().filter(|extension| elements(element(extension).1)[0] != oid).collect();
    assert_eq!(kept.len() + 1, all.len(), "exactly one such extension");
    let kept: Vec<u8> = kept.into_iter().flat_map(|extension| extension.iter().copied()).collect();
    let mut content: Vec<u8> = before.concat();
    content.extend(wrap(0xa3, &wrap(0x30, &kept)));
    wrap(0x30, &content)
}

/// 1.3.6.1.4.1.11129.2.4.3
pub(crate) const POISON: &[u8] = &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x03];
/// 1.3.6.1.4.1.11129.2.4.2
pub(crate) const SCT_LIST: &[u8] = &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
