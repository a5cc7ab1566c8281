use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use proptest::prelude::*;

use super::*;

macro_rules! key_file {
    ($name:literal) => {
        include_str!(concat!("../../testdata/keys/", $name, ".pem"))
    };
}

const MESSAGE: &[u8] = b"a message";

/// A key file of each kind, and `openssl`'s signature over [`MESSAGE`] with the kind's own hash.
fn signed() -> Vec<(&'static str, KeyKind, Vec<u8>)> {
    let p256 = "3046022100c277d4da9e114795e5020acf3074af9a35f6f228978ae5be13cdbf686d578bdf022100c173ac50b8f06cdafac44e08a56dcb16\
                fde33d8627a60dd397d927fb16058e02";
    let p384 = "3064023035253ce43a2e18fec6e6e2dcf94dd637d3a1e55c26292b1e1cec6031a69728605fb10159dba0857e76e3de99a4a717ce02301f3c\
                fde568d880806958e6b8e428185a21bd9fb2233659192db6afad72618bc9e883c500168aa7d8d7ab1a06521affd4";
    let p521 = "30818702416e90b9b7b6a5d6ee1e1cc58e3b414904a98c25bb9e02346807668b0b30758877d38390e46892354febc6762eb51d8594fe47208\
                370b1cefff6fe40d7a5ec64307b024200a2b4438465caa4b90a76c177659cca5282b8414688fcddefb7605f672d9236d14035165f7fc81b3\
                721d93ec515fac5ca2ae6873484c6cbbd7e217fafa72497f715";
    let ed25519 = "645180952943dcdff7cab5ccdac5c0d2432ad1b96cd5938a8ff382abca1c44237e30bdf173224fbfc5f0a2522ba0e5572a537219f27782\
                   142f79036089a57b0a";
    vec![
        (key_file!("p256"), KeyKind::P256, hex::decode(p256).unwrap()),
        (key_file!("p384"), KeyKind::P384, hex::decode(p384).unwrap()),
        (key_file!("p521"), KeyKind::P521, hex::decode(p521).unwrap()),
        (key_file!("ed25519"), KeyKind::Ed25519, hex::decode(ed25519).unwrap()),
        (key_file!("rsa2048"), KeyKind::Rsa { bits: 2048 }, include_bytes!("../../testdata/keys/rsa2048.sig").to_vec()),
    ]
}

/// A DER ECDSA signature as raw r‖s, `length` bytes each.
fn raw(der: &[u8], length: usize) -> Vec<u8> {
    use der::Decode as _;
    let numbers = Vec::<der::asn1::Uint>::from_der(der).unwrap();
    numbers.iter().flat_map(|n| [vec![0; length - n.as_bytes().len()], n.as_bytes().to_vec()].concat()).collect()
}

#[test]
fn every_kind_parses_verifies_and_round_trips() {
    for (pem, kind, signature) in signed() {
        let key = PublicKey::from_pem(pem).unwrap();
        assert_eq!(key.kind(), kind);
        assert_eq!(key.to_pem(), pem);
        assert_eq!(PublicKey::from_spki_der(key.spki_der()).unwrap(), key);
        assert_eq!(key.fingerprint(), sha256(key.spki_der()));
        assert_eq!(key.short(), hex::encode(key.fingerprint())[..12]);
        assert_eq!(key.verify(MESSAGE, &signature), Ok(()), "{kind}");
        assert_eq!(key.verify_proof(MESSAGE, &signature), Ok(()), "{kind}");
        assert_eq!(key.verify(b"another message", &signature), Err(BadSignature), "{kind}");
        for bit in [0, signature.len() * 4, signature.len() * 8 - 1] {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.verify_proof(MESSAGE, &flipped), Err(BadSignature), "{kind} bit {bit}");
        }
        assert_eq!(key.verify(MESSAGE, &[]), Err(BadSignature));
    }
    for (pem, bits) in [(key_file!("rsa3072"), 3072), (key_file!("rsa4096"), 4096)] {
        assert_eq!(PublicKey::from_pem(pem).unwrap().kind(), KeyKind::Rsa { bits });
    }
}

#[test]
fn digests_verify_like_their_messages() {
    for (pem, kind, signature) in signed() {
        let key = PublicKey::from_pem(pem).unwrap();
        let digest = kind.hash().digest(MESSAGE);
        let expected = if kind == KeyKind::Ed25519 { Err(BadSignature) } else { Ok(()) };
        assert_eq!(key.verify_digest(kind.hash(), &digest, &signature), expected, "{kind}");
        assert_eq!(key.verify_digest(kind.hash(), &digest[1..], &signature), Err(BadSignature), "{kind}");
        for other in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
            if other != kind.hash() {
                assert_eq!(key.verify_digest(other, &other.digest(MESSAGE), &signature), Err(BadSignature), "{kind} {other}");
            }
        }
    }
}

/// RFC 8032 §7.3.
#[test]
fn ed25519ph_vector() {
    let spki = "302a300506032b6570032100ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf";
    let signature = "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41\
                     31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406";
    let (key, signature) = (PublicKey::from_spki_der(&hex::decode(spki).unwrap()).unwrap(), hex::decode(signature).unwrap());
    let digest = HashAlgorithm::Sha512.digest(b"abc");
    assert_eq!(key.verify_digest(HashAlgorithm::Sha512, &digest, &signature), Ok(()));
    assert_eq!(key.verify_digest(HashAlgorithm::Sha256, &digest[..32], &signature), Err(BadSignature));
    assert_eq!(key.verify(b"abc", &signature), Err(BadSignature), "a prehashed signature is no pure one");
    assert_eq!(key.verify_with(HashAlgorithm::Sha512, b"abc", &signature), Err(BadSignature));
}

#[test]
fn a_hash_that_is_not_the_curves_own() {
    let signature = "3065023100dca955265b3d8a10d95a838fcf9161fee5481dba0e0f9794b7f4057ec83d61f912112c0ee9068089a2df00aa7bd93e8802\
                     305eb1ef58c032752d7f0df7eb87de89676d6c4c2b07455a52ea9326fa8a8fbcb93bdcfae6de22e5bd9b9a03a2548fa196";
    let (key, signature) = (PublicKey::from_pem(key_file!("p384")).unwrap(), hex::decode(signature).unwrap());
    assert_eq!(key.verify_with(HashAlgorithm::Sha256, MESSAGE, &signature), Ok(()));
    let digest = HashAlgorithm::Sha256.digest(MESSAGE);
    assert_eq!(key.verify_digest(HashAlgorithm::Sha256, &digest, &signature), Ok(()));
    assert_eq!(key.verify(MESSAGE, &signature), Err(BadSignature));
    assert_eq!(key.verify_with(HashAlgorithm::Sha384, MESSAGE, &signature), Err(BadSignature));
}

#[test]
fn proofs_may_be_raw() {
    for (pem, kind, signature) in signed() {
        let length = match kind {
            KeyKind::P256 => 32,
            KeyKind::P384 => 48,
            KeyKind::P521 => 66,
            _ => continue,
        };
        let (key, raw) = (PublicKey::from_pem(pem).unwrap(), raw(&signature, length));
        assert_eq!(key.verify_proof(MESSAGE, &raw), Ok(()), "{kind}");
        assert_eq!(key.verify(MESSAGE, &raw), Err(BadSignature), "only proofs may be raw");
        let digest = kind.hash().digest(MESSAGE);
        for form in [&raw, &signature] {
            assert_eq!(key.verify_digest_either_form(kind.hash(), &digest, form), Ok(()), "{kind}");
            assert_eq!(key.verify_digest_either_form(kind.hash(), &digest, &form[1..]), Err(BadSignature), "{kind}");
        }
        assert_eq!(key.verify_digest(kind.hash(), &digest, &raw), Err(BadSignature), "only where both forms are asked for");
        assert_eq!(key.verify_proof(MESSAGE, &raw[1..]), Err(BadSignature), "{kind}");
        assert_eq!(key.verify_proof(MESSAGE, &vec![0; 2 * length]), Err(BadSignature), "{kind}");
    }
}

#[test]
fn pem_is_read_tolerantly() {
    let key = PublicKey::from_pem(key_file!("p256")).unwrap();
    let base64 = base64_of(key_file!("p256"));
    for text in [
        format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----"),
        format!("some text\n{}", key_file!("p256")),
        key_file!("p256").replace('\n', "\r\n"),
        format!("{}{}", key_file!("p256"), key_file!("p384")),
        format!("\n\n{}trailing", key_file!("p256")),
    ] {
        assert_eq!(PublicKey::from_pem(&text).as_ref(), Ok(&key), "{text}");
        assert_eq!(PublicKey::from_pem_or_der(text.as_bytes()).as_ref(), Ok(&key), "{text}");
    }
    assert_eq!(PublicKey::from_pem_or_der(key.spki_der()), Ok(key));
    assert_eq!(PublicKey::from_pem(key_file!("rsa2048-pkcs1")), PublicKey::from_pem(key_file!("rsa2048")));
}

#[test]
fn what_is_not_a_key_says_what_it_is() {
    let unparsable = [
        ("", "the key is not PEM"),
        (&base64_of(key_file!("p256")), "the key is not PEM"),
        ("-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", "the key is not PEM"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "the key is not a DER SubjectPublicKeyInfo"),
        ("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n", "the key is not a DER RSAPublicKey"),
        (&key_file!("p256").replace("PUBLIC KEY", "CERTIFICATE"), "the PEM block is CERTIFICATE, expected PUBLIC KEY"),
        (key_file!("p256-compressed"), "not in uncompressed form"),
        (key_file!("p256-explicit"), "not in canonical form"),
        (key_file!("rsa2048-pss"), "keys of the algorithm 1.2.840.113549.1.1.10 are not supported"),
        (key_file!("ed448"), "keys of the algorithm 1.3.101.113 are not supported"),
    ];
    for (text, expected) in unparsable {
        let error = PublicKey::from_pem(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.fault(), KeyFault::Unparsable, "{error}");
    }
}

#[test]
fn insecure_keys_are_refused_with_the_reason() {
    let insecure = [
        (key_file!("secp256k1"), "the curve 1.3.132.0.10 is not supported"),
        (key_file!("p224"), "the curve 1.3.132.0.33 is not supported"),
        (key_file!("rsa1024"), "the RSA modulus has 1024 bits, expected 2048, 3072 or 4096"),
        (key_file!("rsa2047"), "the RSA modulus has 2047 bits"),
        (key_file!("rsa2048-e3"), "the RSA exponent must be odd, at least 65537"),
        (key_file!("rsa2048-small-factor"), "the RSA modulus is divisible by 751"),
        (key_file!("rsa2048-close-primes"), "the RSA primes are too close"),
        (key_file!("ed25519-small-order"), "small order"),
    ];
    for (text, expected) in insecure {
        let error = PublicKey::from_pem(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.fault(), KeyFault::Insecure, "{error}");
    }
}

#[test]
fn points_must_lie_on_their_curve() {
    for pem in [key_file!("p256"), key_file!("p384"), key_file!("p521")] {
        let mut spki = PublicKey::from_pem(pem).unwrap().spki_der().to_vec();
        *spki.last_mut().unwrap() ^= 1;
        assert_eq!(PublicKey::from_spki_der(&spki), Err(KeyError::NotOnCurve));
    }
}

#[test]
fn other_encodings_of_a_key_are_refused() {
    let spki = PublicKey::from_pem(key_file!("rsa2048")).unwrap().spki_der().to_vec();
    let trailing = [&spki[..], &[0]].concat();
    assert_eq!(PublicKey::from_spki_der(&trailing), Err(KeyError::Der));
    // 30 82 len 30 0D 06 09 … 05 00 03 82: cut the NULL parameters and repair both lengths.
    let null = spki.windows(4).position(|bytes| bytes == [0x05, 0x00, 0x03, 0x82]).unwrap();
    let mut without = [&spki[..null], &spki[null + 2..]].concat();
    without[5] -= 2;
    let length = u16::from_be_bytes([without[2], without[3]]) - 2;
    without[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(PublicKey::from_spki_der(&without), Err(KeyError::Parameters));
}

fn base64_of(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = PublicKey::from_pem_or_der(&bytes);
    }

    /// Whatever is accepted after damage is accepted in its one encoding.
    #[test]
    fn damaged_keys_are_refused_or_canonical(kind in 0usize..5, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut spki = PublicKey::from_pem(signed()[kind].0).unwrap().spki_der().to_vec();
        let at = at.index(spki.len());
        spki[at] = to;
        if let Ok(key) = PublicKey::from_spki_der(&spki) {
            prop_assert_eq!(key.spki_der(), &spki[..]);
        }
    }

    #[test]
    fn raw_proofs_of_fresh_keys_verify(message in proptest::collection::vec(any::<u8>(), 0..64)) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), &message).unwrap();
        let spki = [&hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap()[..], pair.public_key().as_ref()].concat();
        prop_assert_eq!(PublicKey::from_spki_der(&spki).unwrap().verify_proof(&message, signature.as_ref()), Ok(()));
    }
}
