//! Wrong tokens, by where they came from: after a few, each costs a longer wait. A right one is never slowed down from
//! anywhere else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong ones that cost nothing: people mistype.
const FREE: u32 = 5;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// After so long all is forgotten.
const MEMORY: Duration = Duration::from_secs(15 * 60);

/// Addresses that are remembered; beyond that the oldest is forgotten.
const ADDRESSES_MAX: usize = 1024;

/// Who tried what when.
#[derive(Default)]
pub(super) struct Tries(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn wait(self) -> Duration {
        match self.count.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(more) => Duration::from_secs(1 << more.min(6)).min(WAIT_MAX),
        }
    }
}

impl Tries {
    /// How long nothing from there is looked at; none where it may try.
    pub(super) fn wait(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let failures = *self.lock().get(&network(peer))?;
        let left = (failures.last + failures.wait()).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A wrong token came from there.
    pub(super) fn failed(&self, peer: IpAddr, now: Instant) {
        let mut all = self.lock();
        all.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        if all.len() >= ADDRESSES_MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, failures)| failures.last)
        {
            let oldest = *oldest.0;
            all.remove(&oldest);
        }
        let failures = all.entry(network(peer)).or_insert(Failures {
            count: 0,
            last: now,
        });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }

    /// The right token came from there.
    pub(super) fn succeeded(&self, peer: IpAddr) {
        self.lock().remove(&network(peer));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has one address of version 6 has the 2^64 beside it.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_cost_ever_longer_waits() {
        let (tries, start) = (Tries::default(), Instant::now());
        let (bad, good): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for _ in 0..FREE - 1 {
            tries.failed(bad, start);
        }
        assert_eq!(tries.wait(bad, start), None);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..9 {
            tries.failed(bad, now);
            let wait = tries
                .wait("2001:db8::2".parse().unwrap(), now)
                .expect("the neighbour waits too");
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(tries.wait(bad, now), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(tries.wait(good, now), None);
        tries.succeeded(bad);
        tries.failed(bad, now);
        assert_eq!(tries.wait(bad, now), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (tries, now) = (Tries::default(), Instant::now());
        for n in 0..5000_u32 {
            tries.failed(IpAddr::V4(n.into()), now);
        }
        assert_eq!(tries.lock().len(), ADDRESSES_MAX);
        tries.failed("192.0.2.1".parse().unwrap(), now + MEMORY);
        assert_eq!(tries.lock().len(), 1);
    }
}
