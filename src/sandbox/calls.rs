//! Calls that carry no event: token endpoints and status look-ups, counted by path. Not for events, which have rows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::exchange::Platform;

/// How often one path was called, and with what answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// Calls begun.
    pub calls: u64,
    /// Answers by HTTP status; a call whose connection was cut is absent.
    pub statuses: BTreeMap<u16, u64>,
    /// Most calls under way at one time. A worker that refreshes one token at a time stays at 1.
    pub at_once_max: u64,
    #[serde(skip)]
    at_once: u64,
}

/// The counts of all paths.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<(Platform, String), CallCount>);

impl Calls {
    /// A call begins.
    pub(super) fn begin(&mut self, platform: Platform, path: &str) {
        let count = self.0.entry((platform, path.to_owned())).or_default();
        count.calls += 1;
        count.at_once += 1;
        count.at_once_max = count.at_once_max.max(count.at_once);
    }

    /// A call ends with this status; without one its connection was cut.
    pub(super) fn end(&mut self, platform: Platform, path: &str, status: Option<u16>) {
        // Begun before a reset: there is nothing to end any more.
        let Some(count) = self.0.get_mut(&(platform, path.to_owned())) else {
            return;
        };
        count.at_once = count.at_once.saturating_sub(1);
        if let Some(status) = status {
            *count.statuses.entry(status).or_default() += 1;
        }
    }

    /// The count of one path; zeros if it was never called.
    pub(super) fn of(&self, platform: Platform, path: &str) -> CallCount {
        let found = self.0.get(&(platform, path.to_owned()));
        found.cloned().unwrap_or_default()
    }

    /// All counts, by platform and path.
    pub(super) fn list(&self) -> impl Iterator<Item = (Platform, &str, &CallCount)> {
        self.0
            .iter()
            .map(|((platform, path), count)| (*platform, path.as_str(), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_path_with_how_many_there_were_at_once() {
        let mut calls = Calls::default();
        let (ads, path) = (Platform::GoogleAds, "/token");
        calls.begin(ads, path);
        calls.end(ads, path, Some(200));
        calls.begin(ads, path);
        calls.begin(ads, path);
        calls.end(ads, path, Some(400));
        calls.end(ads, path, None);
        calls.end(ads, "/never/begun", Some(200));
        let count = calls.of(ads, path);
        assert_eq!((count.calls, count.at_once_max), (3, 2));
        assert_eq!(count.statuses, [(200, 1), (400, 1)].into());
        assert_eq!(calls.of(Platform::LinkedIn, path), CallCount::default());
        assert_eq!(calls.list().count(), 1);
    }
}
