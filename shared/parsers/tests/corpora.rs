//! What fuzzing found, on every run of the tests: no input fails, and each parser accepts some seed, so that it is fuzzed at all.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::PathBuf;

use parsers::TARGETS;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| file.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_target_survives_its_corpus_and_takes_some_of_it() {
    for (target, run) in TARGETS {
        let mut taken = 0;
        for (path, input) in corpus(target) {
            let survived = std::panic::catch_unwind(|| run(&input));
            taken += usize::from(survived.unwrap_or_else(|_| panic!("{}", path.display())));
        }
        assert!(taken > 0, "{target} takes nothing of its corpus: it is fuzzed at its door alone");
    }
}

/// Cut anywhere, and with any byte changed: what a fuzzer does first.
#[test]
fn small_changes_of_the_corpora_are_survived() {
    for (target, run) in TARGETS {
        for (path, input) in corpus(target) {
            let step = (input.len() / 400).max(1);
            for at in (0..input.len()).step_by(step) {
                let mut changed = input.clone();
                changed[at] ^= 1 << (at % 8);
                let survived = std::panic::catch_unwind(|| run(&input[..at]) | run(&changed));
                assert!(survived.is_ok(), "{target} {} at {at}", path.display());
            }
        }
    }
}

/// Each target is a file of `fuzz/`, and each file a target.
#[test]
fn every_target_is_fuzzed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let files = fs::read_dir(folder.join("fuzz_targets")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let mut targets: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    files.sort();
    targets.sort();
    assert_eq!(files, targets);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    assert!(targets.iter().all(|target| manifest.contains(&format!("name = \"{target}\""))));
}

/// The table says which parser stands at which door.
#[test]
fn every_target_is_in_the_table() {
    let readme = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/README.md");
    let text = fs::read_to_string(readme).unwrap();
    for (target, _) in TARGETS {
        assert!(text.contains(&format!("`{target}`")), "fuzz/README.md does not name {target}");
    }
}
