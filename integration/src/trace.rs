//! What `strace` saw: system calls with the files they were about, in the order of time.

use std::ffi::OsString;
use std::path::Path;

/// The calls worth recording: what arrives on sockets, what is answered, and what goes to disk.
const CALLS: &str = "read,recvfrom,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync,rename,renameat,renameat2";

/// `strace` with flags such that [`read`] understands what it writes to `folder`.
///
/// `-D` makes the traced program the started process, `-ff` gives each thread a file, so that no line is split, `-y` names files
/// and sockets, and `-s` is longer than a database page.
#[must_use]
pub fn strace(folder: &Path) -> Vec<OsString> {
    let strace = testkit::on_path("strace").into_os_string();
    let output = folder.join("trace").into_os_string();
    let flags = ["-D", "-ff", "-ttt", "-T", "-y", "-s", "9000", "-e", "signal=none", "-e"].map(OsString::from);
    std::iter::once(strace).chain(flags).chain([format!("trace={CALLS}").into(), "-o".into(), output]).collect()
}

/// One system call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it began, in microseconds since the epoch.
    pub begun: u64,
    /// When it returned.
    pub ended: u64,
    /// Its name.
    pub name: String,
    /// The file or socket it was about, as the kernel names it: a path, or `socket:[INODE]`. For a file that was renamed, its new name.
    pub file: String,
    /// The rest of its arguments, escaped as strace escapes them. For a file that was renamed, its old name.
    pub arguments: String,
}

impl Call {
    /// Whether it makes what was written before durable.
    #[must_use]
    pub fn is_sync(&self) -> bool {
        self.name == "fsync" || self.name == "fdatasync"
    }

    /// Whether it writes.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.name.as_str(), "write" | "writev" | "sendto" | "sendmsg" | "pwrite64" | "pwritev")
    }

    /// Whether it gives a file another name.
    #[must_use]
    pub fn is_rename(&self) -> bool {
        self.name.starts_with("rename")
    }

    fn is_request(&self, word: &str) -> bool {
        let reads = !self.is_write() && !self.is_sync() && !self.is_rename();
        self.file.starts_with("socket:") && reads && self.arguments.contains(word)
    }

    fn answers(&self, request: &Self, status: &str) -> bool {
        let line = format!("HTTP/1.1 {status} ");
        self.is_write() && self.file == request.file && self.begun >= request.ended && self.arguments.contains(&line)
    }
}

/// Reads every thread's file in `folder`, ordered by the beginning of each call.
///
/// # Panics
/// There is nothing to read.
#[must_use]
pub fn read(folder: &Path) -> Vec<Call> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let traces = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("trace."));
    let mut calls: Vec<Call> = traces
        .flat_map(|entry| {
            let text = String::from_utf8_lossy(&std::fs::read(entry.path()).expect("it was just listed")).into_owned();
            text.lines().filter_map(parse).collect::<Vec<_>>()
        })
        .collect();
    assert!(!calls.is_empty(), "strace recorded nothing; may this user trace processes?");
    calls.sort_by_key(|call| call.begun);
    calls
}

/// Checks one request that can be told from all others by a `word` in it: the word is written to a file whose name ends in `file`,
/// then that file is synced, and only after both have returned the answer with `status` goes out on the request's connection.
///
/// # Errors
/// What was not seen, or was too late.
pub fn synced_before_answered(calls: &[Call], word: &str, file: &str, status: &str) -> Result<(), String> {
    let seen = |what: &str, call: Option<&Call>| call.cloned().ok_or_else(|| format!("{word} was not seen to {what}"));
    let arrived = seen("arrive", calls.iter().find(|call| call.is_request(word)))?;
    let answered = seen("be answered", calls.iter().find(|call| call.answers(&arrived, status)))?;
    let of_file = || calls.iter().filter(|call| call.file.ends_with(file));
    let written = seen("be written", of_file().find(|call| call.is_write() && call.arguments.contains(word)))?;
    let synced = seen("be synced", of_file().find(|call| call.is_sync() && call.begun >= written.ended))?;
    if synced.ended <= answered.begun {
        return Ok(());
    }
    Err(format!("{word} was answered {} us before it was on disk", synced.ended - answered.begun))
}

/// Checks one upload of a blob that can be told from all others by the hexadecimal digits of its digest. In this order: its bytes are
/// written to a file, that file is synced, it gets its name below `folder`, the folder that this name is in is synced, a row about it
/// is written to `database` and that is synced; and only then does the `201` go out.
///
/// # Errors
/// What was not seen, or was too early.
pub fn published_before_answered(calls: &[Call], hex: &str, folder: &str, database: &str) -> Result<(), String> {
    let seen = |what: &str, call: Option<&Call>| call.cloned().ok_or_else(|| format!("{hex} was not seen: {what}"));
    let name = format!("{folder}/sha256/{}/{hex}", &hex[..2]);
    let arrived = seen("its request", calls.iter().find(|call| call.is_request(&format!("digest=sha256:{hex}"))))?;
    let answered = seen("its answer", calls.iter().find(|call| call.answers(&arrived, "201")))?;
    let renamed = seen("its name", calls.iter().find(|call| call.is_rename() && call.file.ends_with(&name)))?;
    let written = calls.iter().rfind(|call| call.is_write() && call.file == renamed.arguments && call.ended <= renamed.begun);
    let written = seen("its bytes", written)?;
    let after = |call: &Call, before: &Call| call.is_sync() && call.begun >= before.ended;
    let synced = calls.iter().find(|call| after(call, &written) && call.file == renamed.arguments && call.ended <= renamed.begun);
    let _ = seen("its file on disk before it had its name", synced)?;
    let parent = renamed.file.rsplit_once('/').map_or("", |(parent, _)| parent);
    let named = seen("its name on disk", calls.iter().find(|call| after(call, &renamed) && call.file == parent))?;
    let row = seen("its row on disk", calls.iter().find(|call| after(call, &named) && call.file.ends_with(database)))?;
    if row.ended <= answered.begun {
        return Ok(());
    }
    Err(format!("{hex} was answered {} us before its row was on disk", row.ended - answered.begun))
}

/// Checks requests that were made one after the other, each with `word` in it: between request and answer, a file whose name ends
/// in `file` is written and then synced. Returns how many there were.
///
/// # Errors
/// The first that was not.
pub fn synced_within_requests(calls: &[Call], word: &str, file: &str, status: &str) -> Result<usize, String> {
    let mut requests = 0;
    for request in calls.iter().filter(|call| call.is_request(word)) {
        let answer = calls.iter().find(|call| call.answers(request, status)).ok_or("a request was not seen to be answered")?;
        let within =
            || calls.iter().filter(|call| call.file.ends_with(file) && call.begun >= request.ended && call.ended <= answer.begun);
        let written = within().find(|call| call.is_write()).ok_or_else(|| format!("{file} was not written before an answer"))?;
        if !within().any(|call| call.is_sync() && call.begun >= written.ended) {
            return Err(format!("{file} was written, and not synced before the answer"));
        }
        requests += 1;
    }
    Ok(requests)
}

/// `SECONDS.MICROS NAME(FD<FILE>, …) = RESULT <DURATION>`; `None` for a call that failed or was cut short.
fn parse(line: &str) -> Option<Call> {
    let (time, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once('(')?;
    let (rest, duration) = rest.strip_suffix('>')?.rsplit_once(" <")?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    result.split(' ').next()?.parse::<u64>().ok()?;
    let (file, arguments) = if name.starts_with("rename") { names(arguments)? } else { opened(arguments)? };
    let begun = micros(time)?;
    Some(Call {
        begun,
        ended: begun + micros(duration)?,
        name: name.to_owned(),
        file: file.to_owned(),
        arguments: arguments.to_owned(),
    })
}

/// The file behind the first argument, and the other arguments.
fn opened(arguments: &str) -> Option<(&str, &str)> {
    arguments.split_once('<')?.1.split_once('>')
}

/// The two names of a renamed file, the new one first.
fn names(arguments: &str) -> Option<(&str, &str)> {
    let mut quoted = arguments.split('"').skip(1).step_by(2);
    let (old, new) = (quoted.next()?, quoted.next()?);
    Some((new, old))
}

fn micros(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1_000_000 + format!("{fraction:0<6}").parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_strace_are_read() {
        let line = r#"1700000000.000100 pwrite64(12</d/rekor.db-wal>, "a = b <c>\0", 10, 32) = 10 <0.000021>"#;
        let call = parse(line).unwrap();
        assert_eq!((call.begun, call.ended), (1_700_000_000_000_100, 1_700_000_000_000_121));
        assert_eq!((call.name.as_str(), call.file.as_str(), call.is_write()), ("pwrite64", "/d/rekor.db-wal", true));
        assert!(call.arguments.contains(r#""a = b <c>\0""#));
        let sync = parse("1700000000.5 fdatasync(12</d/rekor.db-wal>) = 0 <0.004000>").unwrap();
        assert_eq!((sync.is_sync(), sync.ended - sync.begun), (true, 4_000));
    }

    fn call(begun: u64, name: &str, file: &str, arguments: &str) -> Call {
        Call { begun, ended: begun + 5, name: name.to_owned(), file: file.to_owned(), arguments: arguments.to_owned() }
    }

    /// A request for `x`, what is done about it, and its answer at 100.
    fn story(done: &[(u64, &str)]) -> Vec<Call> {
        let mut calls =
            vec![call(10, "recvfrom", "socket:[1]", "POST / x"), call(100, "writev", "socket:[1]", "HTTP/1.1 201 Created")];
        calls.extend(done.iter().map(|(begun, name)| call(*begun, name, "/d/a.db-wal", "page with x")));
        calls.sort_by_key(|call| call.begun);
        calls
    }

    #[test]
    fn an_answer_before_the_sync_is_noticed() {
        for (done, expected) in [
            (&[(20, "pwrite64"), (30, "fdatasync")][..], Ok(1)),
            (&[(20, "pwrite64"), (96, "fdatasync")], Err("on disk")),
            (&[(20, "pwrite64"), (24, "fdatasync")], Err("be synced")),
            (&[(20, "fdatasync"), (30, "pwrite64")], Err("be synced")),
            (&[(20, "fdatasync")], Err("be written")),
            (&[], Err("be written")),
        ] {
            let calls = story(done);
            let one = synced_before_answered(&calls, "x", ".db-wal", "201");
            assert_eq!(one.is_ok(), expected.is_ok(), "{done:?}: {one:?}");
            assert!(one.is_ok() || one.unwrap_err().contains(expected.unwrap_err()), "{done:?}");
            let all = synced_within_requests(&calls, "POST", ".db-wal", "201");
            assert_eq!(all.is_ok(), expected.is_ok(), "{done:?}: {all:?}");
        }
        let elsewhere = synced_before_answered(&story(&[(20, "pwrite64"), (30, "fdatasync")]), "x", "b.db-wal", "201");
        assert_eq!(elsewhere, Err("x was not seen to be written".to_owned()));
    }

    #[test]
    fn a_renamed_file_has_two_names() {
        for line in [
            r#"1700000000.5 rename("/d/uploads/1", "/d/sha256/ab/abc") = 0 <0.000100>"#,
            r#"1700000000.5 renameat2(AT_FDCWD</>, "/d/uploads/1", AT_FDCWD</>, "/d/sha256/ab/abc", 0) = 0 <0.000100>"#,
        ] {
            let call = parse(line).unwrap();
            assert!(call.is_rename());
            assert_eq!((call.file.as_str(), call.arguments.as_str()), ("/d/sha256/ab/abc", "/d/uploads/1"));
        }
    }

    #[test]
    fn each_step_of_publishing_a_blob_is_looked_for() {
        let mut renamed = call(40, "rename", "/d/blobs/sha256/ab/abc", "/d/blobs/uploads/1");
        renamed.ended = 45;
        let steps = [
            call(20, "pwrite64", "/d/blobs/uploads/1", "bytes"),
            call(30, "fsync", "/d/blobs/uploads/1", ""),
            renamed,
            call(50, "fsync", "/d/blobs/sha256/ab", ""),
            call(60, "fdatasync", "/d/gateway.db-wal", ""),
        ];
        let ends = [
            call(10, "recvfrom", "socket:[1]", "PUT /x?digest=sha256:abc HTTP/1.1"),
            call(100, "writev", "socket:[1]", "HTTP/1.1 201 Created"),
        ];
        let check = |steps: &[Call]| {
            let mut calls = [steps, &ends].concat();
            calls.sort_by_key(|call| call.begun);
            published_before_answered(&calls, "abc", "/blobs", ".db-wal")
        };
        assert_eq!(check(&steps), Ok(()));
        for left_out in 0..steps.len() {
            let mut fewer = steps.to_vec();
            fewer.remove(left_out);
            assert!(check(&fewer).is_err(), "{:?}", steps[left_out]);
            // As bad as not at all: after the answer.
            let mut late = steps.to_vec();
            late[left_out].begun = 200;
            late[left_out].ended = 205;
            assert!(check(&late).is_err(), "{:?}", steps[left_out]);
        }
    }

    #[test]
    fn failed_and_unfinished_calls_are_left_out() {
        assert_eq!(parse("1700000000.5 recvfrom(3<socket:[1]>, 0x1, 2, 0, NULL, NULL) = -1 EAGAIN (Again) <0.000004>"), None);
        assert_eq!(parse("1700000000.5 read(3<socket:[1]>,  <unfinished ...>"), None);
        assert_eq!(parse("1700000000.5 +++ exited with 0 +++"), None);
    }
}
