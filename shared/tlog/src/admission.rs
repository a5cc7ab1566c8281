//! Who may come in: places for requests, bounded by entries and bytes, shared fairly between clients.
//!
//! A request takes its place before anything is done for it, and keeps it until its entry is written or refused; so what waits anywhere
//! between the network and the disk is bounded, and whoever finds no place has cost next to nothing.
//!
//! # Fair share
//! A client may have as many places as are free, and no more. Alone it gets half of them; a second one finds the other half free and takes
//! half of that, until each of `n` busy clients has one part of `n + 1`. Nobody can keep others out, and nobody configures shares.
//! IPv6 clients are told apart by their /64, of which anyone has all addresses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::{AppendError, Limits};

/// What a refused caller is told to wait: a batch takes milliseconds, a crowd a little longer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Admission {
    entries: usize,
    bytes: usize,
    /// Held for a few instructions at a time, never across an await.
    load: Mutex<Load>,
}

#[derive(Debug, Default)]
struct Load {
    all: Share,
    clients: HashMap<IpAddr, Share>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Share {
    entries: usize,
    bytes: usize,
}

/// Room for one entry on its way into the log. Dropped, it is free again.
#[derive(Debug)]
#[must_use = "a place that is dropped is given up"]
pub struct Place {
    admission: Arc<Admission>,
    client: Option<IpAddr>,
    bytes: usize,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { entries: limits.queue_entries, bytes: limits.queue_bytes, load: Mutex::default() }
    }

    /// A place for an entry of about `bytes`; without a client, in whatever is free.
    pub(crate) fn admit(self: &Arc<Self>, client: Option<IpAddr>, bytes: usize) -> Result<Place, AppendError> {
        let client = client.map(network);
        let mut load = self.lock();
        let free =
            Share { entries: self.entries.saturating_sub(load.all.entries), bytes: self.bytes.saturating_sub(load.all.bytes) };
        let mine = client.and_then(|client| load.clients.get(&client).copied()).unwrap_or_default();
        // The first entry of a client needs only to fit.
        let fair = mine == Share::default() || (mine.entries < free.entries && mine.bytes + bytes <= free.bytes);
        if free.entries == 0 || bytes > free.bytes || !fair {
            return Err(AppendError::Overloaded { retry_after: RETRY_AFTER });
        }
        load.all.add(bytes);
        if let Some(client) = client {
            load.clients.entry(client).or_default().add(bytes);
        }
        Ok(Place { admission: Arc::clone(self), client, bytes })
    }

    fn lock(&self) -> MutexGuard<'_, Load> {
        self.load.lock().expect("no panic while the lock is held")
    }
}

impl Share {
    fn add(&mut self, bytes: usize) {
        self.entries += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.entries -= 1;
        self.bytes -= bytes;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut load = self.admission.lock();
        load.all.remove(self.bytes);
        if let Some(Entry::Occupied(mut share)) = self.client.map(|client| load.clients.entry(client)) {
            share.get_mut().remove(self.bytes);
            // Addresses without places are forgotten: there are more of them than memory.
            if share.get().entries == 0 {
                share.remove();
            }
        }
    }
}

/// The addresses that one client has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn admission(entries: usize, bytes: usize) -> Arc<Admission> {
        Arc::new(Admission::new(&Limits { queue_entries: entries, queue_bytes: bytes, ..Limits::default() }))
    }

    fn client(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, n]))
    }

    /// As many places as `client` gets, for entries of `bytes` each.
    fn fill(admission: &Arc<Admission>, client: Option<IpAddr>, bytes: usize) -> Vec<Place> {
        std::iter::from_fn(|| admission.admit(client, bytes).ok()).collect()
    }

    #[test]
    fn one_client_gets_half_and_never_keeps_others_out() {
        let admission = admission(64, usize::MAX / 2);
        let first = fill(&admission, client(1), 1);
        let second = fill(&admission, client(2), 1);
        let third = fill(&admission, client(3), 1);
        assert_eq!((first.len(), second.len(), third.len()), (32, 16, 8));
        let without = fill(&admission, None, 1);
        assert_eq!(without.len(), 8, "without an address: whatever is free");
        assert!(matches!(admission.admit(client(4), 1), Err(AppendError::Overloaded { .. })));
        drop(first);
        assert_eq!(fill(&admission, client(4), 1).len(), 16);
    }

    #[test]
    fn busy_clients_come_to_have_equal_shares() {
        let admission = admission(90, usize::MAX / 2);
        let mut places: VecDeque<(u8, Place)> = fill(&admission, client(0), 1).into_iter().map(|place| (0, place)).collect();
        assert_eq!(places.len(), 45, "alone");
        for _ in 0..100 {
            // The oldest are written; both send more than there is room for.
            places.drain(..5);
            for who in [0, 1].repeat(10) {
                places.extend(admission.admit(client(who), 1).map(|place| (who, place)));
            }
        }
        let share = |who| places.iter().filter(|(of, _)| *of == who).count();
        assert!([0, 1].into_iter().all(|who| (28..=32).contains(&share(who))), "{} and {}", share(0), share(1));
    }

    #[test]
    fn bytes_are_bounded_and_shared_like_entries() {
        let admission = admission(usize::MAX / 2, 1_000);
        let large = fill(&admission, client(1), 100);
        assert_eq!(large.len(), 5);
        assert_eq!(fill(&admission, client(2), 100).len(), 3);
        assert!(admission.admit(client(3), 501).is_err());
        assert!(admission.admit(client(3), 500).is_ok(), "a first entry needs only to fit");
        drop(large);
        assert_eq!(admission.load.lock().unwrap().all, Share::default());
        assert!(admission.load.lock().unwrap().clients.is_empty(), "nobody is remembered");
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_a_64_of_ipv6() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
