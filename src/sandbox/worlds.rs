//! What the platforms know beyond a list of accounts: credentials, conversion actions, clicks, requests in
//! processing. One world for each family of platforms. Not for what arrived, which is the ledger's.

use super::counted::Reporting;
use super::google;
use super::linkedin;

/// The worlds of all families.
#[derive(Debug, Default)]
pub(super) struct Worlds {
    pub(super) google: google::World,
    pub(super) linkedin: linkedin::World,
    pub(super) reporting: Reporting,
}

impl Worlds {
    /// Forgets what arrived; what was set up stays. LinkedIn's holds nothing else.
    pub(super) fn forget(&mut self) {
        self.google.forget();
    }
}
