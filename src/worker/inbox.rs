//! The jobs that wait in a lane, in three classes that take turns: fresh conversions, deliveries that waited in the database,
//! and what a person asked for again. So none of them is stuck behind another, however many there are.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::lane::Job;

/// Why a job is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Just committed.
    Fresh,
    /// It waited in the database: for a retry, for its original, for room.
    Waiting,
    /// A person asked for it again.
    Replayed,
}

const CLASSES: usize = 3;

/// The jobs of one lane.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queues: Mutex<Queues>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    classes: [VecDeque<Job>; CLASSES],
    /// Whose turn it is.
    turn: usize,
}

impl Inbox {
    /// Adds a job.
    pub(super) fn push(&self, class: Class, job: Job) {
        self.queues().classes[class as usize].push_back(job);
        self.arrived.notify_one();
    }

    /// How many jobs of a class wait.
    pub(super) fn len(&self, class: Class) -> usize {
        self.queues().classes[class as usize].len()
    }

    /// Waits for jobs and takes up to so many: of the class whose turn it is, and what is missing of the others. For one
    /// taker only. Nothing is lost when the future is dropped.
    pub(super) async fn take(&self, max: usize) -> Vec<Job> {
        loop {
            let jobs = self.queues().take(max);
            if !jobs.is_empty() {
                return jobs;
            }
            self.arrived.notified().await;
        }
    }

    /// Takes everything.
    pub(super) fn clear(&self) -> Vec<Job> {
        self.queues().take(usize::MAX)
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn take(&mut self, max: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        let first = (0..CLASSES)
            .map(|n| (self.turn + n) % CLASSES)
            .find(|&class| !self.classes[class].is_empty());
        let Some(first) = first else {
            return jobs;
        };
        for class in (0..CLASSES).map(|n| (first + n) % CLASSES) {
            let queue = &mut self.classes[class];
            let missing = (max - jobs.len()).min(queue.len());
            jobs.extend(queue.drain(..missing));
        }
        self.turn = (first + 1) % CLASSES;
        jobs
    }
}
