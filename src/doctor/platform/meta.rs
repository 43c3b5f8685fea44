//! Meta: a request with an empty list of events. Meta looks at token and dataset before it looks at events, and there is
//! nothing in the request that could be counted.

use super::super::Check;
use super::Visit;
use super::answer::{self, Meaning};
use crate::destinations::{Reply, meta};

const NAME: &str = "platform";

pub(super) async fn visit(visit: &Visit<'_>, settings: &meta::Settings) -> Vec<Check> {
    let request = meta::request(settings, &visit.destination.base_url, &[]);
    match visit.ask(NAME, request).await {
        Ok(reply) => judge(&reply, &settings.dataset_id),
        Err(check) => vec![check],
    }
}

fn judge(reply: &Reply, dataset: &str) -> Vec<Check> {
    let answer = meta::classify(reply, 0);
    let is_parameter = answer
        .code
        .as_deref()
        .is_some_and(|code| code == "100" || code.starts_with("100/"));
    let check = match answer::meaning(&answer) {
        Meaning::Content if is_parameter => good(dataset),
        Meaning::Good => good(dataset),
        other => answer::trouble(NAME, other, &answer, reply.status),
    };
    std::iter::once(check)
        .chain(answer::notice(&answer))
        .collect()
}

fn good(dataset: &str) -> Check {
    Check::ok(
        NAME,
        format!(
            "the token is good for dataset {dataset}: an empty list of events was refused for being empty and for nothing else"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::Verdict;
    use super::*;

    fn judged(status: u16, body: &str) -> Check {
        let reply = Reply {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        judge(&reply, "42").remove(0)
    }

    #[test]
    fn only_a_refusal_of_the_empty_list_is_good() {
        let (ok, warn, fail) = (Verdict::Ok, Verdict::Warn, Verdict::Fail);
        for (status, body, verdict) in [
            (400, r#"{"error":{"code":100}}"#, ok),
            (400, r#"{"error":{"code":100,"error_subcode":2804009}}"#, ok),
            (400, r#"{"error":{"code":100,"error_subcode":33}}"#, fail),
            (401, r#"{"error":{"code":190,"error_subcode":463}}"#, fail),
            (403, r#"{"error":{"code":200}}"#, fail),
            (400, r#"{"error":{"code":2500}}"#, fail),
            (400, r#"{"error":{"code":4}}"#, warn),
            (500, r#"{"error":{"code":1}}"#, fail),
            (400, r#"{"error":{"code":105}}"#, warn),
            (200, r#"{"events_received":0}"#, ok),
            (200, "<html>", warn),
        ] {
            assert_eq!(judged(status, body).verdict, verdict, "{status} {body}");
        }
        assert!(
            judged(400, r#"{"error":{"code":190}}"#)
                .seen
                .contains("credential (code 190)")
        );
    }
}
