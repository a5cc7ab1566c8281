//! What `strace` saw: system calls with the files they were about, in the order of time.

use std::ffi::OsString;
use std::path::Path;

/// The calls worth recording: what arrives on sockets, what is answered, and what goes to disk.
const CALLS: &str = "read,recvfrom,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync";

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
    /// The file or socket it was about, as the kernel names it: a path, or `socket:[INODE]`.
    pub file: String,
    /// The rest of its arguments, escaped as strace escapes them.
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

/// `SECONDS.MICROS NAME(FD<FILE>, …) = RESULT <DURATION>`; `None` for a call that failed or was cut short.
fn parse(line: &str) -> Option<Call> {
    let (time, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once('(')?;
    let (rest, duration) = rest.strip_suffix('>')?.rsplit_once(" <")?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    result.split(' ').next()?.parse::<u64>().ok()?;
    let (_, arguments) = arguments.split_once('<')?;
    let (file, arguments) = arguments.split_once('>')?;
    let begun = micros(time)?;
    Some(Call {
        begun,
        ended: begun + micros(duration)?,
        name: name.to_owned(),
        file: file.to_owned(),
        arguments: arguments.to_owned(),
    })
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

    #[test]
    fn failed_and_unfinished_calls_are_left_out() {
        assert_eq!(parse("1700000000.5 recvfrom(3<socket:[1]>, 0x1, 2, 0, NULL, NULL) = -1 EAGAIN (Again) <0.000004>"), None);
        assert_eq!(parse("1700000000.5 read(3<socket:[1]>,  <unfinished ...>"), None);
        assert_eq!(parse("1700000000.5 +++ exited with 0 +++"), None);
    }
}
