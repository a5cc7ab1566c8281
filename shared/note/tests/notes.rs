//! Notes and checkpoints: the known answer, every refusal, and round trips.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use merkle::Hash;
use note::{Checkpoint, CheckpointError, KeyHint, MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError, NoteSignature, SignedNote};
use proptest::prelude::*;

/// A checkpoint with the signature of its log and of a witness, checked with two independent implementations.
const NOTE: &str = "rekor.example.test
3
cl1SMNto9VdHDcNfHYhlgTrNfrsHrRUndBQd7LrnEyc=

— rekor.example.test Qh+buLjZQGx6c62OTkKQ1NuoUSwsA/t7zS294gYcdXoBXYIzPTYce3YnqFq+zQBrLTohXl9a0Fl2+NZP5221lj681Ao=
— witness.example.test eqVKDgAAAABpVbkAMuXpbJqVMfIfWGmcbaQtR6VePq1/8U8Wx2HWZrKQlZ48k07PUPZ51QqFlcfBb/eABwuUtZu2IKuiXdkODw+YDA==
";

fn parse(note: &str) -> Result<SignedNote, NoteError> {
    note.parse()
}

fn signature(name: &str) -> NoteSignature {
    NoteSignature { name: name.to_owned(), hint: KeyHint([1, 2, 3, 4]), signature: vec![5; 64] }
}

#[test]
fn the_known_note_is_read_and_written() {
    let note = parse(NOTE).unwrap();
    assert_eq!(note.text().lines().count(), 3);
    assert!(note.text().ends_with("Eyc=\n"));
    let [log, witness] = note.signatures() else { panic!("two signatures") };
    assert_eq!((log.name.as_str(), log.hint.to_string().as_str(), log.signature.len()), ("rekor.example.test", "421f9bb8", 64));
    assert_eq!(
        (witness.name.as_str(), witness.hint.to_string().as_str(), witness.signature.len()),
        ("witness.example.test", "7aa54a0e", 72)
    );
    assert_eq!(witness.signature[..8], 1_767_225_600_u64.to_be_bytes());
    assert_eq!(note.signatures_by("rekor.example.test", log.hint).count(), 1);
    assert_eq!(note.signatures_by("rekor.example.test", witness.hint).count(), 0);
    assert_eq!(note.to_string(), NOTE);
    assert_eq!(SignedNote::new(note.text().to_owned(), note.signatures().to_vec()), Ok(note));
}

#[test]
fn the_known_signature_is_over_the_text() {
    use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
    let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let note = parse(NOTE).unwrap();
    UnparsedPublicKey::new(&ED25519, key.public_key()).verify(note.text().as_bytes(), &note.signatures()[0].signature).unwrap();
    let id = note::ed25519_key_id("rekor.example.test", key.public_key().as_ref().try_into().unwrap());
    assert_eq!(KeyHint::of(&id), note.signatures()[0].hint);
}

#[test]
fn the_known_checkpoint_is_read_and_written() {
    let note = parse(NOTE).unwrap();
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size, checkpoint.extensions.len()), ("rekor.example.test", 3, 0));
    assert_eq!(BASE64_STANDARD.encode(checkpoint.root), "cl1SMNto9VdHDcNfHYhlgTrNfrsHrRUndBQd7LrnEyc=");
    assert_eq!(checkpoint.text(), note.text());
    assert_eq!(Checkpoint::new("rekor.example.test", 3, checkpoint.root), checkpoint);
}

#[test]
fn notes_of_another_shape_are_refused() {
    let line = signature("a").to_string();
    for (note, error) in [
        (String::new(), NoteError::BlankLine),
        ("text\n".into(), NoteError::BlankLine),
        (format!("text\n{line}\n"), NoteError::BlankLine),
        (format!("text\n\n\n{line}\n"), NoteError::BlankLine),
        (format!("text\n\nmore\n\n{line}\n"), NoteError::BlankLine),
        (format!("text\n\n{line}\n\n"), NoteError::BlankLine),
        (format!("\n\n{line}\n"), NoteError::BlankLine),
        (format!("\ntext\n\n{line}\n"), NoteError::BlankLine),
        (format!("text\n\n{line}"), NoteError::LastNewline),
        ("text\n\n".into(), NoteError::LastNewline),
        (format!("te\txt\n\n{line}\n"), NoteError::Text),
        (format!("text\r\n\n{line}\n"), NoteError::Text),
        (format!("text\0\n\n{line}\n"), NoteError::Text),
        (
            format!("text\n\n{line}\n{}", " ".repeat(MAX_NOTE_BYTES)),
            NoteError::TooLong { length: MAX_NOTE_BYTES + line.len() + 7 },
        ),
        (
            format!("text\n\n{}", format!("{line}\n").repeat(MAX_SIGNATURES + 1)),
            NoteError::SignatureCount { found: MAX_SIGNATURES + 1 },
        ),
    ] {
        assert_eq!(parse(&note), Err(error), "{note:?}");
    }
}

#[test]
fn signature_lines_of_another_shape_are_refused() {
    for line in [
        "",
        "—",
        "— ",
        "— a",
        "— a ",
        "- a AQIDBAU=",
        "—a AQIDBAU=",
        "—  a AQIDBAU=",
        "— a  AQIDBAU=",
        "— a AQIDBAU= ",
        "— a b AQIDBAU=",
        "— a+b AQIDBAU=",
        "— a\u{a0}b AQIDBAU=",
        "— a AQIDBA==",
        "— a AQIDBAU",
        "— a AQIDBAV=",
        "— a AQI_BAU=",
        "—  AQIDBAU=",
        "— a AQIDBAU=\r",
        "— a\u{7f} AQIDBAU=",
    ] {
        let refused = parse(&format!("text\n\n— x AQIDBAU=\n{line}\n")).unwrap_err();
        assert!(matches!(refused, NoteError::SignatureLine | NoteError::BlankLine), "{line:?}: {refused}");
    }
    assert!(parse("text\n\n— x AQIDBAU=\n").is_ok());
}

#[test]
fn many_cosignatures_are_accepted() {
    let lines: String = (0..MAX_SIGNATURES).map(|n| format!("{}\n", signature(&format!("witness{n}")))).collect();
    let note = parse(&format!("text\n\n{lines}")).unwrap();
    assert_eq!(note.signatures().len(), MAX_SIGNATURES);
    assert_eq!(note.signatures()[17].name, "witness17");
}

#[test]
fn nothing_is_written_that_could_not_be_read() {
    let note = |text: &str, name: &str| SignedNote::new(text.to_owned(), vec![signature(name)]).map(|_| ());
    assert_eq!(note("text\n", "a"), Ok(()));
    assert_eq!(note("text", "a"), Err(NoteError::Text));
    assert_eq!(note("", "a"), Err(NoteError::Text));
    assert_eq!(note("a\n\nb\n", "a"), Err(NoteError::BlankLine));
    assert_eq!(note("\n", "a"), Err(NoteError::BlankLine));
    assert_eq!(note("text\n", ""), Err(NoteError::SignatureLine));
    assert_eq!(note("text\n", "a b"), Err(NoteError::SignatureLine));
    assert_eq!(SignedNote::new("text\n".into(), vec![]), Err(NoteError::SignatureCount { found: 0 }));
    assert!(matches!(note(&format!("{}\n", "x".repeat(MAX_NOTE_BYTES)), "a"), Err(NoteError::TooLong { .. })));
}

#[test]
fn checkpoints_of_another_spelling_are_refused() {
    let root = "cl1SMNto9VdHDcNfHYhlgTrNfrsHrRUndBQd7LrnEyc=";
    let parse = |text: &str| text.parse::<Checkpoint>().map(|_| ());
    assert_eq!(parse(&format!("o\n3\n{root}\n")), Ok(()));
    for text in [
        "",
        "\n",
        "o\n",
        "o\n3\n",
        &format!("o\n3\n{root}"),
        &format!("\n3\n{root}\n"),
        &format!("o\n3\n{root}\n\n"),
        &format!("o\n3\n{root}\nx\n\ny\n"),
        &format!("o\t\n3\n{root}\n"),
    ] {
        assert_eq!(parse(text), Err(CheckpointError::Lines), "{text:?}");
    }
    for size in ["03", "00", "-1", "+3", "3 ", " 3", "0x3", "18446744073709551616", "٣", "3.0"] {
        assert_eq!(parse(&format!("o\n{size}\n{root}\n")), Err(CheckpointError::Size), "{size:?}");
    }
    for root in [
        "AAAA",
        &root[..43],
        &format!("{root} "),
        &format!("-{}", &root[1..]),
        "cl1SMNto9VdHDcNfHYhlgTrNfrsHrRUndBQd7LrnEyd=",
        &"A".repeat(44),
    ] {
        let parsed = parse(&format!("o\n3\n{root}\n"));
        assert_eq!(parsed, Err(CheckpointError::Root), "{root:?}");
    }
    assert_eq!(parse(&format!("o\n0\n{root}\n")), Ok(()));
    assert_eq!(parse(&format!("o\n18446744073709551615\n{root}\nextension\n")), Ok(()));
}

prop_compose! {
    fn any_checkpoint()(origin in "[!-~][ -~é]{0,30}", size: u64, root: [u8; 32], extensions in prop::collection::vec("[ -~]{1,20}", 0..3)) -> Checkpoint {
        Checkpoint { origin, size, root: Hash::new(root), extensions }
    }
}

prop_compose! {
    fn any_signature()(name in "[!-*,-~]{1,20}", hint: [u8; 4], signature in prop::collection::vec(any::<u8>(), 1..100)) -> NoteSignature {
        NoteSignature { name, hint: KeyHint(hint), signature }
    }
}

proptest! {
    #[test]
    fn round_trip(checkpoint in any_checkpoint(), signatures in prop::collection::vec(any_signature(), 1..20)) {
        let note = SignedNote::new(checkpoint.text(), signatures).unwrap();
        let read: SignedNote = note.to_string().parse().unwrap();
        prop_assert_eq!(&read, &note);
        prop_assert_eq!(read.text().parse(), Ok(checkpoint));
    }

    #[test]
    fn what_is_accepted_is_written_the_same(note in "(a|1|\n|— |AQIDBAU=| |—\n){0,12}") {
        if let Ok(parsed) = note.parse::<SignedNote>() {
            prop_assert_eq!(parsed.to_string(), note);
        }
    }

    #[test]
    fn changing_a_character_is_seen_or_refused(at in 0..NOTE.chars().count(), to in any::<char>()) {
        let changed: String = NOTE.chars().enumerate().map(|(n, c)| if n == at { to } else { c }).collect();
        if let Ok(parsed) = changed.parse::<SignedNote>() {
            prop_assert_eq!(parsed.to_string(), changed);
        }
    }

    #[test]
    fn nothing_panics(text in any::<String>()) {
        let _ = text.parse::<SignedNote>();
        let _ = text.parse::<Checkpoint>();
        let _ = note::check_origin(&text);
    }
}
