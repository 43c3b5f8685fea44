//! The payload of one event for one destination, and the proof that a retry says what the first try said.

use sha2::{Digest, Sha256};

use super::adjustment::Role;
use super::{Case, Decision, Prior, Surroundings, end};
use crate::config::destination::DestinationConfig;
use crate::consent::{self, Kind, Permit};
use crate::conversion::{Adjusted, Conversion};
use crate::destinations::{Item, Unsendable};
use crate::event::OutboxEvent;
use crate::identity::Rules;
use crate::original::Original;
use crate::outcome::{Reason, State};

/// A retry says what the first try said, or less of the person if consent, the policy or the row's own data were
/// reduced since; never anything else.
pub(super) fn repeatable(
    event: &OutboxEvent,
    around: &Surroundings,
    prior: &Prior,
    permit: Permit,
    build: impl Fn(Permit) -> Result<Item, Decision>,
) -> Result<(Permit, Item), Decision> {
    let (Some(first_permit), Some(first_hash)) = (prior.permit, prior.payload_hash) else {
        return Ok((permit, build(permit)?));
    };
    let reduced = permit.and(first_permit);
    // Data of a kind that was removed from the row: the first payload cannot be made any more to compare with.
    let is_gone =
        |(_, kind): &(_, Kind)| first_permit.allows(*kind) && !consent::is_there(event, *kind);
    let is_removed = around.removed.is_some() || Kind::NAMES.iter().any(is_gone);
    match build(first_permit) {
        Ok(item) if item.hash == first_hash && reduced == first_permit => Ok((reduced, item)),
        Ok(item) if item.hash == first_hash => Ok((reduced, build(reduced)?)),
        _ if is_removed => Ok((reduced, build(reduced)?)),
        _ => Err(end(State::Rejected, Reason::PayloadChanged)),
    }
}

/// The event's part of the body, under a permit.
pub(super) fn build(
    case: &Case<'_>,
    destination: &DestinationConfig,
    rules: &Rules,
    permit: Permit,
) -> Result<Item, Decision> {
    let left = case.original.map(Original::left);
    let adjusted = case.original.and_then(|original| {
        let of = original.event.as_ref().ok()?;
        let (before, after) = left.as_ref()?;
        let (changed_at, updated_at) = original.changed_at()?;
        Some(Adjusted {
            event_id: &of.event_id,
            business_id: &of.business_id,
            occurred_at: of.occurred_at,
            money: of.money.as_ref(),
            action_source: of.action_source.as_deref(),
            page_url: of.page_url.as_deref(),
            changed_at,
            updated_at,
            before,
            after,
        })
    });
    let permitted = permit.over(&case.event);
    let family = destination.platform().needs().family;
    let conversion = Conversion::new(
        case.name,
        &permitted,
        case.role != Role::Event,
        adjusted,
        family,
        rules,
    );
    let item = destination
        .settings
        .item(&conversion)
        .map_err(|unsendable| match unsendable {
            Unsendable::NoIdentifier => end(State::Skipped, Reason::NoIdentifier),
            Unsendable::Invalid(field) => {
                Decision::End(State::Rejected, Reason::InvalidPayload, Some(field))
            }
        })?;
    Ok(salted(item, case.event.payload_salt.as_deref()))
}

/// The hash outlives the person's data, and must not then confirm a guess of an address. So it is taken together with the
/// event's salt, which goes when they go.
fn salted(item: Item, salt: Option<&[u8]>) -> Item {
    let Some(salt) = salt else { return item };
    let hash = Sha256::new()
        .chain_update(salt)
        .chain_update(item.hash)
        .finalize();
    Item {
        hash: hash.into(),
        ..item
    }
}
