//! Sessions of operators in a browser: begun with the token, told by a cookie, ended by time, by logging out, or by a new token.
//!
//! A session is kept nowhere: its cookie says when it began and when it was last used, under a seal that is made from the
//! token. So every replica behind one address takes it, a restart ends none, and whoever replaces the token ends all. The
//! price: a replica that did not see somebody log out would take that cookie as long as it is used, eight hours at most, if
//! anybody still had it; the browser has not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::secret::Secret;

/// Its longest life, used or not.
const LIFE: TimeDelta = TimeDelta::hours(8);

/// How long it may lie unused.
const IDLE: TimeDelta = TimeDelta::minutes(30);

/// How often its use is written down.
const FRESH: TimeDelta = TimeDelta::minutes(1);

/// How far the clocks of two replicas may be apart.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// Logged out sessions that are remembered; beyond that the oldest is forgotten.
const ENDED_MAX: usize = 1024;

const ID: usize = 32;
const TIME: usize = 8;
const MAC: usize = 32;

/// Signs and verifies what one token stands behind. Replaced with the token.
#[derive(Clone)]
pub(crate) struct Seal(Arc<hmac::Key>);

impl Seal {
    /// Of this token. Whoever has a sealed text learns nothing of the token but what guessing it 16 characters long would.
    pub(super) fn of(token: &Secret) -> Seal {
        let token = hmac::Key::new(hmac::HMAC_SHA256, token.expose().as_bytes());
        let key = hmac::sign(&token, b"conversion-outbox admin session v1");
        Seal(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())))
    }

    /// The text with its seal behind it, fit for a cookie or a form. `purpose` keeps seals of one kind from passing for another.
    pub(super) fn close(&self, purpose: &str, content: &[u8]) -> String {
        let mut sealed = content.to_vec();
        sealed.extend_from_slice(hmac::sign(&self.0, &self.signed(purpose, content)).as_ref());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The content, if the seal is ours. Takes the same time for every wrong one.
    pub(super) fn open<const N: usize>(&self, purpose: &str, text: &str) -> Option<[u8; N]> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, mac) = sealed.split_at_checked(N)?;
        if mac.len() != MAC {
            return None;
        }
        hmac::verify(&self.0, &self.signed(purpose, content), mac).ok()?;
        content.try_into().ok()
    }

    /// With the length of the purpose before it: no purpose and content can pass for two others.
    fn signed(&self, purpose: &str, content: &[u8]) -> Vec<u8> {
        let mut signed = (purpose.len() as u64).to_be_bytes().to_vec();
        signed.extend_from_slice(purpose.as_bytes());
        signed.extend_from_slice(content);
        signed
    }
}

/// One session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    id: [u8; ID],
    began_at: i64,
    used_at: i64,
}

impl Session {
    /// A new one, of an id that nobody can have handed to the browser before.
    pub(super) fn begin(now: DateTime<Utc>) -> Option<Session> {
        let mut id = [0; ID];
        SystemRandom::new().fill(&mut id).ok()?;
        Some(Session {
            id,
            began_at: now.timestamp(),
            used_at: now.timestamp(),
        })
    }

    /// What the cookie says, if it is ours and not over.
    pub(super) fn read(seal: &Seal, cookie: &str, now: DateTime<Utc>) -> Option<Session> {
        let content: [u8; ID + 2 * TIME] = seal.open("session", cookie)?;
        let (id, times) = content.split_at(ID);
        let (began, used) = times.split_at(TIME);
        let session = Session {
            id: id.try_into().ok()?,
            began_at: i64::from_be_bytes(began.try_into().ok()?),
            used_at: i64::from_be_bytes(used.try_into().ok()?),
        };
        let age = |since: i64| TimeDelta::seconds(now.timestamp().saturating_sub(since));
        let is_within = |since, limit| (-SKEW..=limit).contains(&age(since));
        (is_within(session.began_at, LIFE) && is_within(session.used_at, IDLE)).then_some(session)
    }

    /// The value of its cookie.
    pub(super) fn cookie(&self, seal: &Seal) -> String {
        let content = [
            &self.id[..],
            &self.began_at.to_be_bytes(),
            &self.used_at.to_be_bytes(),
        ];
        seal.close("session", &content.concat())
    }

    /// The same session, used now; nothing where that is on record as it is.
    pub(super) fn used(self, now: DateTime<Utc>) -> Option<Session> {
        let used_at = now.timestamp();
        (used_at - self.used_at >= FRESH.num_seconds()).then_some(Session { used_at, ..self })
    }

    /// The id, which forms of this session carry under their seal.
    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }
}

/// The sessions that were logged out here, until they would be over anyhow.
#[derive(Default)]
pub(super) struct Ended(Mutex<HashMap<[u8; ID], i64>>);

impl Ended {
    /// From now on this session is none.
    pub(super) fn add(&self, session: &Session, now: DateTime<Utc>) {
        let mut all = self.lock();
        let over = now.timestamp() - (LIFE + SKEW).num_seconds();
        all.retain(|_, began_at| *began_at >= over);
        if all.len() >= ENDED_MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, at)| **at).map(|(id, _)| *id)
        {
            all.remove(&oldest);
        }
        all.insert(session.id, session.began_at);
    }

    /// Whether it was logged out.
    pub(super) fn holds(&self, session: &Session) -> bool {
        self.lock().contains_key(&session.id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; ID], i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
    }

    fn seal(token: &str) -> Seal {
        Seal::of(&Secret::new(token))
    }

    #[test]
    fn a_session_ends_by_time_and_by_another_token() {
        let seal = seal("a-token-that-nobody-guesses");
        let session = Session::begin(at(0)).expect("random numbers");
        let cookie = session.cookie(&seal);
        assert_eq!(Session::read(&seal, &cookie, at(0)), Some(session));
        // Of a replica whose clock is a little ahead, and of one whose clock is wrong.
        assert!(Session::read(&seal, &cookie, at(-60)).is_some());
        assert!(Session::read(&seal, &cookie, at(-61)).is_none());
        assert!(Session::read(&seal, &cookie, at(1800)).is_some());
        assert!(Session::read(&seal, &cookie, at(1801)).is_none(), "idle");
        let other = super::tests::seal("a-token-that-nobody-guesseS");
        assert!(Session::read(&other, &cookie, at(0)).is_none());

        assert_eq!(session.used(at(59)), None);
        let mut used = session;
        for minutes in (20..=480).step_by(20) {
            used = used.used(at(minutes * 60)).expect("a minute passed");
            assert!(Session::read(&seal, &used.cookie(&seal), at(minutes * 60)).is_some());
        }
        let last = used.cookie(&seal);
        assert!(
            Session::read(&seal, &last, at(8 * 3600 + 1)).is_none(),
            "eight hours"
        );
    }

    #[test]
    fn no_changed_byte_passes() {
        let seal = seal("a-token-that-nobody-guesses");
        let cookie = Session::begin(at(0)).expect("random numbers").cookie(&seal);
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).expect("ours");
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert!(Session::read(&seal, &changed, at(0)).is_none(), "{place}");
        }
        let cut = URL_SAFE_NO_PAD.encode(&bytes[1..]);
        for wrong in ["", "x", cut.as_str(), "é", &format!("{cookie}AA")] {
            assert!(Session::read(&seal, wrong, at(0)).is_none(), "{wrong}");
        }
        // What is sealed as something else is no session.
        let content: [u8; ID + 2 * TIME] = seal.open("session", &cookie).expect("ours");
        assert!(Session::read(&seal, &seal.close("form", &content), at(0)).is_none());
    }

    #[test]
    fn who_logged_out_is_remembered_within_bounds() {
        let ended = Ended::default();
        let session = Session::begin(at(0)).expect("random numbers");
        ended.add(&session, at(0));
        assert!(ended.holds(&session.used(at(120)).expect("later")));
        for second in 1..2000 {
            ended.add(
                &Session::begin(at(second)).expect("random numbers"),
                at(second),
            );
        }
        assert_eq!(ended.lock().len(), ENDED_MAX);
        ended.add(&session, at(10 * 3600));
        assert_eq!(ended.lock().len(), 1);
    }
}
