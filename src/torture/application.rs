//! The application: several connections that live through the stories, each write in a transaction of its own, whatever
//! happens to the database meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls};

use super::history::{Ending, History, Operation};
use super::shop::{self, Kind, Story, Told, Write};
use super::stage::Stage;
use super::{Options, WRITERS};
use crate::demo::people::Person;
use crate::demo::random::Random;
use crate::sandbox::{Fault, FaultKind, Platform, Sandbox};

const NOTE_FACT: &str = include_str!("../../sql/torture/note_fact.sql");
const ENQUEUE: &str = include_str!("../../sql/torture/enqueue.sql");
const WITHDRAW: &str = include_str!("../../sql/torture/withdraw.sql");

/// How long a write is tried again while the database is away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(150);

/// The longest pause between two stories of a connection.
const BREATH_MS: u64 = 160;

/// The running application.
pub(super) struct Writers(JoinSet<()>);

impl Writers {
    /// Waits until every story that has begun is told.
    pub(super) async fn finish(mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.0.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// Starts writing, until the time of the options is over.
pub(super) fn start(options: &Options, stage: &Stage, history: &Arc<History>) -> Writers {
    let next = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + options.length;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let mut writer = Writer {
            number,
            url: stage.application_url(),
            sandbox: stage.sandbox.clone(),
            history: history.clone(),
            first: None,
            second: None,
        };
        let (next, seed, start) = (next.clone(), options.seed, stage.start);
        writers.spawn(async move {
            let mut random = Random::of(seed, u64::MAX - number);
            while Instant::now() < until {
                let told = next.fetch_add(1, Ordering::Relaxed);
                writer.tell(&shop::story(seed, told, start)).await;
                tokio::time::sleep(Duration::from_millis(random.below(BREATH_MS))).await;
            }
        });
    }
    Writers(writers)
}

/// One connection of the application, and a second one for what happens at the same time.
struct Writer {
    number: u64,
    url: String,
    sandbox: Arc<Sandbox>,
    history: Arc<History>,
    first: Option<Client>,
    second: Option<Client>,
}

impl Writer {
    async fn tell(&mut self, story: &Story) {
        if story.kind == Kind::Poison {
            self.poison(story);
        }
        for step in story.steps() {
            match step.as_slice() {
                [one, other] => {
                    let hand = Hand::of(self.number, &self.url, &self.history);
                    let (first, second) = (&mut self.first, &mut self.second);
                    tokio::join!(
                        hand.write(first, one, &story.person),
                        hand.write(second, other, &story.person)
                    );
                }
                writes => {
                    for write in writes {
                        let hand = Hand::of(self.number, &self.url, &self.history);
                        hand.write(&mut self.first, write, &story.person).await;
                    }
                }
            }
        }
    }

    /// Meta is going to refuse every request that holds this event, without saying which event it is.
    fn poison(&self, story: &Story) {
        let refused = Fault {
            platform: Some(Platform::Meta),
            event_id: Some(story.id()),
            code: Some(100),
            subcode: Some(2_804_019),
            ..Fault::of(FaultKind::MetaError)
        };
        self.sandbox
            .add_fault(refused)
            .expect("a rule that makes sense");
        self.history.noted().poison.insert(story.id());
    }
}

/// What a write needs beside its connection.
#[derive(Clone, Copy)]
struct Hand<'a> {
    writer: u64,
    url: &'a str,
    history: &'a History,
}

impl<'a> Hand<'a> {
    fn of(writer: u64, url: &'a str, history: &'a History) -> Hand<'a> {
        Hand {
            writer,
            url,
            history,
        }
    }

    /// Writes until it is committed, as an application does whose webhook comes again; a write that is to be rolled back is
    /// tried once.
    async fn write(self, connection: &mut Option<Client>, write: &Write, person: &Person) {
        let until = Instant::now() + PATIENCE;
        loop {
            let began_at = Utc::now();
            let ending = match self.connected(connection).await {
                Some(client) => transact(client, write, person).await,
                None => Ending::Failed,
            };
            self.note(write, began_at, ending);
            if ending != Ending::Ok {
                *connection = None;
            }
            if ending == Ending::Ok || write.rolls_back || Instant::now() >= until {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn connected(self, connection: &mut Option<Client>) -> Option<&mut Client> {
        if connection.as_ref().is_none_or(Client::is_closed) {
            let (client, driver) = tokio_postgres::connect(self.url, NoTls).await.ok()?;
            tokio::spawn(driver);
            *connection = Some(client);
        }
        connection.as_mut()
    }

    fn note(self, write: &Write, began_at: DateTime<Utc>, ending: Ending) {
        let ids = write.events.iter().map(|told| &told.event_id);
        let withdrawn = write.withdraws.iter().map(|(id, _)| id);
        for id in ids.chain(withdrawn) {
            self.history.ended(Operation {
                writer: self.writer,
                what: write.what,
                id: id.clone(),
                began_at,
                ended_at: Utc::now(),
                // What was told otherwise did not happen so, and what was rolled back did not happen at all.
                ending: if write.rolls_back {
                    Ending::Failed
                } else {
                    ending
                },
            });
        }
    }
}

async fn transact(client: &mut Client, write: &Write, person: &Person) -> Ending {
    let written = async {
        let transaction = client.transaction().await?;
        for told in &write.events {
            if !write.is_false {
                note_fact(&transaction, told).await?;
            }
            enqueue(&transaction, told, person).await?;
        }
        if let Some((business_id, is_erasure)) = &write.withdraws {
            let params: [(&(dyn ToSql + Sync), Type); 2] =
                [(business_id, Type::TEXT), (is_erasure, Type::BOOL)];
            transaction.query_typed(WITHDRAW, &params).await?;
        }
        Ok::<_, tokio_postgres::Error>(transaction)
    };
    match written.await {
        Err(_) => Ending::Failed,
        Ok(transaction) if write.rolls_back => {
            drop(transaction.rollback().await);
            Ending::Failed
        }
        Ok(transaction) => match transaction.commit().await {
            Ok(()) => Ending::Ok,
            // A refusal is clear; silence is not.
            Err(error) if error.code().is_some() && !error.is_closed() => Ending::Failed,
            Err(_) => Ending::Unknown,
        },
    }
}

async fn note_fact(
    transaction: &tokio_postgres::Transaction<'_>,
    told: &Told,
) -> Result<(), tokio_postgres::Error> {
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&told.event_id, Type::TEXT),
        (&told.name, Type::TEXT),
        (&told.business_id, Type::TEXT),
        (&told.cents, Type::INT8),
        (&told.at, Type::TIMESTAMPTZ),
    ];
    transaction.query_typed(NOTE_FACT, &params).await.map(drop)
}

async fn enqueue(
    transaction: &tokio_postgres::Transaction<'_>,
    told: &Told,
    person: &Person,
) -> Result<(), tokio_postgres::Error> {
    let (consent, user_data, click_ids): (Value, Value, Value) = (
        person.consent(told.at),
        person.user_data(),
        person.click_ids(told.at),
    );
    let params: [(&(dyn ToSql + Sync), Type); 9] = [
        (&told.event_id, Type::TEXT),
        (&told.name, Type::TEXT),
        (&told.business_id, Type::TEXT),
        (&told.cents, Type::INT8),
        (&told.at, Type::TIMESTAMPTZ),
        (&consent, Type::JSONB),
        (&user_data, Type::JSONB),
        (&click_ids, Type::JSONB),
        (&told.depends_on, Type::TEXT),
    ];
    transaction.query_typed(ENQUEUE, &params).await.map(drop)
}
