//! What a server costs, and how figures are shown.

use std::ops::{Add, Sub};

use std::time::Duration;

/// User and system time of a process, in the kernel's ticks of 10 ms.
pub(crate) fn cpu_time(process: u32) -> Duration {
    // The 12th and 13th field.
    let ticks: u64 = stat(process)[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// What processes have used since they began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Bytes that went to disk because of them, as the kernel counts: whole pages, each time they become dirty.
    pub(crate) written: u64,
}

impl Usage {
    /// Of one process alone.
    pub(crate) fn of(process: u32) -> Self {
        Self { cpu: cpu_time(process), written: written(process) }
    }

    /// Of a process and its children, those that have ended included.
    pub(crate) fn of_family(process: u32) -> Self {
        let ended: u64 = stat(process)[13..15].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
        let ended = Self { cpu: Duration::from_millis(ended * 10), written: 0 };
        // The kernel adds what a child has written to its parent's count when it ends.
        let family = children(process).into_iter().chain([process]);
        family.map(Self::of).fold(ended, |sum, usage| sum + usage)
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, written: self.written + other.written }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(earlier.cpu), written: self.written.saturating_sub(earlier.written) }
    }
}

/// Bytes that a process has written to disk; 0 of one that this user may not look into, or that has ended.
fn written(process: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn children(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("the server runs");
    let lists = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<_>>()).collect()
}

/// What the kernel says of a process after its name, which stands in brackets and may contain anything; all of it empty when it has ended.
fn stat(process: u32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or(&*stat, |(_, fields)| fields);
    fields.split(' ').map(ToOwned::to_owned).chain(std::iter::repeat_n("0".to_owned(), 50)).collect()
}

/// What a process keeps in memory.
pub(crate) fn resident_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says so");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

/// `0.26 ms`, `41 ms`, `2.1 s`.
pub(crate) fn shown(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.2} ms"),
        ..1000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.1} s", milliseconds / 1000.0),
    }
}
