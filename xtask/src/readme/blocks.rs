//! Finding the shell blocks of a Markdown file.

use anyhow::{Result, bail};

/// A fenced shell block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Line of its first command, counted from 1.
    pub(crate) line: usize,
    /// Run by `--all` only.
    pub(crate) only_all: bool,
    /// It stays running; what it prints when the next block may begin.
    pub(crate) until: Option<String>,
    /// The commands.
    pub(crate) script: String,
}

/// Names for a shell that Markdown renderers know; only the first is used here.
const SHELLS: &[&str] = &["sh", "bash", "shell", "console", "zsh", "shell-session"];

/// Every shell block, in order.
///
/// # Errors
/// One line per block whose info string is not understood, with what is expected.
pub(crate) fn parse(text: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut wrong = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some((fence, info)) = opening(line) else { continue };
        let script: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != fence).collect();
        match tags(info) {
            Ok(None) => {}
            Ok(Some((only_all, until))) => {
                blocks.push(Block { line: number + 2, only_all, until, script: script.join("\n") + "\n" });
            }
            Err(expected) => wrong.push(format!("README.md:{}: {expected}", number + 1)),
        }
    }
    if wrong.is_empty() { Ok(blocks) } else { bail!("{}", wrong.join("\n")) }
}

/// The fence and the info string of a line that opens a block.
fn opening(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    ["```", "~~~"].into_iter().find_map(|fence| Some((fence, line.strip_prefix(fence)?.trim())))
}

/// Reads an info string: `None` for a block that is not a shell's.
fn tags(info: &str) -> Result<Option<(bool, Option<String>)>, String> {
    let (language, tags) = info.split_once(' ').unwrap_or((info, ""));
    if language.is_empty() {
        return Err("a block says what it is: ```text for a picture or a screen, ```sh ci for commands".to_owned());
    }
    if !SHELLS.contains(&language) {
        return Ok(None);
    }
    if language != "sh" {
        return Err(format!("a shell block begins ```sh ci or ```sh all, not ```{language}"));
    }
    let (tier, rest) = tags.trim().split_once(' ').unwrap_or((tags.trim(), ""));
    let only_all = match tier {
        "ci" => false,
        "all" => true,
        _ => return Err("a shell block says who runs it: ```sh ci for every run, ```sh all for ci --all only".to_owned()),
    };
    let until = match rest.trim() {
        "" => None,
        rest => {
            let quoted = rest.strip_prefix("until=\"").and_then(|rest| rest.strip_suffix('"')).filter(|text| !text.is_empty());
            Some(
                quoted
                    .ok_or_else(|| {
                        format!("{rest} is not understood; a block that stays is tagged until=\"what it prints when ready\"")
                    })?
                    .to_owned(),
            )
        }
    };
    Ok(Some((only_all, until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_blocks_are_found_in_order() {
        let text = "# Try it\n```text\na picture\n```\n\n```sh ci until=\"ready in\"\nlab\n```\n```yaml\na: b\n```\n```sh all\none\ntwo\n```\n";
        let expected = vec![
            Block { line: 7, only_all: false, until: Some("ready in".to_owned()), script: "lab\n".to_owned() },
            Block { line: 13, only_all: true, until: None, script: "one\ntwo\n".to_owned() },
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn blocks_that_nobody_would_run_are_refused() {
        for (info, expected) in [
            ("sh", "says who runs it"),
            ("sh later", "says who runs it"),
            ("bash ci", "not ```bash"),
            ("console", "not ```console"),
            ("", "```text"),
            ("sh ci forever", "forever is not understood"),
            ("sh ci until=\"\"", "is not understood"),
        ] {
            let error = parse(&format!("text\n```{info}\ntrue\n```\n")).unwrap_err().to_string();
            assert!(error.starts_with("README.md:2: ") && error.contains(expected), "{info}: {error}");
        }
    }
}
