//! Forms that change something: each carries a word of ours that only the page it was shown on can have, and counts once.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::OnceCell;

use super::session::{Seal, Session};
use crate::doctor::Check;

/// How long a form may lie open.
const LIFE: TimeDelta = TimeDelta::minutes(30);

/// How far the clocks of two replicas may be apart.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// Forms that are remembered; beyond that the oldest is forgotten, and the audit still tells.
const DONE_MAX: usize = 4096;

const NONCE: usize = 16;

/// Somebody who is logged in, and may change something.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(super) session: Session,
    pub(super) seal: Seal,
}

/// One form that was shown, come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    nonce: [u8; NONCE],
    shown_at: i64,
}

impl Form {
    /// What it is called in the audit.
    pub(crate) fn key(&self) -> String {
        let start = self.nonce[..8].iter();
        start.map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Operator {
    /// The word for a form. `purpose` is what the form does and to what: the word is good for nothing else.
    pub(crate) fn word(&self, purpose: &str, now: DateTime<Utc>) -> String {
        let mut content = [0; NONCE + 8];
        // Without random numbers there is no word, and the form comes back in vain.
        if SystemRandom::new().fill(&mut content[..NONCE]).is_err() {
            return String::new();
        }
        content[NONCE..].copy_from_slice(&now.timestamp().to_be_bytes());
        self.seal.close(&self.bound(purpose), &content)
    }

    /// The form that came back with this word; nothing if it was not shown in this session for this purpose, or too long ago.
    pub(crate) fn form(&self, purpose: &str, word: &str, now: DateTime<Utc>) -> Option<Form> {
        let content: [u8; NONCE + 8] = self.seal.open(&self.bound(purpose), word)?;
        let (nonce, shown) = content.split_at(NONCE);
        let form = Form {
            nonce: nonce.try_into().ok()?,
            shown_at: i64::from_be_bytes(shown.try_into().ok()?),
        };
        let age = TimeDelta::seconds(now.timestamp().saturating_sub(form.shown_at));
        (-SKEW..=LIFE).contains(&age).then_some(form)
    }

    fn bound(&self, purpose: &str) -> String {
        let id: String = self
            .session
            .id()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("form {id} {purpose}")
    }
}

/// What became of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is told at this address of ours.
    See(String),
    /// What a test of a destination found.
    Found(Arc<Vec<Check>>),
}

/// What became of the forms that came back to this process. Another process asks the audit.
#[derive(Clone, Default)]
pub(crate) struct Forms(Arc<Mutex<HashMap<Form, Arc<OnceCell<Done>>>>>);

impl Forms {
    /// Does what a form asks for, once: whoever sends it again, at the same time or later, gets what became of it, and
    /// true. After an error it may be sent again. What has begun goes on when the browser does not wait.
    pub(crate) async fn once<E: Send + 'static>(
        &self,
        form: Form,
        work: impl Future<Output = Result<Done, E>> + Send + 'static,
    ) -> Result<(Done, bool), E> {
        let cell = self.cell(form);
        let is_repeat = Arc::strong_count(&cell) > 2 || cell.initialized();
        let doing = tokio::spawn(async move { cell.get_or_try_init(|| work).await.cloned() });
        match doing.await {
            Ok(done) => done.map(|done| (done, is_repeat)),
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }

    fn cell(&self, form: Form) -> Arc<OnceCell<Done>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&form)
            && all.len() >= DONE_MAX
            && let Some(oldest) = all.keys().min_by_key(|one| one.shown_at).copied()
        {
            all.remove(&oldest);
        }
        all.entry(form).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::config::secret::Secret;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
    }

    fn operator() -> Operator {
        Operator {
            session: Session::begin(at(0)).expect("random numbers"),
            seal: Seal::of(&Secret::new("a-token-that-nobody-guesses")),
        }
    }

    #[test]
    fn a_word_is_good_for_one_purpose_one_session_and_half_an_hour() {
        let (mine, other) = (operator(), operator());
        let word = mine.word("pause meta", at(0));
        assert!(mine.form("pause meta", &word, at(1800)).is_some());
        assert_eq!(mine.form("pause meta", &word, at(1801)), None);
        assert_eq!(mine.form("pause ga4", &word, at(0)), None);
        assert_eq!(other.form("pause meta", &word, at(0)), None);
        assert_eq!(mine.form("pause meta", "", at(0)), None);
        assert_ne!(word, mine.word("pause meta", at(0)));
    }

    #[tokio::test]
    async fn a_form_counts_once_however_often_it_comes() {
        let (operator, forms) = (operator(), Forms::default());
        let word = operator.word("x", at(0));
        let form = operator.form("x", &word, at(0)).expect("ours");
        let times = Arc::new(AtomicU32::new(0));
        let work = |fails: bool| {
            let times = Arc::clone(&times);
            async move {
                tokio::task::yield_now().await;
                let time = times.fetch_add(1, Ordering::Relaxed);
                if fails {
                    Err(())
                } else {
                    Ok(Done::See(format!("/{time}")))
                }
            }
        };
        let see = |address: &str| Done::See(address.to_owned());
        assert_eq!(forms.once(form, work(true)).await, Err(()));
        let both = tokio::join!(forms.once(form, work(false)), forms.once(form, work(false)));
        assert_eq!(both, (Ok((see("/1"), false)), Ok((see("/1"), true))));
        assert_eq!(forms.once(form, work(false)).await, Ok((see("/1"), true)));
        // A browser that does not wait does not stop it.
        let next = operator
            .form("x", &operator.word("x", at(1)), at(1))
            .expect("ours");
        let mut gone = Box::pin(forms.once(next, work(false)));
        assert!(futures::poll!(gone.as_mut()).is_pending());
        drop(gone);
        assert_eq!(forms.once(next, work(false)).await, Ok((see("/2"), true)));
    }
}
