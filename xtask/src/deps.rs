//! Which crate may depend on which: dependencies point down, and services meet over the network only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::layout;
use crate::process;
use crate::tools;

/// Every crate of the workspace, lowest first, with the crates of ours that it may use. Whoever adds an edge argues for it here.
///
/// Tests may use the same crates and `testkit`, but never `testkit`'s users.
const MAY_USE: &[(&str, &[&str])] = &[
    // Formats: pure, without I/O, clock or runtime.
    ("merkle", &[]),
    ("note", &["merkle"]),
    ("pki", &[]),
    ("tsp", &[]),
    ("ct", &["merkle", "note", "pki"]),
    ("bundle", &["pki", "note", "merkle"]),
    ("entry", &["bundle", "pki", "merkle"]),
    ("oci", &[]),
    // Seams.
    ("clock", &[]),
    ("keys", &["pki"]),
    ("sqlite", &[]),
    // Engines and chassis.
    ("chassis", &["clock"]),
    ("objects", &["chassis"]),
    ("tlog", &["merkle", "note", "pki", "keys", "clock", "sqlite", "objects"]),
    ("face", &["note", "tlog", "objects", "chassis", "clock"]),
    ("verify", &["bundle", "entry", "pki", "ct", "tsp", "note", "merkle", "clock"]),
    ("evidence", &["oci", "verify"]),
    ("sign", &["bundle", "entry", "pki", "tsp", "keys", "clock"]),
    ("registry", &["oci"]),
    ("testkit", &["merkle", "note", "pki", "tsp", "ct", "entry", "clock", "objects"]),
    // Services: libraries, one per trust domain. No row names another service.
    ("fulcio", &["pki", "ct", "keys", "sqlite", "chassis", "clock"]),
    ("ctlog", &["ct", "pki", "note", "merkle", "keys", "tlog", "objects", "chassis", "face", "clock"]),
    ("rekor", &["entry", "bundle", "pki", "note", "merkle", "keys", "tlog", "objects", "chassis", "face", "clock"]),
    ("tsa", &["tsp", "pki", "keys", "chassis", "clock"]),
    ("tuf", &["bundle", "pki", "keys", "chassis", "clock"]),
    ("gateway", &["oci", "registry", "verify", "evidence", "sqlite", "chassis", "clock"]),
    ("witness", &["note", "merkle", "keys", "pki", "sqlite", "chassis", "clock"]),
    // Every parser under one roof, for fuzzing; of a service its module `fuzz` alone.
    (
        "parsers",
        &[
            "merkle", "note", "pki", "tsp", "ct", "entry", "bundle", "oci", "tlog", "chassis", "fulcio", "ctlog", "rekor", "tuf",
            "gateway",
        ],
    ),
    // The one binary, used by none.
    (
        "chancery",
        &[
            "merkle", "note", "pki", "tsp", "ct", "entry", "bundle", "clock", "keys", "tlog", "objects", "chassis", "face",
            "verify", "evidence", "sign", "oci", "registry", "fulcio", "ctlog", "rekor", "tsa", "tuf", "gateway", "witness",
        ],
    ),
    // From outside: formats to read what comes over the wire, never a service's inside.
    ("integration", &["testkit", "merkle", "note", "pki", "tsp", "ct", "entry", "bundle"]),
    // Must build when all else is broken.
    ("xtask", &[]),
];

/// Dependencies that no source names, and why they are there all the same.
const UNNAMED: &[(&str, &str, &str)] = &[
    ("chancery", "aho-corasick", "one feature set, see the workspace's manifest"),
    ("chancery", "cms", "one feature set"),
    ("chancery", "getrandom", "one feature set"),
    ("chancery", "objects", "one feature set"),
    ("chancery", "regex-automata", "one feature set"),
];

/// Crates that prove something to the outside and would prove less if they knew a service's inside.
const SERVICES: &[&str] = &["fulcio", "ctlog", "rekor", "tsa", "tuf", "gateway", "witness"];

/// The lab's proof acts as a client: no service crate may be named in it.
const PROOF: &str = "services/chancery/src/lab/proof";

/// `cargo xtask check-deps`.
pub(crate) fn command() -> Result<()> {
    println!("{}", check()?);
    Ok(())
}

/// Checks all of it and says in a few words what was checked.
///
/// # Errors
/// One line per edge that may not be.
pub(crate) fn check() -> Result<String> {
    let workspace = Workspace::read()?;
    let mut wrong = workspace.wrong_edges();
    wrong.extend(workspace.unnamed_dependencies()?);
    wrong.extend(proof_as_a_client(&layout::repository())?);
    wrong.extend(one_feature_set()?);
    if wrong.is_empty() {
        return Ok(format!("{} crates, {} edges, one feature set", workspace.0.len(), workspace.edges_of_ours()));
    }
    bail!("{}\nThe table of allowed edges is MAY_USE in xtask/src/deps.rs.", wrong.join("\n"))
}

/// The crates of the workspace by name.
struct Workspace(BTreeMap<String, Crate>);

#[derive(Default)]
struct Crate {
    folder: PathBuf,
    edges: Vec<Edge>,
}

/// One line of a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Edge {
    /// As the manifest, and with underscores the source, calls it.
    name: String,
    ours: bool,
    /// Only for tests.
    dev: bool,
}

impl Workspace {
    fn read() -> Result<Self> {
        let mut cargo = tools::cargo();
        cargo.current_dir(layout::repository()).args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
        let metadata: Value = serde_json::from_str(&process::output(&mut cargo)?).context("cargo metadata is not JSON")?;
        Ok(Self::from_metadata(&metadata))
    }

    fn from_metadata(metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let edge = |edge: &Value| Edge {
            name: text(if edge["rename"].is_string() { &edge["rename"] } else { &edge["name"] }),
            ours: edge["path"].is_string(),
            dev: edge["kind"] == "dev",
        };
        let krate = |package: &Value| Crate {
            folder: Path::new(&text(&package["manifest_path"])).parent().unwrap_or(Path::new("")).to_path_buf(),
            edges: package["dependencies"].as_array().into_iter().flatten().map(edge).collect(),
        };
        Self(
            metadata["packages"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|package| (text(&package["name"]), krate(package)))
                .collect(),
        )
    }

    fn edges_of_ours(&self) -> usize {
        self.0.values().flat_map(|krate| &krate.edges).filter(|edge| edge.ours).count()
    }

    /// Dependencies whose crate no source of their user names: they cost a build and say something untrue about the design.
    fn unnamed_dependencies(&self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (name, krate) in &self.0 {
            let mut files = Vec::new();
            rust_files(&krate.folder, &mut files)?;
            let sources: Vec<String> = files.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
            for edge in &krate.edges {
                let known = UNNAMED.iter().any(|(user, unnamed, _)| user == name && *unnamed == edge.name);
                if !known && !sources.iter().any(|source| names_crate(source, &edge.name.replace('-', "_"))) {
                    wrong.push(format!(
                        "{name} lists {} and no source of it names it; remove the line from its Cargo.toml",
                        edge.name
                    ));
                }
            }
        }
        Ok(wrong)
    }

    fn wrong_edges(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, krate) in &self.0 {
            let Some((_, may_use)) = MAY_USE.iter().find(|(row, _)| row == name) else {
                wrong.push(format!("{name} is not in the table; add a row that says what it may use"));
                continue;
            };
            for Edge { name: to, dev, .. } in krate.edges.iter().filter(|edge| edge.ours) {
                let allowed = may_use.contains(&to.as_str()) || (*dev && to == "testkit");
                if !allowed {
                    let kind = if *dev { "dev-depends" } else { "depends" };
                    wrong.push(format!("{name} {kind} on {to}; it may use: {}", listed(may_use)));
                }
            }
        }
        let gone = MAY_USE.iter().filter(|(row, _)| !self.0.contains_key(*row));
        wrong.extend(gone.map(|(row, _)| format!("{row} is in the table and not in the workspace; remove its row")));
        wrong
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none of ours".to_owned() } else { names.join(", ") }
}

/// Reads the proof's sources: what a manifest cannot say, since the binary as a whole links every service.
fn proof_as_a_client(repository: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    rust_files(&repository.join(PROOF), &mut files)?;
    let module = repository.join(format!("{PROOF}.rs"));
    if module.exists() {
        files.push(module);
    }
    if files.is_empty() {
        return Ok(vec![format!("the lab's proof is not at {PROOF}; say in xtask/src/deps.rs where it went")]);
    }
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for (number, line) in text.lines().enumerate() {
            if let Some(name) = names_a_service(line) {
                wrong.push(format!("{}:{}: the proof is a client and may not name {name}", layout::shown(&file), number + 1));
            }
        }
    }
    Ok(wrong)
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The service crate a line of Rust names, comments aside.
fn names_a_service(line: &str) -> Option<&'static str> {
    let code = line.split("//").next().unwrap_or_default();
    SERVICES.iter().copied().find(|service| names_crate(code, service))
}

/// Whether source names a crate as a path (`rekor::…`) or imports it whole (`use rekor;`).
fn names_crate(source: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    source.match_indices(name).any(|(at, _)| {
        let (before, after) = (&source[..at], &source[at + name.len()..]);
        // `::name` is a path from the root; `other::name` is something else.
        let before = before.strip_suffix("::").filter(|before| !before.ends_with(is_word)).unwrap_or(before);
        let whole = before.trim_end().ends_with("use") && (after.starts_with(';') || after.starts_with(" as "));
        !before.ends_with(is_word) && (after.starts_with("::") || whole)
    })
}

/// Cargo unifies features over what is selected, so `cargo run` (the binary) and the tests (the workspace) would compile most
/// dependencies twice if a test dependency turned on one feature more. What the binary builds must be among what the tests build.
fn one_feature_set() -> Result<Vec<String>> {
    let tree = |selection: &[&str]| -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut cargo = tools::cargo();
        cargo
            .current_dir(layout::repository())
            .args(["tree", "--locked", "--prefix", "none", "--format", "{p}|{f}"])
            .args(selection);
        Ok(features(&process::output(&mut cargo)?))
    };
    Ok(different(
        &tree(&["--package", "chancery", "--edges", "normal,no-proc-macro"])?,
        &tree(&["--workspace", "--edges", "normal,dev,no-proc-macro"])?,
    ))
}

fn different(run: &BTreeMap<String, BTreeSet<String>>, tests: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let differs = |(package, sets): (&String, &BTreeSet<String>)| {
        let in_tests = tests.get(package).filter(|in_tests| !sets.is_subset(in_tests))?;
        let names = |sets: &BTreeSet<String>| -> BTreeSet<String> {
            sets.iter().flat_map(|set| set.split(',')).map(str::to_owned).collect()
        };
        let more: Vec<String> = names(in_tests).difference(&names(sets)).cloned().collect();
        Some(format!(
            "{package} is built with more features by the tests than by cargo run: {}; name them in Cargo.toml",
            more.join(", ")
        ))
    };
    run.iter().filter_map(differs).collect()
}

/// For each dependency, the feature sets it is built with: several where a build script or macro has its own.
fn features(tree: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in tree.lines() {
        let Some((package, features)) = line.trim_end_matches(" (*)").split_once('|') else { continue };
        // A path in brackets means one of ours.
        if !package.contains('/') {
            found.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(name: &str, edges: &[(&str, bool)]) -> Workspace {
        let mut crates: BTreeMap<_, _> = MAY_USE.iter().map(|(name, _)| ((*name).to_owned(), Crate::default())).collect();
        let edge = |(name, dev): &(&str, bool)| Edge { name: (*name).to_owned(), ours: true, dev: *dev };
        crates.insert(name.to_owned(), Crate { folder: PathBuf::new(), edges: edges.iter().map(edge).collect() });
        Workspace(crates)
    }

    #[test]
    fn the_table_points_down_and_no_service_names_another() {
        let mut seen = BTreeSet::new();
        for (name, may_use) in MAY_USE {
            for used in *may_use {
                assert!(seen.contains(used), "{name} may use {used}, which is not below it");
                let links_services = ["chancery", "parsers"].contains(name);
                assert!(links_services || !SERVICES.contains(used), "{name} may use the service {used}");
            }
            assert!(seen.insert(*name), "{name} has two rows");
        }
    }

    #[test]
    fn edges_outside_the_table_are_named() {
        for (from, to, dev, expected) in [
            ("rekor", "ctlog", false, "rekor depends on ctlog; it may use: entry, bundle"),
            ("pki", "merkle", true, "pki dev-depends on merkle; it may use: none of ours"),
            ("fulcio", "testkit", false, "fulcio depends on testkit"),
            ("stranger", "merkle", false, "stranger is not in the table"),
        ] {
            let wrong = workspace(from, &[(to, dev)]).wrong_edges();
            assert!(wrong.len() == 1 && wrong[0].contains(expected), "{wrong:?}");
        }
        assert_eq!(workspace("fulcio", &[("testkit", true), ("pki", false)]).wrong_edges(), Vec::<String>::new());
    }

    #[test]
    fn edges_are_read_from_metadata() {
        let metadata = serde_json::json!({"packages": [
            {"name": "note", "manifest_path": "/w/note/Cargo.toml", "dependencies": [
                {"name": "merkle", "path": "/w/merkle", "kind": null},
                {"name": "testkit", "path": "/w/testkit", "kind": "dev"},
                {"name": "der", "rename": "der07", "kind": null},
            ]},
        ]});
        let workspace = Workspace::from_metadata(&metadata);
        let edge = |name: &str, ours, dev| Edge { name: name.to_owned(), ours, dev };
        let expected = [edge("merkle", true, false), edge("testkit", true, true), edge("der07", false, false)];
        assert_eq!(
            (workspace.0["note"].folder.as_path(), workspace.0["note"].edges.as_slice()),
            (Path::new("/w/note"), expected.as_slice())
        );
    }

    #[test]
    fn a_service_is_recognised_in_code_only() {
        for (line, expected) in [
            ("use rekor::Config;", Some("rekor")),
            ("use tuf;", Some("tuf")),
            ("    let x = (tsa::open)(1);", Some("tsa")),
            ("use crate::services::fulcio::X;", None),
            ("// rekor::Config", None),
            ("let rekor = env.rekor_url();", None),
            ("let url = rekor_v2::x();", None),
            ("#[::rekor::main]", Some("rekor")),
        ] {
            assert_eq!(names_a_service(line), expected, "{line}");
        }
    }

    #[test]
    fn a_feature_that_only_tests_turn_on_is_named() {
        let run = features("serde v1.0.1|derive,std\nurl v2.0.0|std");
        let tests = features("serde v1.0.1|derive,rc,std\nurl v2.0.0|std\nproptest v1.0.0|std");
        let expected = "serde v1.0.1 is built with more features by the tests than by cargo run: rc; name them in Cargo.toml";
        assert_eq!(different(&run, &tests), [expected]);
        assert_eq!(different(&run, &run), Vec::<String>::new());
    }

    #[test]
    fn features_are_collected_per_dependency() {
        let tree = "chancery v0.1.0 (/w/chancery)|\nserde v1.0.1|derive,std\nserde v1.0.1|derive,std (*)\nserde v1.0.1|std\n";
        let expected = BTreeSet::from(["derive,std".to_owned(), "std".to_owned()]);
        assert_eq!(features(tree), BTreeMap::from([("serde v1.0.1".to_owned(), expected)]));
    }
}
