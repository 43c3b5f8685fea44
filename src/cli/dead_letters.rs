//! `dead-letters`: what ended without having arrived for certain, why, and what to do about it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::by_hand::{self, Which, stamp};
use super::rights::{READER, needs};
use super::runs::{self, ReplayArgs};
use super::{ConfigFile, DatabaseArgs, block_on, output, usage};
use crate::db::connect::Database;
use crate::operations::dead_letters::{self, DeadLetter, Group};
use crate::operations::known::{self, KnownError};
use crate::operations::{Filter, life};
use crate::outcome::Reason;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show dead letters (rejected, uncertain, exhausted), newest first.
    List(ListArgs),
    /// Show all that is known of one event's dead letters: every try, what is in doubt and since when, by what the platform
    /// would recognise a repeat, and whether it may be sent again.
    Show(ShowArgs),
    /// Have dead letters sent again. Shows what would be done, unless --yes is given.
    ///
    /// What was accepted or sent is never sent again. What was certainly not taken goes as configuration and mapping make it
    /// now; what may have been taken goes exactly as before or not at all.
    Replay(ReplayArgs),
    /// End dead letters as cancelled: nobody needs to look at them any more. Shows what would be done, unless --yes is given.
    ///
    /// What was skipped counts as never sent: refunds of it are not told either.
    Skip(runs::Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only those of these events.
    #[arg(value_name = "EVENT_ID")]
    event_ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// For this reason, such as refused_by_platform.
    #[arg(long, value_name = "REASON", value_parser = word)]
    reason: Option<Reason>,
    /// Sum up by destination, state, reason and code, with what to do.
    #[arg(long, value_name = "WHAT", value_parser = ["reason"])]
    by: Option<String>,
    /// Print a list of `{"event_id", "event_name", "business_id", "destination", "state", "reason", "error_code",
    /// "response_code", "tries", "first_tried_at", "tried_at", "settled_at", "replayed_at"}`; with --by reason of `{"destination",
    /// "state", "reason", "error_code", "count", "oldest", "newest", "sample_event_id", "advice"}`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The event.
    event_id: String,
    /// Only at this destination.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Print `{"event_id", "event_name", "business_id", "occurred_at", "dead_letters": [{…}]}`. Each dead letter has the members of
    /// a delivery of `events show --json`, then "advice", "in_doubt_since", "repeat": {"resend": "within_window" | "always" |
    /// "never", "key", "window_seconds"}, "replay": {"allowed", "refusal", "can_be_forced", "why"}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(&args, file),
        Command::Show(args) => show(&args, file),
        Command::Replay(args) => runs::replay(&args, false, file),
        Command::Skip(args) => runs::skip(&args, false, file),
    }
}

fn word(text: &str) -> Result<Reason, String> {
    Reason::parse(text).ok_or_else(|| {
        "this is no reason; `dead-letters list --by reason` shows those that occur".to_owned()
    })
}

fn list(args: &ListArgs, file: &ConfigFile) -> anyhow::Result<()> {
    let filter = args.which.filter(&args.event_ids);
    let filter = match (args.reason, filter.reason) {
        (Some(reason), Some(other)) if reason.as_str() != other => {
            return Err(usage("--state and --reason name different reasons"));
        }
        (Some(reason), _) => Filter {
            reason: Some(reason.as_str()),
            ..filter
        },
        (None, _) => filter,
    };
    let database = file.database(&args.database)?;
    block_on(async { needs(READER, are_known(&database, &filter).await) })?;
    if args.by.is_some() {
        let groups =
            block_on(async { needs(READER, dead_letters::groups(&database, &filter).await) })?;
        return match args.json {
            true => output::print_json(&groups),
            false => output::print(&grouped(&groups)),
        };
    }
    let letters = block_on(async { needs(READER, dead_letters::list(&database, &filter).await) })?;
    if filter.limit.is_none() && letters.len() as i64 == dead_letters::LISTED {
        eprintln!(
            "the newest {} are shown; --limit COUNT shows more",
            dead_letters::LISTED
        );
    }
    match args.json {
        true => output::print_json(&letters),
        false => output::print(&listed(&letters)),
    }
}

/// That the destination and the events that are named are there.
async fn are_known(database: &Database, filter: &Filter) -> Result<(), KnownError> {
    if let Some(name) = &filter.destination {
        known::destination(database, name).await?;
    }
    match &filter.event_ids {
        Some(ids) => known::events(database, ids).await,
        None => Ok(()),
    }
}

fn listed(letters: &[DeadLetter]) -> String {
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let headings = [
        "settled",
        "destination",
        "state",
        "code",
        "http",
        "tries",
        "event",
    ];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    rows.extend(letters.iter().map(|one| {
        vec![
            stamp(one.settled_at),
            one.destination.clone(),
            of(&one.state, one.reason.as_deref()),
            one.error_code.clone().unwrap_or_else(|| "-".to_owned()),
            one.response_code
                .map_or("-".to_owned(), |code| code.to_string()),
            one.tries.to_string(),
            one.event_id.clone(),
        ]
    }));
    output::table(&rows)
}

fn grouped(groups: &[Group]) -> String {
    if groups.is_empty() {
        return "no dead letters".to_owned();
    }
    groups
        .iter()
        .map(|one| {
            let code = one
                .error_code
                .as_ref()
                .map_or(String::new(), |code| format!(", code {code}"));
            format!(
                "{} {} {}{code}\n    from {} to {}, such as {}\n    {}\n",
                one.count,
                one.destination,
                of(&one.state, one.reason.as_deref()),
                stamp(one.oldest),
                stamp(one.newest),
                one.sample_event_id.as_deref().unwrap_or("-"),
                one.advice,
            )
        })
        .collect()
}

fn of(state: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{state}/{reason}"),
        None => state.to_owned(),
    }
}

fn show(args: &ShowArgs, file: &ConfigFile) -> anyhow::Result<()> {
    let (config, database) = by_hand::open(file, args.database.database_url_env.as_ref())?;
    let life = block_on(by_hand::life(&database, &args.event_id))?;
    let is_meant = |letter: &Value| match &args.destination {
        Some(name) => letter["destination"] == **name,
        None => true,
    };
    let mut letters = life::dead_letters(&life, &config.destinations, Utc::now());
    letters.retain(is_meant);
    if args.json {
        let event = &life["event"];
        return output::print_json(&json!({
            "event_id": event["event_id"], "event_name": event["event_name"], "business_id": event["business_id"],
            "occurred_at": event["occurred_at"], "dead_letters": letters,
        }));
    }
    if letters.is_empty() {
        return output::print(
            "no dead letter of this event; `conversion-outbox events show` tells its life",
        );
    }
    let told: Vec<String> = letters.iter().map(readable).collect();
    output::print(&told.join("\n"))
}

fn readable(letter: &Value) -> String {
    let text = |key: &str| letter[key].as_str().unwrap_or("-");
    let mut said = format!(
        "{} {}\n",
        text("destination"),
        life::standing(&letter["state"], &letter["reason"])
    );
    for one in letter["attempt_log"].as_array().into_iter().flatten() {
        let at = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
        let number = |key: &str| {
            one[key]
                .as_i64()
                .map_or("-".to_owned(), |number| number.to_string())
        };
        said.push_str(&format!(
            "  try {}  {}  {}  http {}  code {}  payload {}  trace {}\n",
            one["try_no"],
            moment(&one["tried_at"]),
            at("outcome"),
            number("response_code"),
            at("error_code"),
            at("payload_hash").chars().take(16).collect::<String>(),
            at("trace_id"),
        ));
    }
    said.push_str(&match letter["in_doubt_since"].as_str() {
        Some(_) => format!(
            "  may have arrived since {}\n",
            moment(&letter["in_doubt_since"])
        ),
        None => "  did not arrive\n".to_owned(),
    });
    let repeat = &letter["repeat"];
    if let Some(resend) = repeat["resend"].as_str() {
        said.push_str(
            &match (repeat["key"].as_str(), repeat["window_seconds"].as_u64()) {
                (Some(key), Some(window)) => {
                    format!(
                        "  a repeat is recognised by {key}, for {} hours\n",
                        window / 3600
                    )
                }
                (Some(key), None) => {
                    format!("  a repeat is recognised by {key}; configured: {resend}\n")
                }
                (None, _) => {
                    format!("  the platform does not recognise a repeat; configured: {resend}\n")
                }
            },
        );
    }
    let replay = &letter["replay"];
    said.push_str(&match replay["why"].as_str() {
        None => "  replay: allowed\n".to_owned(),
        Some(why) => format!("  replay: refused, {why}\n"),
    });
    said.push_str(&format!("  {}\n", text("advice")));
    said
}

fn moment(value: &Value) -> String {
    let at = value
        .as_str()
        .and_then(|at| at.parse::<DateTime<Utc>>().ok());
    at.map_or("-".to_owned(), stamp)
}
