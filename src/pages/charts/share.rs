//! A bar: how much of a whole. Its numbers stand beside it, so it is for the eye alone.

use super::at;
use crate::pages::html::{Markup, Tone, html};

/// The bar of `part` in `whole`. What is there is seen, and what is missing too.
pub(crate) fn share(part: i64, whole: i64, tone: Tone) -> Markup {
    let width = match (part, whole) {
        (_, ..=0) | (..=0, _) => 0.0,
        (part, whole) if part >= whole => 100.0,
        (part, whole) => (part as f64 / whole as f64 * 100.0).clamp(0.6, 99.4),
    };
    html! {
        svg.share aria-hidden="true" width="100%" height="14" {
            rect.whole width="100%" height="14" rx="3" {}
            @if width > 0.0 { rect class={ "part " (tone.class()) } width={ (at(width)) "%" } height="14" rx="3" {} }
        }
    }
}
