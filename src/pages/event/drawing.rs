//! A timeline, drawn: a lane for the event and each destination, a mark for everything that happened. Milliseconds and days
//! stand side by side, so that a gap is drawn by the order of its length.

use chrono::TimeDelta;

use crate::operations::life::{Entry, Kind};
use crate::pages::html::{Markup, html};

const WIDTH: f64 = 960.0;
const LANE: f64 = 38.0;
const LABELS: f64 = 170.0;
const EDGE: f64 = 20.0;
/// Room for the first and the last time.
const ENDS: f64 = 18.0;

/// The class that colours what happened.
pub(super) fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Written => "calm",
        Kind::Good => "good",
        Kind::Bad => "bad",
        Kind::Open | Kind::Hold | Kind::Consent => "warn",
        Kind::Hand | Kind::Late | Kind::Again => "calm",
    }
}

/// The drawing. The table below it says the same to those who do not see it.
pub(super) fn draw(entries: &[Entry]) -> Markup {
    let lanes = lanes(entries);
    let ground = lanes.len() as f64 * LANE + EDGE;
    let height = ground + ENDS;
    let places = places(entries);
    let middle = |lane: usize| EDGE / 2.0 + LANE * (lane as f64 + 0.5);
    html! {
        div.wide.timeline role="img" tabindex="0" aria-label={ "Timeline of " (entries.len()) " things that happened; the table below tells them" } {
            svg viewBox={ "0 0 " (WIDTH) " " (height) } width=(WIDTH) height=(height) aria-hidden="true" focusable="false" {
                @for (lane, name) in lanes.iter().enumerate() {
                    text.lane x="0" y=(format!("{:.0}", middle(lane) + 5.0)) { (short(name)) }
                    line.lane x1=(LABELS) x2=(WIDTH - EDGE) y1=(middle(lane)) y2=(middle(lane)) {}
                }
                @if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
                    text.lane x=(LABELS) y=(ground + 10.0) { (first.at.format("%-d %b %Y, %H:%M UTC")) }
                    @if entries.len() > 1 {
                        text.lane.end x=(WIDTH - EDGE) y=(ground + 10.0) { (last.at.format("%-d %b %Y, %H:%M UTC")) }
                    }
                }
                @for (entry, x) in entries.iter().zip(&places) {
                    @let lane = lanes.iter().position(|name| *name == entry.place).unwrap_or(0);
                    g class={ "mark " (class(entry.kind)) } {
                        title { (entry.at.format("%F %T UTC")) }
                        (mark(entry.kind, *x, middle(lane)))
                    }
                }
            }
        }
    }
}

/// The event's own lane, then each destination's.
fn lanes(entries: &[Entry]) -> Vec<String> {
    let mut lanes = vec![String::new()];
    for entry in entries {
        if !lanes.contains(&entry.place) {
            lanes.push(entry.place.clone());
        }
    }
    lanes[1..].sort_unstable();
    lanes
}

/// Where along its lane each stands: at least a little behind the one before, and further the longer that was ago.
fn places(entries: &[Entry]) -> Vec<f64> {
    let gaps: Vec<f64> = std::iter::once(0.0)
        .chain(entries.windows(2).map(|pair| {
            let seconds = (pair[1].at - pair[0].at).num_milliseconds().max(0) as f64 / 1000.0;
            0.6 + seconds.ln_1p()
        }))
        .collect();
    let whole: f64 = gaps.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let room = WIDTH - EDGE - LABELS - 2.0 * EDGE;
    gaps.iter()
        .scan(0.0, |sum, gap| {
            *sum += gap;
            Some(LABELS + EDGE + *sum / whole * room)
        })
        .collect()
}

/// Told apart by shape too.
fn mark(kind: Kind, x: f64, y: f64) -> Markup {
    let at = |dx: f64, dy: f64| format!("{:.1},{:.1}", x + dx, y + dy);
    let line = |points: &[(f64, f64)]| {
        let points: Vec<String> = points.iter().map(|(dx, dy)| at(*dx, *dy)).collect();
        points.join(" ")
    };
    html! {
        @match class(kind) {
            "bad" => { polygon points=(line(&[(-6.0, -6.0), (6.0, -6.0), (6.0, 6.0), (-6.0, 6.0)])) {} }
            "warn" => { polygon points=(line(&[(0.0, -7.5), (7.5, 6.0), (-7.5, 6.0)])) {} }
            "good" => { circle cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="7" {} }
            _ => { polygon points=(line(&[(0.0, -7.0), (7.0, 0.0), (0.0, 7.0), (-7.0, 0.0)])) {} }
        }
    }
}

fn short(name: &str) -> String {
    match name.chars().count() {
        0 => "event".to_owned(),
        1..=20 => name.to_owned(),
        _ => format!("{}…", name.chars().take(19).collect::<String>()),
    }
}

/// A span of time as people say it.
pub(super) fn gap(span: TimeDelta) -> String {
    match span.num_milliseconds().max(0) {
        small @ 0..1000 => format!("{small} ms"),
        some if some < 120_000 => format!("{:.1} s", some as f64 / 1000.0),
        more => crate::pages::html::age(more as f64 / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn entry(seconds: i64, place: &str, kind: Kind) -> Entry {
        Entry {
            at: DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time"),
            place: place.to_owned(),
            what: String::new(),
            kind,
            trace_id: None,
            payload_hash: None,
        }
    }

    #[test]
    fn marks_stand_in_order_within_the_drawing() {
        let entries = [
            entry(0, "", Kind::Written),
            entry(0, "meta", Kind::Bad),
            entry(86_400, "ga4", Kind::Good),
            entry(86_401, "meta", Kind::Good),
        ];
        assert_eq!(lanes(&entries), ["", "ga4", "meta"]);
        let places = places(&entries);
        assert!(places.is_sorted(), "{places:?}");
        assert!(
            places.iter().all(|x| (LABELS..WIDTH).contains(x)),
            "{places:?}"
        );
        assert!(
            places[2] - places[1] > 3.0 * (places[1] - places[0]),
            "{places:?}"
        );
        let alone = super::places(&entries[..1]);
        assert!(alone[0].is_finite());
        assert!(draw(&[]).into_string().contains("<svg"));
    }

    #[test]
    fn spans_are_short() {
        let spans =
            [5, 1500, 119_999, 120_000, 200_000_000].map(|ms| gap(TimeDelta::milliseconds(ms)));
        assert_eq!(spans, ["5 ms", "1.5 s", "120.0 s", "2 min", "2 d"]);
    }
}
