//! The suppression list: people of whom nothing is to be told, whatever an event's consent says.
//!
//! The database holds keyed digests and no key; the worker holds the key. So neither alone tells who is on the list. A
//! digest is HMAC-SHA-256 over the kind and the SHA-256 of a normal form, so that rows which the application hashed itself
//! are found too. The digests in `withdrawal` are another thing: not keyed, by `external_id` only, and about consent given
//! before; both are honoured.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio_postgres::types::{ToSql, Type};

use crate::claim::Claimed;
use crate::config::privacy::PrivacyConfig;
use crate::config::secret::{Secret, SecretError, SecretRef};
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::decide::Suppression;
use crate::event::{OutboxEvent, UserData};
use crate::identity::{Hashed, SubjectKind, forms};

const SUPPRESSED: &str = include_str!("../sql/queries/suppressed.sql");
const KEYS: &str = include_str!("../sql/queries/suppression_keys.sql");

/// Bytes that a key must have. Fewer could be tried out.
const KEY_MIN: usize = 32;

/// Whom an entry concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Advertising platforms, and what analytics would pass on to them.
    Advertising,
    /// Every platform.
    All,
}

impl Scope {
    /// The word in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Advertising => "advertising",
            Scope::All => "all",
        }
    }

    fn parse(text: &str) -> Option<Scope> {
        [Scope::Advertising, Scope::All]
            .into_iter()
            .find(|scope| scope.as_str() == text)
    }
}

/// A digest of one form of one person.
pub type Subject = [u8; 32];

/// The keys that digests are made with: new ones with the first, and all that entries may have been made with.
#[derive(Clone, Debug)]
pub struct SubjectKeys(Vec<SubjectKey>);

#[derive(Clone, Debug)]
struct SubjectKey {
    id: String,
    key: Secret,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// One cannot be read.
    #[error("privacy.subject_key: {0}")]
    Secret(#[from] SecretError),
    /// One is too short to be a key.
    #[error(
        "privacy.subject_key: {0} holds fewer than 32 bytes. Fix: write 32 random bytes there, for example by `openssl rand -hex 32`, and keep them: without them the list is worth nothing"
    )]
    TooShort(SecretRef),
}

impl SubjectKeys {
    /// Reads the configured keys; nothing where none is configured.
    pub fn load(config: &PrivacyConfig) -> Result<Option<SubjectKeys>, KeyError> {
        let places = config.subject_key.iter().chain(&config.former_subject_keys);
        let keys: Vec<SubjectKey> = places
            .map(|place| {
                let key = place.load()?;
                if key.expose().len() < KEY_MIN {
                    return Err(KeyError::TooShort(place.clone()));
                }
                let id = key.fingerprint();
                Ok(SubjectKey { id, key })
            })
            .collect::<Result<_, _>>()?;
        Ok((!keys.is_empty()).then_some(SubjectKeys(keys)))
    }

    /// The fingerprint of the key that new entries are made with.
    pub fn current_id(&self) -> &str {
        &self.0[0].id
    }

    /// The digest of a form under the key that new entries are made with.
    pub fn current(&self, kind: SubjectKind, form: &Hashed) -> Subject {
        self.0[0].digest(kind, form)
    }

    /// The digests of a form under every key.
    pub fn all(&self, kind: SubjectKind, form: &Hashed) -> Vec<Subject> {
        self.0.iter().map(|key| key.digest(kind, form)).collect()
    }

    /// Everybody an event names.
    pub fn of_event(&self, event: &OutboxEvent, calling_code: Option<u16>) -> Vec<Subject> {
        forms_of(&event.user_data, calling_code)
            .iter()
            .flat_map(|(kind, form)| self.all(*kind, form))
            .collect()
    }

    fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }
}

/// Which of the keys that entries were made with nobody has configured here.
pub fn missing<'a>(keys: Option<&SubjectKeys>, used: &'a [String]) -> Vec<&'a str> {
    let is_missing = |id: &&String| !keys.is_some_and(|keys| keys.has(id));
    used.iter().filter(is_missing).map(String::as_str).collect()
}

/// The fingerprints of the keys that entries were made with; none while the list is empty.
pub async fn keys_in_use(database: &Database) -> Result<Vec<String>, DatabaseError> {
    let rows = database.query(KEYS, &[]).await?;
    rows.iter()
        .map(|row| row.try_get("key_id"))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

/// Says of each claimed event what the list says of it. One question for all of them, and none while the list is empty.
pub async fn mark(
    database: &Database,
    keys: Option<&SubjectKeys>,
    calling_code: Option<u16>,
    claimed: &mut [Claimed],
) {
    if let Some(keys) = keys {
        for one in claimed.iter_mut() {
            one.subjects = Arc::from(subjects(keys, one, calling_code));
        }
    }
    let used = claimed
        .first()
        .map(|one| one.suppression_keys.clone())
        .unwrap_or_default();
    if used.is_empty() {
        return;
    }
    let asked: BTreeSet<Subject> = claimed
        .iter()
        .flat_map(|one| one.subjects.iter().copied())
        .collect();
    let listed = match missing(keys, &used).as_slice() {
        [] => listed(database, asked).await.inspect_err(
            |error| tracing::warn!(%error, "the suppression list could not be asked; events wait"),
        ),
        missing => {
            tracing::error!(
                key_ids = missing.join(", "),
                advice = "name the key under [privacy] subject_key or former_subject_keys and restart the worker",
                "the suppression list has entries of a key that is not configured: nothing is sent"
            );
            for one in claimed {
                one.around.suppression = Some(Suppression::Unjudged);
            }
            return;
        }
    };
    for one in claimed {
        one.around.suppression = match &listed {
            Ok(listed) => widest(listed, &one.subjects).map(Suppression::Listed),
            Err(_) => Some(Suppression::Unjudged),
        };
    }
}

/// What the list says of an event that is not claimed.
pub async fn of(
    database: &Database,
    keys: Option<&SubjectKeys>,
    calling_code: Option<u16>,
    event: &OutboxEvent,
    lender: Option<&OutboxEvent>,
) -> Result<Option<Suppression>, DatabaseError> {
    let used = keys_in_use(database).await?;
    let Some(keys) = keys.filter(|keys| missing(Some(keys), &used).is_empty()) else {
        return Ok((!used.is_empty()).then_some(Suppression::Unjudged));
    };
    let subjects: Vec<Subject> = [event]
        .into_iter()
        .chain(lender)
        .flat_map(|event| keys.of_event(event, calling_code))
        .collect();
    let listed = listed(database, subjects.iter().copied().collect()).await?;
    Ok(widest(&listed, &subjects).map(Suppression::Listed))
}

/// Which of these are on the list.
pub async fn listed(
    database: &Database,
    subjects: BTreeSet<Subject>,
) -> Result<HashMap<Subject, Scope>, DatabaseError> {
    if subjects.is_empty() {
        return Ok(HashMap::new());
    }
    let subjects: Vec<&[u8]> = subjects.iter().map(<[u8; 32]>::as_slice).collect();
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&subjects, Type::BYTEA_ARRAY)];
    let rows = database.query(SUPPRESSED, &params).await?;
    let mut found = HashMap::new();
    for row in &rows {
        let subject: Vec<u8> = row.try_get("subject")?;
        let scope: String = row.try_get("scope")?;
        if let Ok(subject) = Subject::try_from(subject) {
            // A scope that nobody knows yet forbids everything.
            found.insert(subject, Scope::parse(&scope).unwrap_or(Scope::All));
        }
    }
    Ok(found)
}

/// The widest scope in which any of these is on the list.
pub fn widest(listed: &HashMap<Subject, Scope>, subjects: &[Subject]) -> Option<Scope> {
    subjects
        .iter()
        .filter_map(|subject| listed.get(subject))
        .max()
        .copied()
}

/// Everybody an event concerns: its own row's, and that of the event whose data it borrows.
fn subjects(keys: &SubjectKeys, claimed: &Claimed, calling_code: Option<u16>) -> Vec<Subject> {
    let original = claimed.around.original.as_ref();
    let lender = original.and_then(|original| original.event.as_ref().ok());
    claimed
        .event
        .iter()
        .map(|event| event.as_ref())
        .chain(lender)
        .flat_map(|event| keys.of_event(event, calling_code))
        .collect()
}

/// Everybody that a row names, in every form that may have been hashed.
pub fn forms_of(user: &UserData, calling_code: Option<u16>) -> Vec<(SubjectKind, Hashed)> {
    let country = user.text("country");
    let each = |kind, raw: &str| {
        let forms = forms(kind, raw, country, calling_code).into_iter();
        forms.map(move |form| (kind, form))
    };
    let email = user
        .email
        .iter()
        .map(|raw| (SubjectKind::Email, raw.as_str()));
    let phone = user
        .phone
        .iter()
        .map(|raw| (SubjectKind::Phone, raw.as_str()));
    let id = user
        .text("external_id")
        .map(|raw| (SubjectKind::ExternalId, raw));
    email
        .chain(phone)
        .chain(id)
        .flat_map(|(kind, raw)| each(kind, raw))
        .collect()
}

impl SubjectKey {
    fn digest(&self, kind: SubjectKind, form: &Hashed) -> Subject {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(kind.as_str().as_bytes());
        mac.update(b":");
        mac.update(form.as_str().as_bytes());
        mac.finalize().into_bytes().into()
    }
}
