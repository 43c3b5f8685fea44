//! What to make of the worker's rights in the database: too few, too many. Pure.

use super::super::Check;

/// Judges pairs of `missing` or `excess` and what it is.
pub(super) fn judge(found: &[(String, String)]) -> Vec<Check> {
    let of = |kind: &str| {
        let own = found.iter().filter(|(of, _)| of == kind);
        own.map(|(_, what)| what.as_str()).collect::<Vec<_>>()
    };
    vec![enough(&of("missing")), not_more(&of("excess"))]
}

fn enough(missing: &[&str]) -> Check {
    const NAME: &str = "rights";
    if missing.is_empty() {
        return Check::ok(NAME, "the login may do all that a worker must");
    }
    Check::fail(
        NAME,
        format!("the login may not: {}", missing.join(", ")),
        "grant conversion_outbox_worker to the login of database.url",
    )
}

fn not_more(excess: &[&str]) -> Check {
    const NAME: &str = "excess_rights";
    if excess.is_empty() {
        return Check::ok(
            NAME,
            "the login may not define anything, nor change or remove events",
        );
    }
    Check::fail(
        NAME,
        format!(
            "the login may do what no worker does: {}",
            excess.join(", ")
        ),
        "give the worker a login of its own that is a member of conversion_outbox_worker alone",
    )
}
