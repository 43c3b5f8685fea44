//! Hands a request to the emulator of its platform. The only place that knows them all. Not for rules of any
//! platform.

use chrono::{DateTime, Utc};

use super::accounts::Accounts;
use super::counted::Book;
use super::exchange::{Arrived, Judgement, Platform, Reading, Reply};
use super::faults::Processing;
use super::ledger::Ledger;
use super::worlds::Worlds;
use super::{MetaMode, data_manager, ga4, google, google_ads, linkedin, meta};

/// What an emulator may look at, and change, besides the request.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) accounts: &'a Accounts,
    pub(super) worlds: &'a mut Worlds,
    pub(super) ledger: &'a Ledger,
    pub(super) meta_mode: MetaMode,
    /// What fault rules say about the processing that follows the answer.
    pub(super) processing: &'a Processing,
    pub(super) now: DateTime<Utc>,
}

/// Whether a path never carries events: a token endpoint, a status look-up. The ledger counts such calls and writes
/// no row for them, and a sink answers them as any sandbox does.
pub(super) fn is_call(platform: Platform, path: &str) -> bool {
    match platform {
        Platform::Meta => meta::is_report(path),
        Platform::Ga4 => ga4::is_report(path) || path == google::TOKEN_PATH,
        Platform::GoogleDataManager => {
            path == google::TOKEN_PATH || path == data_manager::STATUS_PATH
        }
        Platform::GoogleAds => path == google::TOKEN_PATH || google_ads::is_call(path),
        Platform::LinkedIn => [
            linkedin::TOKEN_PATH,
            linkedin::RULES_PATH,
            linkedin::REPORT_PATH,
        ]
        .contains(&path),
    }
}

/// Reads a request without judging it. Worlds tell only whose account something belongs to.
pub(super) fn read(arrived: &Arrived, worlds: &Worlds) -> Reading {
    match arrived.platform {
        Platform::Meta => meta::read(arrived),
        Platform::Ga4 | Platform::GoogleDataManager | Platform::GoogleAds
            if arrived.path == google::TOKEN_PATH =>
        {
            Reading::nothing()
        }
        Platform::Ga4 => ga4::read(arrived),
        Platform::GoogleDataManager => data_manager::read(arrived),
        Platform::GoogleAds => google_ads::read(arrived),
        Platform::LinkedIn => linkedin::read(arrived, &worlds.linkedin),
    }
}

/// Judges a request that was read.
pub(super) fn judge(arrived: &Arrived, reading: &Reading, around: Surroundings<'_>) -> Judgement {
    if is_report(arrived) {
        return Judgement::of_call(report(arrived, around));
    }
    let (world, now) = (&mut around.worlds.google, around.now);
    match arrived.platform {
        Platform::Ga4 | Platform::GoogleDataManager | Platform::GoogleAds
            if arrived.path == google::TOKEN_PATH =>
        {
            google::answer_token(arrived, world, now)
        }
        Platform::Meta => meta::judge(arrived, reading, around.accounts, around.meta_mode, now),
        Platform::Ga4 => ga4::judge(arrived, reading, around.accounts, now),
        Platform::GoogleDataManager => {
            data_manager::judge(arrived, reading, world, around.processing, now)
        }
        Platform::GoogleAds => google_ads::judge(arrived, reading, world, around.processing, now),
        Platform::LinkedIn => linkedin::judge(
            arrived,
            reading,
            &mut around.worlds.linkedin,
            around.processing,
            now,
        ),
    }
}

/// Whether a request asks what the platform counted.
fn is_report(arrived: &Arrived) -> bool {
    match arrived.platform {
        Platform::Meta => meta::is_report(&arrived.path),
        Platform::Ga4 => ga4::is_report(&arrived.path),
        Platform::GoogleDataManager => false,
        Platform::GoogleAds => google_ads::is_report(arrived),
        Platform::LinkedIn => arrived.path == linkedin::REPORT_PATH,
    }
}

/// What a platform says it counted.
fn report(arrived: &Arrived, around: Surroundings<'_>) -> Reply {
    let worlds = around.worlds;
    let has_room = worlds.reporting.ask(arrived.platform);
    let book = &Book {
        ledger: around.ledger,
        settings: worlds.reporting.settings(),
        now: around.now,
    };
    match arrived.platform {
        Platform::Meta => meta::answer_report(arrived, around.accounts, has_room, book),
        Platform::Ga4 => ga4::answer_report(arrived, &worlds.google, has_room, book),
        Platform::GoogleDataManager | Platform::GoogleAds => {
            google_ads::answer_report(arrived, &mut worlds.google, has_room, book)
        }
        Platform::LinkedIn => linkedin::answer_report(arrived, &worlds.linkedin, has_room, book),
    }
}

/// A text that stands in each event of the platform once: a sink counts it instead of reading JSON.
pub(super) fn sink_marker(platform: Platform) -> &'static str {
    match platform {
        Platform::Meta => "\"action_source\"",
        Platform::Ga4 => "\"name\"",
        Platform::GoogleDataManager => data_manager::SINK_MARKER,
        Platform::GoogleAds => google_ads::SINK_MARKER,
        Platform::LinkedIn => linkedin::SINK_MARKER,
    }
}

/// What a sink answers to a request with this many events.
pub(super) fn sink_reply(platform: Platform, event_count: usize) -> Reply {
    match platform {
        // Meta wants to hear the number of events.
        Platform::Meta => Reply::text(
            200,
            "application/json; charset=UTF-8",
            format!(r#"{{"events_received":{event_count},"messages":[],"fbtrace_id":"Asink"}}"#),
        ),
        Platform::Ga4 => Reply::empty(204),
        Platform::GoogleDataManager => data_manager::sink_reply(),
        Platform::GoogleAds => google_ads::sink_reply(event_count),
        Platform::LinkedIn => linkedin::sink_reply(event_count),
    }
}
