//! A place to run commands as processes, and an event to run them on.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Recognisable wherever it should not be.
pub(crate) const CANARY: &str = "canary-7f3a9c";

/// A folder with a configuration and an event, where commands are run.
pub(crate) struct Desk(TempDir);

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn new(config: &str) -> Desk {
        let desk = Desk(tempfile::tempdir().expect("a folder"));
        desk.write("config.toml", config);
        desk.write("event.json", &event().to_string());
        desk
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, &[])
    }

    /// Whatever is run, the canary is not said.
    pub(crate) fn run_with(&self, args: &[&str], variables: &[(&str, String)]) -> Said {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_conversion-outbox"))
            .args(args)
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.0.path())
            .output()
            .expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Said {
            code: output.status.code().expect("an exit code"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert!(
            !said.out.contains(CANARY) && !said.err.contains(CANARY),
            "{args:?}: {}{}",
            said.out,
            said.err
        );
        said
    }
}

/// An order that both platforms understand and only Meta can match.
pub(crate) fn event() -> Value {
    json!({
        "event_name": "order_paid", "business_id": "order-1042", "occurred_at": "2026-11-23T09:00:00Z",
        "value": "49.90", "currency": "EUR", "user_data": { "email": "jane@example.com" },
        "consent": {
            "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted",
        },
    })
}
