//! The conversions Google holds, by conversion action and identity. One memory for both APIs: an order that Data
//! Manager took can be retracted by the Google Ads API. Not for values and counts, which the ledger keeps.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::sandbox::dedup::ConversionKey;

/// One conversion that was taken.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Stored {
    /// Under which key the ledger counts it.
    pub(in crate::sandbox) key: ConversionKey,
    /// When it happened, by its event.
    pub(in crate::sandbox) happened_at: DateTime<Utc>,
    /// Whether it came with user data. A later event adds its own only if not.
    pub(in crate::sandbox) has_user_data: bool,
    /// The time its last adjustment names.
    pub(in crate::sandbox) adjusted_at: Option<DateTime<Utc>>,
    /// Whether it was taken back.
    pub(in crate::sandbox) is_retracted: bool,
}

/// All conversions: by action id, then by identity. An order id or transaction id stands as it is; a conversion
/// without one may use any text that no order id can be.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Conversions(BTreeMap<(String, String), Stored>);

impl Conversions {
    /// The conversion of this action with this identity.
    pub(in crate::sandbox) fn get(&self, action: &str, identity: &str) -> Option<&Stored> {
        self.0.get(&(action.to_owned(), identity.to_owned()))
    }

    /// The same, to change it.
    pub(in crate::sandbox) fn get_mut(
        &mut self,
        action: &str,
        identity: &str,
    ) -> Option<&mut Stored> {
        self.0.get_mut(&(action.to_owned(), identity.to_owned()))
    }

    /// Takes a conversion, in place of one of the same identity.
    pub(in crate::sandbox) fn put(&mut self, action: &str, identity: &str, stored: Stored) {
        self.0
            .insert((action.to_owned(), identity.to_owned()), stored);
    }

    /// How many there are.
    pub(in crate::sandbox) fn len(&self) -> usize {
        self.0.len()
    }
}
