//! What all requests of one sandbox share, and the doors for a test in the same process. Not for HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::accounts::Accounts;
use super::clock::Clock;
use super::exchange::Platform;
use super::faults::Faults;
use super::ledger::Ledger;
use super::worlds::Worlds;
use super::{MetaMode, Recording};

/// The shared state. Locks are held for computing only, never across a wait.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) recording: Recording,
    pub(super) meta_mode: MetaMode,
    sink: [SinkCount; Platform::ALL.len()],
    ledger: Mutex<Ledger>,
    accounts: Mutex<Accounts>,
    faults: Mutex<Faults>,
    worlds: Mutex<Worlds>,
    /// Counts changes of the ledger, for whoever waits for one.
    changes: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
}

/// What a sink counts.
#[derive(Debug, Default, Serialize)]
pub(super) struct SinkCount {
    requests: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
}

/// What arrived at a sink of one platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SinkTotal {
    /// Requests.
    pub requests: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl SinkCount {
    pub(super) fn add(&self, events: u64, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn total(&self) -> SinkTotal {
        SinkTotal {
            requests: self.requests.load(Ordering::Relaxed),
            events: self.events.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    fn reset(&self) {
        for count in [&self.requests, &self.events, &self.bytes] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

impl State {
    pub(super) fn new(options: super::Options) -> State {
        let mut accounts = Accounts::default();
        for (platform, id, account) in options.accounts {
            accounts.put(platform, id, account);
        }
        State {
            clock: options.clock,
            recording: options.recording,
            meta_mode: options.meta_mode,
            sink: Default::default(),
            ledger: Mutex::new(Ledger::new(options.rows_max)),
            accounts: Mutex::new(accounts),
            faults: Mutex::default(),
            worlds: Mutex::default(),
            changes: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
        }
    }

    /// Reads the ledger.
    pub(super) fn read<R>(&self, read: impl FnOnce(&Ledger) -> R) -> R {
        read(&lock(&self.ledger))
    }

    /// Changes the ledger and wakes whoever waits.
    pub(super) fn write<R>(&self, write: impl FnOnce(&mut Ledger) -> R) -> R {
        let result = write(&mut lock(&self.ledger));
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Waits until the ledger satisfies the predicate. Asks again at each change, never by polling.
    pub(super) async fn wait_for(&self, mut satisfied: impl FnMut(&Ledger) -> bool) {
        // Subscribed before the first look, so that a change in between is not lost.
        let mut changes = self.changes.subscribe();
        while !self.read(&mut satisfied) {
            changes
                .changed()
                .await
                .expect("the state holds its own sender");
        }
    }

    pub(super) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        lock(&self.accounts)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// What the platforms know. Taken before the ledger where both are needed, never after it.
    pub(super) fn worlds(&self) -> MutexGuard<'_, Worlds> {
        lock(&self.worlds)
    }

    pub(super) fn sink_of(&self, platform: Platform) -> &SinkCount {
        &self.sink[platform as usize]
    }

    /// Forgets what arrived. Faults, accounts, credentials, tokens, registries and the clock stay.
    pub(super) fn reset(&self) {
        self.sink.iter().for_each(SinkCount::reset);
        self.worlds().forget();
        self.write(Ledger::reset);
    }

    /// Ends all waiting: held and delayed requests go on at once.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
        self.faults().clear();
    }

    /// Resolves when the sandbox stops.
    pub(super) async fn stopped(&self) {
        self.stopping
            .subscribe()
            .wait_for(|stop| *stop)
            .await
            .expect("the state holds its own sender");
    }
}

/// A panic in a test must not hide the ledger from the next assertion: the data stays readable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
