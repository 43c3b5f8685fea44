//! Gathers results and writes them together, every few milliseconds; knows which events are finished.
//!
//! One task, so that nothing about an event's destinations can race. While the database is away it keeps its results
//! and tries again: they are facts, and nobody else knows them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tracing::Instrument;

use super::Shared;
use super::patience::Patience;
use super::tell;
use super::trace;
use crate::claim::Ticket;
use crate::db::error::DatabaseError;
use crate::settle::{self, Settlement};
use crate::telemetry::health::Part;
use crate::telemetry::spans;

/// With nothing to write for so long, the settler shows that it could.
const IDLE: Duration = Duration::from_secs(15);

/// What the other tasks report.
#[derive(Debug)]
pub(super) enum Message {
    /// An event was claimed and has so many destinations to go. The permit is its place among the events in memory.
    Opened(Ticket, usize, OwnedSemaphorePermit),
    /// A delivery has a result.
    Settled(Settlement),
    /// A delivery row exists now and carries its own lease; the queue row need not wait for it.
    HandedOver(Ticket),
    /// A delivery now belongs to another worker.
    Lost(Ticket),
    /// A delivery was claimed and not sent, and will not be.
    Unsent(Ticket, String),
}

/// Events in memory and results not yet written.
#[derive(Default)]
struct Book {
    open: HashMap<i64, Open>,
    results: Vec<Settlement>,
    finished: Vec<Ticket>,
    unsent: Vec<(Ticket, String)>,
    released: Vec<OwnedSemaphorePermit>,
}

struct Open {
    ticket: Ticket,
    to_go: usize,
    unsent: usize,
    place: OwnedSemaphorePermit,
}

/// Runs until every sender is gone, then writes the rest and releases what was never sent.
pub(super) async fn run(
    mut messages: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    give_up_at: Arc<std::sync::OnceLock<Instant>>,
) {
    // An idle worker shows from the beginning that it could write.
    beat(&shared).await;
    let mut book = Book::default();
    let mut is_open = true;
    while is_open {
        match tokio::time::timeout(IDLE, messages.recv()).await {
            Ok(Some(message)) => book.enter(message),
            Ok(None) => break,
            Err(_) => {
                beat(&shared).await;
                continue;
            }
        }
        let full_at = Instant::now() + shared.worker.flush;
        while book.results.len() < shared.worker.flush_rows as usize {
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Some(message) => book.enter(message),
                    None => { is_open = false; break; }
                },
                () = tokio::time::sleep_until(full_at) => break,
            }
        }
        book.flush(&shared, &give_up_at).await;
    }
    book.flush(&shared, &give_up_at).await;
    book.release(&shared).await;
}

impl Book {
    fn enter(&mut self, message: Message) {
        match message {
            Message::Opened(ticket, 0, place) => {
                self.finished.push(ticket);
                self.released.push(place);
            }
            Message::Opened(ticket, to_go, place) => {
                self.open.insert(
                    ticket.event_no,
                    Open {
                        ticket,
                        to_go,
                        unsent: 0,
                        place,
                    },
                );
            }
            Message::Settled(settlement) => {
                let ticket = settlement.ticket;
                self.results.push(settlement);
                if ticket.is_fresh {
                    self.one_less(ticket);
                }
            }
            Message::HandedOver(ticket) => self.one_less(ticket),
            Message::Lost(ticket) => {
                if self.claimed(ticket).is_some() {
                    self.open.remove(&ticket.event_no);
                }
            }
            Message::Unsent(ticket, destination) => {
                if !ticket.is_fresh {
                    self.unsent.push((ticket, destination));
                } else if let Some(open) = self.claimed(ticket) {
                    open.unsent += 1;
                }
            }
        }
    }

    /// The event under this very claim. One that was lost and claimed again is another matter: what is left of the
    /// former claim must not count for it.
    fn claimed(&mut self, ticket: Ticket) -> Option<&mut Open> {
        self.open
            .get_mut(&ticket.event_no)
            .filter(|open| open.ticket == ticket)
    }

    fn one_less(&mut self, ticket: Ticket) {
        let Some(open) = self.claimed(ticket) else {
            return;
        };
        open.to_go -= 1;
        if open.to_go == 0 {
            let open = self
                .open
                .remove(&ticket.event_no)
                .expect("it was just found");
            self.finished.push(open.ticket);
            self.released.push(open.place);
        }
    }

    /// Writes everything gathered; tries until it succeeds or the shutdown's patience ends.
    async fn flush(&mut self, shared: &Shared, give_up_at: &std::sync::OnceLock<Instant>) {
        let now = Instant::now();
        // An event whose lease ran out belongs to others; nothing of ours may wait for it.
        self.open.retain(|_, open| open.ticket.expires_at > now);
        let mut patience = Patience::default();
        let mut is_in_doubt = false;
        if self.results.is_empty() && self.finished.is_empty() {
            return;
        }
        let told = self.results.iter().filter_map(trace::of_result);
        let span = spans::settle(told, self.results.len());
        while !(self.results.is_empty() && self.finished.is_empty()) {
            let statement = spans::write(&span);
            let error = match self
                .write(shared, is_in_doubt)
                .instrument(statement.clone())
                .await
            {
                Ok(written) => {
                    shared.is_behind.store(false, Ordering::Relaxed);
                    shared.metrics.unwritten(0);
                    shared.works(Part::Results);
                    shared.metrics.reached("settled", SystemTime::now());
                    return self.wrote(shared, &written);
                }
                Err(error) => error,
            };
            spans::write_failed(&statement, error.code());
            drop(statement);
            if error.is_about_data() {
                self.drop_unwritable(shared, &error).await;
                continue;
            }
            is_in_doubt |= error.is_in_doubt();
            shared.is_behind.store(true, Ordering::Relaxed);
            shared.metrics.unwritten(self.results.len());
            shared.fails(Part::Results, &error);
            if give_up_at.get().is_some_and(|at| Instant::now() >= *at) {
                spans::settle_failed(&span, error.code());
                tracing::error!(%error, deliveries = self.results.len(), "shutting down with results that could not be written; they will be sent again where the platform deduplicates");
                return;
            }
            tracing::warn!(%error, deliveries = self.results.len(), "results could not be written; trying again");
            tokio::time::sleep(patience.after_failure()).await;
        }
        // What could not be written at all is told and dropped: nothing waits any more.
        shared.is_behind.store(false, Ordering::Relaxed);
    }

    /// Writes everything, and returns what stands: after an answer that was lost, also what that try has written.
    async fn write(
        &self,
        shared: &Shared,
        is_in_doubt: bool,
    ) -> Result<HashSet<(i64, String)>, DatabaseError> {
        let database = &shared.database;
        let mut written =
            settle::settle(database, &self.results, &self.finished, shared.slot).await?;
        if is_in_doubt {
            let results = self.results.iter();
            let missing: Vec<&Settlement> = results
                .filter(|result| !is_among(&written, result))
                .collect();
            if !missing.is_empty() {
                written.extend(settle::settled_before(database, &missing).await?);
            }
        }
        Ok(written)
    }

    /// Everything is written, or belongs to others.
    fn wrote(&mut self, shared: &Shared, written: &HashSet<(i64, String)>) {
        let results = std::mem::take(&mut self.results);
        self.finished.clear();
        self.released.clear();
        let late = results
            .iter()
            .filter(|result| !told(shared, result, written))
            .count();
        if late > 0 {
            shared.metrics.settled_late(late as u64);
            tracing::warn!(
                deliveries = late,
                "results came after the lease was lost; another worker has these deliveries"
            );
        }
    }

    /// One result that the database refuses must not hold up the others: each is written by itself, and what is refused
    /// then is dropped. What fails for another reason stays. Where there is no result, it is about the finished events.
    async fn drop_unwritable(&mut self, shared: &Shared, refused: &DatabaseError) {
        match self.results.len() {
            0 => {
                tracing::error!(error = %refused, "finished events could not be closed; this is a defect, please report it");
                self.finished.clear();
                self.released.clear();
            }
            1 => tell::unwritable(&self.results.remove(0), refused),
            _ => {
                for result in std::mem::take(&mut self.results) {
                    let one = std::slice::from_ref(&result);
                    match settle::settle(&shared.database, one, &[], shared.slot).await {
                        Ok(written) => drop(told(shared, &result, &written)),
                        Err(error) if error.is_about_data() => tell::unwritable(&result, &error),
                        Err(_) => self.results.push(result),
                    }
                }
            }
        }
    }

    /// At the end: events none of whose remaining destinations was sent to go back, and so do unsent waiting deliveries.
    async fn release(&mut self, shared: &Shared) {
        let mut unsent = std::mem::take(&mut self.unsent);
        unsent.extend(
            self.open
                .values()
                .filter(|open| open.unsent == open.to_go)
                .map(|open| (open.ticket, String::new())),
        );
        if unsent.is_empty() {
            return;
        }
        match settle::release(&shared.database, &unsent).await {
            Ok(released) => tracing::info!(released, "gave back what was not sent"),
            Err(error) => {
                tracing::warn!(%error, "unsent work could not be given back; it comes back when its lease runs out")
            }
        }
    }
}

fn is_among(written: &HashSet<(i64, String)>, result: &Settlement) -> bool {
    written.contains(&(result.ticket.event_no, result.destination.clone()))
}

/// Counts and logs one result. Returns whether it was written at all.
fn told(shared: &Shared, result: &Settlement, written: &HashSet<(i64, String)>) -> bool {
    let is_written = is_among(written, result);
    if is_written {
        tell::written(shared, result);
        if let Some(rule) = &result.kept_by {
            shared.kept_back.wrote(&result.destination, rule);
        }
    }
    is_written
}

/// The statement that writes results, with none: whether it would go through.
async fn beat(shared: &Shared) {
    match settle::settle(&shared.database, &[], &[], shared.slot).await {
        Ok(_) => shared.metrics.reached("settled", SystemTime::now()),
        Err(error) => tracing::debug!(%error, "results could not be written if there were any"),
    }
}
