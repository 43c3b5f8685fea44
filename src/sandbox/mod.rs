//! Emulated advertising platforms on loopback: strict by the platforms' documentation, with a ledger of what
//! arrived, scripted faults, a clock to move and a page to look at. They share no type with the adapters, so a
//! mistake in an adapter cannot hide in its emulator. Reports tell what the ledger holds. Not for a released image, and not
//! for matching.
//!
//! Meta answers at `/{version}/{dataset id}/events`, GA4 at `/mp/collect` and `/debug/mp/collect`, Google Data
//! Manager at `/v1/events:ingest`, Google Ads at `/{version}/customers/…`, LinkedIn at `/rest/…`, Google's token
//! endpoint at `/token`; reports at the platforms' own paths; all also below `/meta`, `/ga4`, `/google_data_manager` and so on. The sandbox's own API lives
//! below `/_sandbox/`.

mod accounts;
mod calls;
mod clock;
mod control;
mod counted;
mod currency;
pub mod data_manager;
mod dedup;
mod emulators;
mod exchange;
mod faults;
pub mod folder;
mod ga4;
pub mod google;
pub mod google_ads;
mod ledger;
pub mod linkedin;
mod listener;
mod meta;
mod page;
pub mod postgres;
mod report;
mod routes;
mod row;
mod server;
mod shape;
mod state;
mod worlds;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::accounts::{Account, TokenState};
pub use self::calls::CallCount;
pub use self::clock::Clock;
pub use self::counted::{Settings as ReportSettings, Zone};
pub use self::dedup::{Amount, Change, Conversion, ConversionKey};
pub use self::exchange::{Channel, Platform};
pub use self::faults::{BadFault, Fault, FaultKind};
pub use self::ledger::{AccountCount, Ledger};
pub use self::meta::MetaMode;
pub use self::row::{Row, Verdict};
pub use self::state::SinkTotal;

use self::exchange::{Heard, Judged, Repeats, Ruling};
use self::listener::{Cut, Loopback};
use self::row::Envelope;
use self::state::State;

/// How long a stopping sandbox waits for requests in flight. Held and delayed ones are let go first, so only a
/// client that stops reading its answer takes this long.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How much the ledger writes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recording {
    /// Rows with the event's JSON and the request's body.
    #[default]
    Everything,
    /// Rows without JSON and bodies.
    WithoutBodies,
    /// A sink: requests, events and bytes are counted, nothing is judged, everything is accepted. Faults that need
    /// the body do not strike. Costs next to nothing.
    CountOnly,
}

/// How a sandbox starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// A loopback address; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Where the time comes from.
    pub clock: Clock,
    /// How much is written down.
    pub recording: Recording,
    /// Most rows, and most conversion keys, in memory.
    pub rows_max: usize,
    /// How Meta treats a website event without a user agent.
    pub meta_mode: MetaMode,
    /// Known accounts. A platform without any takes every account and every non-empty token.
    pub accounts: Vec<(Platform, String, Account)>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            clock: Clock::system(),
            recording: Recording::default(),
            rows_max: 1_000_000,
            meta_mode: MetaMode::default(),
            accounts: Vec::new(),
        }
    }
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is reachable from elsewhere.
    #[error("the sandbox binds to loopback only, and {0} is not: use 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The operating system refuses the address.
    #[error(
        "cannot listen on {bind}: {error}; is another sandbox running there? Port 0 takes a free port"
    )]
    Bind {
        /// The address asked for.
        bind: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
}

/// An event the site's own tag sent to the platform, so that repeats across channels can be shown.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserEvent {
    /// Which platform.
    pub platform: Platform,
    /// Dataset id, measurement id, customer id or ad account id.
    pub account: String,
    /// The platform's event name; for Google and LinkedIn the conversion action or rule.
    pub event_name: String,
    /// The platform's id of the event: `event_id`, `transaction_id`, `order_id`.
    pub event_id: String,
}

/// A running sandbox. Dropping it stops it without waiting; [`Sandbox::shutdown`] waits.
#[derive(Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<io::Result<()>>,
}

impl Sandbox {
    /// Binds and serves in a task of its own.
    ///
    /// # Errors
    /// The address is not loopback, or cannot be bound.
    pub async fn start(options: Options) -> Result<Sandbox, StartError> {
        let bind = options.bind;
        if !bind.ip().is_loopback() {
            return Err(StartError::NotLoopback(bind));
        }
        let cannot = |error| StartError::Bind { bind, error };
        let listener = TcpListener::bind(bind).await.map_err(cannot)?;
        let addr = listener.local_addr().map_err(cannot)?;
        let state = Arc::new(State::new(options));
        let service = server::router(state.clone()).into_make_service_with_connect_info::<Cut>();
        let stop = state.clone();
        let serve = axum::serve(Loopback(listener), service)
            .with_graceful_shutdown(async move { stop.stopped().await });
        Ok(Sandbox {
            addr,
            state,
            server: tokio::spawn(serve.into_future()),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Reads the ledger, which stands still meanwhile: keep it short.
    pub fn read<R>(&self, read: impl FnOnce(&Ledger) -> R) -> R {
        self.state.read(read)
    }

    /// Waits, without polling, until the ledger satisfies the predicate.
    pub async fn wait_for(&self, satisfied: impl FnMut(&Ledger) -> bool) {
        self.state.wait_for(satisfied).await;
    }

    /// What a sink counted for a platform.
    #[must_use]
    pub fn sink_total(&self, platform: Platform) -> SinkTotal {
        self.state.sink_of(platform).total()
    }

    /// Forgets what arrived; faults, accounts, credentials, tokens, registries and the clock stay.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Adds a fault rule and gives its id.
    ///
    /// # Errors
    /// The rule contradicts itself.
    pub fn add_fault(&self, fault: Fault) -> Result<u64, BadFault> {
        self.state.faults().add(fault)
    }

    /// Removes a fault rule and lets go whoever it holds; says whether it existed.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.state.faults().remove(id)
    }

    /// Removes all fault rules.
    pub fn clear_faults(&self) {
        self.state.faults().clear();
    }

    /// Lets go whoever a hold rule holds, and everybody after; says whether the rule exists.
    pub fn release(&self, id: u64) -> bool {
        self.state.faults().release(id)
    }

    /// Waits, without polling, until a hold rule holds at least so many requests. Returns at once if there is no
    /// such rule.
    pub async fn held(&self, id: u64, count: u64) {
        let gate = self.state.faults().gate(id);
        if let Some(gate) = gate {
            gate.waiting(count).await;
        }
    }

    /// How often a fault rule struck; none if there is no such rule.
    #[must_use]
    pub fn struck(&self, id: u64) -> Option<u64> {
        self.state.faults().struck(id)
    }

    /// Makes an account known, or replaces its tokens. Nothing asks for accounts of the two Google platforms: see
    /// [`Sandbox::google`].
    pub fn put_account(&self, platform: Platform, id: &str, account: Account) {
        self.state.accounts().put(platform, id.to_owned(), account);
    }

    /// Looks at what Google knows, or changes it: credentials, tokens, conversion actions, clicks.
    pub fn google<R>(&self, visit: impl FnOnce(&mut google::World) -> R) -> R {
        visit(&mut self.state.worlds().google)
    }

    /// Looks at what LinkedIn knows, or changes it.
    pub fn linkedin<R>(&self, visit: impl FnOnce(&mut linkedin::World) -> R) -> R {
        visit(&mut self.state.worlds().linkedin)
    }

    /// Says how reports stand to what was counted: how late they are, what they leave out.
    pub fn set_up_reports(&self, settings: ReportSettings) {
        self.state.worlds().reporting.set_up(settings);
    }

    /// Moves the sandbox's clock to this distance from its base.
    pub fn set_clock_offset(&self, offset: TimeDelta) {
        self.state.clock.set_offset(offset);
    }

    /// Records an event of the browser channel and gives its verdict.
    pub fn record_browser(&self, event: BrowserEvent) -> Verdict {
        record_browser(&self.state, event)
    }

    /// Stops listening, lets held requests go, finishes those in flight and closes idle connections.
    pub async fn shutdown(mut self) {
        self.state.stop();
        if tokio::time::timeout(STOP_GRACE, &mut self.server)
            .await
            .is_err()
        {
            tracing::warn!(
                "a client of the sandbox did not finish its request; its connection is left behind"
            );
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.state.stop();
        self.server.abort();
    }
}

/// Runs a sandbox until `shutdown` resolves; `started` gets its address once it listens.
///
/// # Errors
/// The address is not loopback, or cannot be bound.
pub async fn serve(
    options: Options,
    started: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let sandbox = Sandbox::start(options).await?;
    started(sandbox.addr());
    shutdown.await;
    sandbox.shutdown().await;
    Ok(())
}

fn record_browser(state: &State, event: BrowserEvent) -> Verdict {
    let repeats = match event.platform {
        Platform::Meta => Repeats::DropAcrossChannels,
        Platform::Ga4 if event.event_name == "purchase" => Repeats::FirstStands,
        Platform::Ga4 => Repeats::CountAgain,
        // A tag and a server that share the transaction id give one conversion: the later one changes it.
        Platform::GoogleDataManager | Platform::GoogleAds => Repeats::Overwrite,
        Platform::LinkedIn => Repeats::TagStands,
    };
    let envelope = Envelope {
        platform: event.platform,
        account: event.account,
        path: String::new(),
        channel: Channel::Browser,
        received_at: state.clock.now(),
        status: None,
        digest: String::new(),
        body: bytes::Bytes::new(),
    };
    let heard = Heard {
        event_name: Some(event.event_name),
        event_id: Some(event.event_id.clone()),
        json: Value::Object(serde_json::Map::new()).to_string(),
        ..Heard::default()
    };
    let key = ConversionKey {
        platform: event.platform,
        account: envelope.account.clone(),
        event_name: heard.event_name.clone().unwrap_or_default(),
        key: event.event_id,
    };
    // Held until the ledger is written, as for requests.
    let mut worlds = state.worlds();
    let earlier = match event.platform {
        Platform::GoogleDataManager | Platform::GoogleAds => {
            worlds.google.hear_tag(&key, envelope.received_at)
        }
        Platform::Meta | Platform::Ga4 | Platform::LinkedIn => None,
    };
    let ruling = match earlier.filter(|earlier| *earlier != key) {
        Some(conversion) => Ruling::Adjust { conversion },
        None => Ruling::Take {
            key: key.key,
            repeats,
        },
    };
    let judged = Judged {
        ruling,
        reason: String::new(),
    };
    state.write(|ledger| {
        ledger.record(&envelope, vec![(heard, judged)]);
        ledger
            .rows()
            .next_back()
            .map_or(Verdict::Stored, |row| row.verdict)
    })
}

#[cfg(test)]
mod over_http;
