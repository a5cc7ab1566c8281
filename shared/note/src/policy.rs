//! Which witnesses there are, and which of them together are enough (C2SP `tlog-policy`).

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use crate::{NoteKey, VerifierKey, VerifierKeyError};

/// How many witnesses a policy may name, and how many groups. The specification asks for at least 32 of each; a checkpoint with all
/// their cosignatures is still a note.
pub const MAX_POLICY_NAMES: usize = 32;

/// Witnesses and the quorum among them. Its `log` lines are checked and not kept: whoever reads a policy here has a log already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPolicy {
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// A `witness` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// What the policy calls it; means nothing outside.
    pub name: String,
    /// What verifies its cosignatures.
    pub key: VerifierKey,
    /// Its submission prefix, as written; a policy for offline verification has none.
    pub url: Option<String>,
}

/// A `group` line: witnessed when `threshold` of its members are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    threshold: usize,
    /// Groups among them come earlier in the list of groups, so there are no circles.
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

impl WitnessPolicy {
    /// The witnesses, in the order of the file. A number of a witness is its place in this list.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether the quorum is reached by those witnesses for whose number `cosigned` is true. `quorum none` always is.
    #[must_use]
    pub fn is_met(&self, cosigned: impl Fn(usize) -> bool) -> bool {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let is = |member: &Member, groups: &[bool]| match *member {
            Member::Witness(number) => cosigned(number),
            Member::Group(number) => groups[number],
        };
        for group in &self.groups {
            let witnessed = group.members.iter().filter(|member| is(member, &groups)).count();
            groups.push(witnessed >= group.threshold);
        }
        self.quorum.as_ref().is_none_or(|quorum| is(quorum, &groups))
    }
}

impl FromStr for WitnessPolicy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut reading = Reading::default();
        for (number, line) in (1..).zip(text.split('\n')) {
            reading.line(line).map_err(|problem| PolicyError { line: number, problem })?;
        }
        let last = text.split('\n').count();
        let quorum = reading.quorum.ok_or(PolicyError { line: last, problem: PolicyProblem::NoQuorum })?;
        Ok(Self { witnesses: reading.witnesses, groups: reading.groups, quorum })
    }
}

/// A line of a policy, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the witness policy: {problem}")]
pub struct PolicyError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: PolicyProblem,
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// A control character.
    #[error("it has a control character other than a tab")]
    Character,
    /// A first word that is not known.
    #[error("`{found}` begins no line, expected log, witness, group or quorum")]
    Keyword {
        /// The word.
        found: String,
    },
    /// Words that are missing or too many.
    #[error("expected `{expected}`")]
    Form {
        /// How the line is written.
        expected: &'static str,
    },
    /// The key of a log or witness.
    #[error("{0}")]
    Key(VerifierKeyError),
    /// A key that cannot sign what it is to sign.
    #[error("the key is of a kind that a {of} cannot have")]
    KeyKind {
        /// Log or witness.
        of: &'static str,
    },
    /// The same key on two lines.
    #[error("this key is on an earlier line already")]
    SameKey,
    /// The same name on two lines, or the reserved one.
    #[error("the name `{name}` is taken")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A name of nothing above.
    #[error("no line above defines `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A member of two groups, or twice of one.
    #[error("`{name}` is a member of a group already; each counts in one way only")]
    MemberTwice {
        /// The name.
        name: String,
    },
    /// Not any, all or a number that can be reached.
    #[error("the threshold `{found}` is not any, all or a number from 1 to {members}")]
    Threshold {
        /// As written.
        found: String,
        /// How many members the group has.
        members: usize,
    },
    /// More than one quorum.
    #[error("there is a quorum on an earlier line already")]
    QuorumTwice,
    /// None at all.
    #[error("the file ends without a `quorum` line")]
    NoQuorum,
    /// Over [`MAX_POLICY_NAMES`].
    #[error("there are more than {MAX_POLICY_NAMES} {of}")]
    TooMany {
        /// Of what.
        of: &'static str,
    },
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    names: HashMap<String, Member>,
    members: HashSet<String>,
    log_keys: HashSet<NoteKey>,
    /// `Some(None)` is `quorum none`.
    quorum: Option<Option<Member>>,
}

/// Reserved by the specification for the quorum that needs nobody.
const NONE: &str = "none";

impl Reading {
    fn line(&mut self, line: &str) -> Result<(), PolicyProblem> {
        if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(PolicyProblem::Character);
        }
        // Nothing but spaces and tabs separates: a name may hold other white space of Unicode.
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.split_first() {
            None => Ok(()),
            Some((first, _)) if first.starts_with('#') => Ok(()),
            Some((&"log", rest)) => self.log(rest),
            Some((&"witness", rest)) => self.witness(rest),
            Some((&"group", rest)) => self.group(rest),
            Some((&"quorum", rest)) => self.set_quorum(rest),
            Some((first, _)) => Err(PolicyProblem::Keyword { found: (*first).to_owned() }),
        }
    }

    fn log(&mut self, words: &[&str]) -> Result<(), PolicyProblem> {
        let ([key] | [key, _]) = words else {
            return Err(PolicyProblem::Form { expected: "log VKEY [URL]" });
        };
        let key: VerifierKey = key.parse().map_err(PolicyProblem::Key)?;
        if matches!(key.key(), NoteKey::Cosigner(_)) {
            return Err(PolicyProblem::KeyKind { of: "log" });
        }
        if self.log_keys.insert(key.key().clone()) { Ok(()) } else { Err(PolicyProblem::SameKey) }
    }

    fn witness(&mut self, words: &[&str]) -> Result<(), PolicyProblem> {
        let (name, key, url) = match words {
            [name, key] => (*name, *key, None),
            [name, key, url] => (*name, *key, Some((*url).to_owned())),
            _ => return Err(PolicyProblem::Form { expected: "witness NAME VKEY [URL]" }),
        };
        let key: VerifierKey = key.parse().map_err(PolicyProblem::Key)?;
        let key = key.into_cosigner().ok_or(PolicyProblem::KeyKind { of: "witness" })?;
        if self.witnesses.iter().any(|other| other.key.key() == key.key()) {
            return Err(PolicyProblem::SameKey);
        }
        if self.witnesses.len() == MAX_POLICY_NAMES {
            return Err(PolicyProblem::TooMany { of: "witnesses" });
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.to_owned(), key, url });
        Ok(())
    }

    fn group(&mut self, words: &[&str]) -> Result<(), PolicyProblem> {
        let [name, threshold, members @ ..] = words else {
            return Err(PolicyProblem::Form { expected: "group NAME any|all|NUMBER MEMBER…" });
        };
        if members.is_empty() {
            return Err(PolicyProblem::Form { expected: "group NAME any|all|NUMBER MEMBER…" });
        }
        let found = members.iter().map(|member| self.find(member)).collect::<Result<Vec<_>, _>>()?;
        for member in members {
            if !self.members.insert((*member).to_owned()) {
                return Err(PolicyProblem::MemberTwice { name: (*member).to_owned() });
            }
        }
        let threshold = match *threshold {
            "any" => 1,
            "all" => members.len(),
            number => decimal(number)
                .filter(|number| (1..=members.len()).contains(number))
                .ok_or_else(|| PolicyProblem::Threshold { found: number.to_owned(), members: members.len() })?,
        };
        if self.groups.len() == MAX_POLICY_NAMES {
            return Err(PolicyProblem::TooMany { of: "groups" });
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members: found });
        Ok(())
    }

    fn set_quorum(&mut self, words: &[&str]) -> Result<(), PolicyProblem> {
        let [name] = words else {
            return Err(PolicyProblem::Form { expected: "quorum NAME|none" });
        };
        if self.quorum.is_some() {
            return Err(PolicyProblem::QuorumTwice);
        }
        self.quorum = Some(if *name == NONE { None } else { Some(self.find(name)?) });
        Ok(())
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), PolicyProblem> {
        if name == NONE || self.names.contains_key(name) {
            return Err(PolicyProblem::NameTaken { name: name.to_owned() });
        }
        self.names.insert(name.to_owned(), member);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<Member, PolicyProblem> {
        self.names.get(name).copied().ok_or_else(|| PolicyProblem::Unknown { name: name.to_owned() })
    }
}

fn decimal(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vkey(number: u8) -> String {
        VerifierKey::new(format!("w{number}.example"), NoteKey::Cosigner([number; 32])).unwrap().to_string()
    }

    /// `witness wN …` for each number below `count`.
    fn witnesses(count: u8) -> String {
        (0..count).map(|number| format!("witness w{number} {} https://w{number}.example\n", vkey(number))).collect()
    }

    fn problem(text: &str) -> PolicyProblem {
        text.parse::<WitnessPolicy>().unwrap_err().problem
    }

    #[test]
    fn the_example_of_the_specification() {
        let log = VerifierKey::new("log.example", NoteKey::Ed25519([200; 32])).unwrap();
        let text = format!(
            "# logs and witnesses\nlog {log}\n{}\n\tgroup\tX 2 w0 w1 w2\ngroup Y any w3 w4 w5\ngroup X-and-Y all X Y \nquorum X-and-Y\n",
            witnesses(6)
        );
        let policy: WitnessPolicy = text.parse().unwrap();
        assert_eq!(policy.witnesses().len(), 6);
        assert_eq!(
            (policy.witnesses()[5].name.as_str(), policy.witnesses()[5].url.as_deref()),
            ("w5", Some("https://w5.example"))
        );
        let met = |numbers: &[usize]| policy.is_met(|number| numbers.contains(&number));
        assert!(met(&[0, 1, 3]) && met(&[1, 2, 5]) && met(&[0, 1, 2, 3, 4, 5]));
        assert!(!met(&[0, 1]) && !met(&[0, 3]) && !met(&[3, 4, 5]) && !met(&[]));
    }

    #[test]
    fn quorums_of_one_and_of_nobody() {
        let one: WitnessPolicy = format!("{}quorum w1", witnesses(2)).parse().unwrap();
        assert!(one.is_met(|number| number == 1) && !one.is_met(|number| number == 0));
        assert!("quorum none".parse::<WitnessPolicy>().unwrap().is_met(|_| false));
        let plain = VerifierKey::new("w9.example", NoteKey::Ed25519([9; 32])).unwrap();
        let policy: WitnessPolicy = format!("witness a {plain}\nquorum a\n").parse().unwrap();
        assert_eq!((policy.witnesses()[0].key.to_string(), &policy.witnesses()[0].url), (vkey(9), &None));
    }

    #[test]
    fn each_rule_of_the_file_is_checked() {
        let two = witnesses(2);
        let name = |name: &str| PolicyProblem::NameTaken { name: name.into() };
        let unknown = |name: &str| PolicyProblem::Unknown { name: name.into() };
        let threshold = |found: &str| PolicyProblem::Threshold { found: found.into(), members: 2 };
        let ecdsa = VerifierKey::new("e", NoteKey::Ecdsa(vec![1])).unwrap();
        for (text, expected) in [
            (String::new(), PolicyProblem::NoQuorum),
            (two.clone(), PolicyProblem::NoQuorum),
            ("quorum none\nquorum none".into(), PolicyProblem::QuorumTwice),
            ("quorum none\r\n".into(), PolicyProblem::Character),
            ("hello".into(), PolicyProblem::Keyword { found: "hello".into() }),
            ("quorum a b".into(), PolicyProblem::Form { expected: "quorum NAME|none" }),
            ("quorum a".into(), unknown("a")),
            ("group g all a".into(), unknown("a")),
            (format!("{two}group g all"), PolicyProblem::Form { expected: "group NAME any|all|NUMBER MEMBER…" }),
            (format!("{two}group g 0 w0 w1"), threshold("0")),
            (format!("{two}group g 3 w0 w1"), threshold("3")),
            (format!("{two}group g +1 w0 w1"), threshold("+1")),
            (format!("{two}group g some w0 w1"), threshold("some")),
            (format!("{two}group g all w0 w0"), PolicyProblem::MemberTwice { name: "w0".into() }),
            (format!("{two}group g all w0\ngroup h all w0"), PolicyProblem::MemberTwice { name: "w0".into() }),
            (format!("{two}group w0 all w1"), name("w0")),
            (format!("{two}group none all w1"), name("none")),
            (format!("{two}group g all none"), unknown("none")),
            (format!("witness none {}", vkey(1)), name("none")),
            (format!("{two}witness w0 {}", vkey(9)), name("w0")),
            (format!("{two}witness w9 {}", vkey(1)), PolicyProblem::SameKey),
            ("witness a".into(), PolicyProblem::Form { expected: "witness NAME VKEY [URL]" }),
            ("witness a b".into(), PolicyProblem::Key(VerifierKeyError::Form)),
            (format!("witness a {ecdsa}"), PolicyProblem::KeyKind { of: "witness" }),
            (format!("log {}", vkey(1)), PolicyProblem::KeyKind { of: "log" }),
            (format!("log {ecdsa}\nlog {ecdsa} https://x"), PolicyProblem::SameKey),
            ("log".into(), PolicyProblem::Form { expected: "log VKEY [URL]" }),
            (witnesses(33), PolicyProblem::TooMany { of: "witnesses" }),
        ] {
            assert_eq!(problem(&text), expected, "{text}");
        }
        let error = format!("{two}\ngroup g all w7").parse::<WitnessPolicy>().unwrap_err().to_string();
        assert_eq!(error, "line 4 of the witness policy: no line above defines `w7`");
    }

    /// A quorum as a person would write it: nested, without a table.
    #[derive(Debug, Clone)]
    enum Tree {
        Witness,
        Group(usize, Vec<Tree>),
    }

    fn tree() -> impl Strategy<Value = Tree> {
        Just(Tree::Witness).prop_recursive(3, 16, 4, |inner| {
            proptest::collection::vec(inner, 1..4).prop_flat_map(|members| {
                let most = members.len();
                (1..=most, Just(members)).prop_map(|(threshold, members)| Tree::Group(threshold, members))
            })
        })
    }

    /// Writes the lines of a tree; returns its name.
    fn write(tree: &Tree, witnesses: &mut u8, groups: &mut usize, lines: &mut String) -> String {
        match tree {
            Tree::Witness => {
                let name = format!("w{witnesses}");
                lines.push_str(&format!("witness {name} {}\n", vkey(*witnesses)));
                *witnesses += 1;
                name
            }
            Tree::Group(threshold, members) => {
                let names: Vec<_> = members.iter().map(|member| write(member, witnesses, groups, lines)).collect();
                let name = format!("g{groups}");
                *groups += 1;
                let threshold = match *threshold {
                    1 if groups.is_multiple_of(2) => "any".to_owned(),
                    all if all == members.len() && groups.is_multiple_of(2) => "all".to_owned(),
                    number => number.to_string(),
                };
                lines.push_str(&format!("group {name} {threshold} {}\n", names.join(" ")));
                name
            }
        }
    }

    fn naive(tree: &Tree, next: &mut usize, cosigned: u32) -> bool {
        match tree {
            Tree::Witness => {
                *next += 1;
                cosigned & (1 << (*next - 1)) != 0
            }
            Tree::Group(threshold, members) => {
                let mut count = 0;
                for member in members {
                    count += usize::from(naive(member, next, cosigned));
                }
                count >= *threshold
            }
        }
    }

    proptest! {
        #[test]
        fn a_quorum_is_what_its_tree_says(tree in tree(), cosigned: u32) {
            let (mut witnesses, mut groups, mut lines) = (0, 0, String::new());
            let quorum = write(&tree, &mut witnesses, &mut groups, &mut lines);
            prop_assume!(usize::from(witnesses) <= MAX_POLICY_NAMES && groups <= MAX_POLICY_NAMES);
            let policy: WitnessPolicy = format!("{lines}quorum {quorum}\n").parse().unwrap();
            prop_assert_eq!(policy.is_met(|number| cosigned & (1 << number) != 0), naive(&tree, &mut 0, cosigned));
        }

        #[test]
        fn no_text_panics(text in "((log|witness|group|quorum|#)?[ \t]?[a-z0-9+/= \t]{0,30}\n){0,6}") {
            let _ = text.parse::<WitnessPolicy>();
        }
    }
}
