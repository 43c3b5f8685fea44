//! The scenes of the day: what each platform gets wrong, one after the other, and the comparison at the end.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;

use super::audit::{self, Audit};
use super::outlets::{CUSTOMER, LEAD_RULE, QUALIFIED_RULE};
use super::shop::{Scenario, Shop};
use super::stage::Stage;
use super::summary::Summary;
use crate::sandbox::{Fault, FaultKind, Platform};

/// Everything in the demo follows from it, so that two runs tell the same stories.
const SEED: u64 = 20_170_101;

/// How many scenes share the orders.
const SCENES: usize = 12;

/// How long something may take before it is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for closing time, when the last answers are waited for.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(90);

const META_WAITS: &str =
    "select pending > 0 from conversion_outbox.destination_backlog where destination = 'meta'";
const META_IS_HELD: &str =
    "select hold_reason is not null from conversion_outbox.destination where name = 'meta'";
const META_IS_FREE: &str =
    "select hold_reason is null from conversion_outbox.destination where name = 'meta'";
const LEADS_ARE_HELD: &str =
    "select exists (select from conversion_outbox.rule_hold where destination = 'linkedin')";
const LEADS_ARE_FREE: &str =
    "select not exists (select from conversion_outbox.rule_hold where destination = 'linkedin')";
const LINKEDIN_IS_FREE: &str =
    "select hold_reason is null from conversion_outbox.destination where name = 'linkedin'";
const GOOGLE_IS_FREE: &str = "select bool_and(hold_reason is null) from conversion_outbox.destination where name like 'google%'";
const GOOGLE_TOLD_COUNTS: &str =
    "select exists (select from conversion_outbox.request where status = 'PARTIAL_SUCCESS')";
const NOTHING_IS_MISSING: &str = "select sum(source_rows) > 1000 and sum(missing + extra + value_differs) = 0 \
    from conversion_outbox.reconciliation_day";
const ALL_DONE: &str = "select coalesce((select sum(pending) from conversion_outbox.destination_backlog), 0) = 0 \
    and not exists (select from conversion_outbox.request where settled_at is null)";

/// Plays all of them.
pub(super) async fn play(stage: &mut Stage, started: Instant) -> anyhow::Result<Summary> {
    let shop = Shop::open(&stage.database_url(), SEED, Utc::now()).await?;
    stage.publish_clicks(shop.google_clicks())?;
    let mut day = Day {
        scene: shop.remaining() / SCENES,
        stage,
        shop,
        started,
        arranged: Vec::new(),
        dead: Vec::new(),
    };
    day.ordinary_morning().await?;
    day.meta_is_down().await?;
    day.ga4_loses_answers().await?;
    day.google_fails_one_of_many().await?;
    day.meta_throttles().await?;
    day.google_ads_refuses_a_row().await?;
    day.google_loses_answers().await?;
    day.linkedin_disables_a_rule().await?;
    day.google_takes_tokens_back().await?;
    day.metas_token_expires().await?;
    day.linkedin_loses_answers().await?;
    day.close().await
}

/// The day as it goes.
struct Day<'a> {
    stage: &'a mut Stage,
    shop: Shop,
    started: Instant,
    /// Orders in a scene.
    scene: usize,
    /// What was arranged to go wrong, with the number of the fault.
    arranged: Vec<(&'static str, u64)>,
    /// What must end as a dead letter, as the comparison writes it.
    dead: Vec<String>,
}

impl Day<'_> {
    async fn ordinary_morning(&mut self) -> anyhow::Result<()> {
        self.say(
            "an ordinary morning: orders, repeated payment webhooks, roll-backs, refused consent, refunds, leads",
        );
        self.trade().await
    }

    async fn meta_is_down(&mut self) -> anyhow::Result<()> {
        self.say("Meta is down: every request gets 503. The others must not notice");
        let outage = self.arrange(
            "Meta's outage",
            Fault {
                platform: Some(Platform::Meta),
                status: Some(503),
                ..Fault::of(FaultKind::Status)
            },
        )?;
        self.trade().await?;
        self.wait("deliveries wait for Meta", META_WAITS).await?;
        self.end(outage).await?;
        self.say("Meta is back");
        Ok(())
    }

    async fn ga4_loses_answers(&mut self) -> anyhow::Result<()> {
        self.say(
            "GA4 loses answers: it takes the event, and the connection breaks before it says so",
        );
        for (name, times) in [("purchase", 12), ("generate_lead", 2)] {
            self.lose_answers("GA4's lost answers", Platform::Ga4, Some(name), times)?;
        }
        self.trade().await
    }

    /// Data Manager tells later, and in counts only: which event failed is found by ever smaller requests.
    async fn google_fails_one_of_many(&mut self) -> anyhow::Result<()> {
        self.say("Google is slow, and says only later that one event among many has failed");
        // So that many share a request.
        let slow = self.arrange(
            "Google's slowness",
            Fault {
                platform: Some(Platform::GoogleDataManager),
                path: Some("events:ingest".to_owned()),
                latency_ms: Some(1500),
                ..Fault::of(FaultKind::Latency)
            },
        )?;
        let id = self.order_ahead()?;
        self.dead.push(format!("google: {id}"));
        self.arrange(
            "the failed processing",
            Fault {
                platform: Some(Platform::GoogleDataManager),
                account: Some(CUSTOMER.to_owned()),
                event_id: Some(id),
                reason: Some("PROCESSING_ERROR_REASON_INVALID_GCLID".to_owned()),
                ..Fault::of(FaultKind::ProcessingError)
            },
        )?;
        self.trade().await?;
        self.end(slow).await
    }

    async fn meta_throttles(&mut self) -> anyhow::Result<()> {
        self.say("Meta throttles, and cuts connections before it takes anything");
        for (kind, times) in [(FaultKind::MetaError, 2), (FaultKind::ResetBefore, 2)] {
            self.arrange(
                "Meta's throttling",
                Fault {
                    platform: Some(Platform::Meta),
                    code: Some(17),
                    regain_minutes: Some(0),
                    times: Some(times),
                    ..Fault::of(kind)
                },
            )?;
        }
        self.trade().await
    }

    async fn google_ads_refuses_a_row(&mut self) -> anyhow::Result<()> {
        self.say("the Google Ads API refuses one row of an upload, and takes the others");
        let id = self.order_ahead()?;
        self.dead.push(format!("google-ads: {id}"));
        self.arrange(
            "the refused row",
            Fault {
                platform: Some(Platform::GoogleAds),
                event_id: Some(id),
                reason: Some("conversionUploadError.UNPARSEABLE_GCLID".to_owned()),
                ..Fault::of(FaultKind::AdsRowError)
            },
        )?;
        self.trade().await
    }

    /// What Google took is told again: Data Manager overwrites it with the same, the Google Ads API knows the order.
    async fn google_loses_answers(&mut self) -> anyhow::Result<()> {
        self.say(
            "both of Google's APIs lose answers; a resend overwrites, or is known as a repeat",
        );
        for platform in [Platform::GoogleDataManager, Platform::GoogleAds] {
            self.lose_answers("Google's lost answers", platform, None, 2)?;
        }
        self.trade().await
    }

    async fn linkedin_disables_a_rule(&mut self) -> anyhow::Result<()> {
        self.say("somebody disables the conversion rule for leads at LinkedIn");
        self.stage.set_rule(LEAD_RULE, false);
        self.trade().await?;
        self.wait("the rule is held", LEADS_ARE_HELD).await?;
        self.is_free("LinkedIn", LINKEDIN_IS_FREE).await?;
        self.say("the rule is held; orders and deals go on to LinkedIn");
        self.stage.set_rule(LEAD_RULE, true);
        self.wait("the hold of the rule is lifted", LEADS_ARE_FREE)
            .await?;
        self.say("the rule is enabled again: a probe found out");
        Ok(())
    }

    async fn google_takes_tokens_back(&mut self) -> anyhow::Result<()> {
        self.say("Google takes all access tokens back: new ones are fetched, nothing is held");
        let platforms = [Platform::GoogleDataManager, Platform::GoogleAds];
        let before = platforms.map(|platform| self.stage.tokens_given(platform));
        self.stage.take_google_tokens_back();
        self.trade().await?;
        for (platform, before) in platforms.into_iter().zip(before) {
            self.stage
                .wait_for_token(platform, before, PATIENCE)
                .await?;
        }
        self.is_free("Google", GOOGLE_IS_FREE).await
    }

    async fn metas_token_expires(&mut self) -> anyhow::Result<()> {
        self.say("Meta's access token expires");
        self.stage.expire_token("first-token");
        self.trade().await?;
        self.wait("the destination is held", META_IS_HELD).await?;
        self.say("destination meta is held: no attempt is used up, the others go on");
        self.stage.issue_token("second-token")?;
        self.wait("the hold is lifted", META_IS_FREE).await?;
        self.say("the token file was replaced: the hold lifted by itself");
        Ok(())
    }

    /// LinkedIn promises nothing about repeats: what may have arrived is not sent again.
    async fn linkedin_loses_answers(&mut self) -> anyhow::Result<()> {
        self.say("LinkedIn loses answers; it would count a resend again, so there is none");
        self.lose_answers(
            "LinkedIn's lost answers",
            Platform::LinkedIn,
            Some(QUALIFIED_RULE),
            2,
        )?;
        self.trade().await
    }

    async fn close(mut self) -> anyhow::Result<Summary> {
        self.say("the rest of the day, and the last returns");
        self.shop.trade(self.shop.remaining()).await?;
        self.shop.trade(0).await?;
        self.say(
            "closing time: waiting until nothing is pending and Google has told of every request",
        );
        self.stage
            .wait_until("nothing is pending", ALL_DONE, PATIENCE_AT_THE_END)
            .await?;
        for (what, id) in &self.arranged {
            self.happens(what, *id).await?;
        }

        anyhow::ensure!(
            self.stage.is_so(GOOGLE_TOLD_COUNTS).await?,
            "Google never told of a request that some of its events had failed"
        );
        self.say("comparing the outbox with the shop's own tables and the platforms' reports, as a worker does every hour");
        self.stage.reconcile().await?;
        anyhow::ensure!(
            self.stage.is_so(NOTHING_IS_MISSING).await?,
            "reconciliation found an order, lead or deal without an event, or with another amount"
        );
        let audit =
            audit::audit(&self.stage.database, &self.stage.sandbox, self.shop.truth()).await?;
        report(&audit);
        anyhow::ensure!(
            audit.disputed.is_empty(),
            "the shop's tables and its own account disagree; the comparison is void"
        );
        for dead in &self.dead {
            anyhow::ensure!(
                audit.dead_uncounted.contains(dead),
                "{dead} was refused by the platform and is no dead letter"
            );
        }
        Summary::gather(&self.stage.database, &audit)
            .await
            .context("the summary could not be gathered")
    }

    async fn trade(&mut self) -> anyhow::Result<()> {
        Ok(self.shop.trade(self.scene).await?)
    }

    /// An order from the middle of the scene that begins, of a customer whom every platform may know.
    fn order_ahead(&self) -> anyhow::Result<String> {
        let id = self
            .shop
            .order_ahead(Scenario::WebhookAgain, self.scene / 3);
        Ok(id.context("the day is over too early")?.to_owned())
    }

    fn arrange(&mut self, what: &'static str, fault: Fault) -> anyhow::Result<u64> {
        let id = self.stage.sandbox.add_fault(fault)?;
        self.arranged.push((what, id));
        Ok(id)
    }

    /// What was arranged is over, once it has happened.
    async fn end(&mut self, fault: u64) -> anyhow::Result<()> {
        let over = self.arranged.extract_if(.., |(_, id)| *id == fault);
        let over: Vec<(&str, u64)> = over.collect();
        for (what, id) in over {
            self.happens(what, id).await?;
            self.stage.sandbox.remove_fault(id);
        }
        Ok(())
    }

    /// The platform takes an event, and the connection breaks before it says so.
    fn lose_answers(
        &mut self,
        what: &'static str,
        platform: Platform,
        event_name: Option<&str>,
        times: u64,
    ) -> anyhow::Result<()> {
        let fault = Fault {
            platform: Some(platform),
            event_name: event_name.map(str::to_owned),
            // Only requests that carry events: neither token endpoints nor look-ups.
            path: (event_name.is_none()).then(|| match platform {
                Platform::GoogleAds => "uploadClickConversions".to_owned(),
                _ => "events:ingest".to_owned(),
            }),
            times: Some(times),
            ..Fault::of(FaultKind::ResetAfter)
        };
        self.arrange(what, fault).map(drop)
    }

    /// Waits for what was arranged: a demo in which nothing goes wrong would prove nothing.
    async fn happens(&self, what: &str, fault: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.stage.sandbox.struck(fault).unwrap_or(0) == 0 {
            anyhow::ensure!(Instant::now() < deadline, "{what} never happened");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn wait(&mut self, what: &str, sql: &str) -> anyhow::Result<()> {
        self.stage.wait_until(what, sql, PATIENCE).await
    }

    /// No destination of this platform is held as a whole.
    async fn is_free(&self, whose: &str, sql: &str) -> anyhow::Result<()> {
        let is_free = self.stage.is_so(sql).await?;
        anyhow::ensure!(is_free, "a whole destination of {whose} is held");
        Ok(())
    }

    fn say(&self, what: &str) {
        say(self.started, what);
    }
}

fn report(audit: &Audit) {
    for (what, list) in [
        ("lost", &audit.lost),
        ("counted twice", &audit.double_counted),
        ("leaked", &audit.leaked),
        ("worth something else", &audit.wrong_value),
        (
            "not counted, and visible as a dead letter",
            &audit.dead_uncounted,
        ),
        (
            "disputed between the shop's tables and its account",
            &audit.disputed,
        ),
    ] {
        for line in list.iter().take(10) {
            eprintln!("  {what}: {line}");
        }
    }
}

/// One line of progress.
pub(super) fn say(started: Instant, what: &str) {
    eprintln!("{:>6.1} s  {what}", started.elapsed().as_secs_f64());
}
