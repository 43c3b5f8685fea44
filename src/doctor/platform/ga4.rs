//! GA4: an event of our own at the validating address, which records nothing. All that can be learned is that the address
//! answers and that the form is right: GA4 says the same to any secret and any measurement id.

use super::super::Check;
use super::Visit;
use super::answer::{self, Meaning};
use crate::destinations::{Reply, ga4};

const NAME: &str = "platform";

pub(super) async fn visit(visit: &Visit<'_>, settings: &ga4::Settings) -> Vec<Check> {
    let request = ga4::probe(settings, &visit.destination.base_url);
    match visit.ask(NAME, request).await {
        Ok(reply) => vec![judge(&reply, settings)],
        Err(check) => vec![check],
    }
}

fn judge(reply: &Reply, settings: &ga4::Settings) -> Check {
    let answer = ga4::classify_probe(settings, reply);
    match answer::meaning(&answer) {
        Meaning::Good => Check::ok(
            NAME,
            "the validating address finds nothing wrong with an event; GA4 never checks api_secret and measurement_id, so \
             whether events arrive shows in its reports alone",
        ),
        Meaning::Content => Check::warn(
            NAME,
            format!(
                "the validating address finds fault with an event of ours{}",
                answer::code(&answer)
            ),
            "check measurement_id and api_secret; if both are right, GA4 has changed and a newer release may know",
        ),
        other => answer::trouble(NAME, other, &answer, reply.status),
    }
}
