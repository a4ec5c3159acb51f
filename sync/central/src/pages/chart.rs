//! Charts as SVG, made here: no script, no font, nothing from elsewhere. Each has its figures in words too.

use maud::{Markup, html};

/// A bar: what stands under it, how high it is, what it says.
#[derive(Debug)]
pub(super) struct Bar {
    /// Under it.
    pub(super) label: String,
    /// How high, in the units of all bars.
    pub(super) value: i64,
    /// When pointed at.
    pub(super) words: String,
}

const HEIGHT: i64 = 150;
const TOP: i64 = 18;
const FOOT: i64 = 20;
const STEP: i64 = 30;
const LEFT: i64 = 10;

/// Bars beside one another; none where there is nothing to show.
pub(super) fn bars(title: &str, bars: &[Bar]) -> Markup {
    let most = bars
        .iter()
        .map(|bar| bar.value)
        .max()
        .unwrap_or_default()
        .max(1);
    let count = i64::try_from(bars.len()).unwrap_or_default();
    let width = LEFT * 2 + STEP * count.max(16);
    let base = HEIGHT - FOOT;
    html! {
        svg class="chart" role="img" aria-label=(title) viewBox={ "0 0 " (width) " " (HEIGHT) } {
            title { (title) }
            line class="axis" x1=(LEFT) x2=(width - LEFT) y1=(base) y2=(base) {}
            @for (place, bar) in (0_i64..).zip(bars) {
                @let high = scaled(bar.value, most, base - TOP);
                @let x = LEFT + place * STEP;
                @if bar.value > 0 {
                    rect class="bar-fill" x=(x + 4) y=(base - high) width=(STEP - 8) height=(high) rx="2" { title { (bar.words) } }
                    text x=(x + STEP / 2) y=(base - high - 5) text-anchor="middle" { (bar.value) }
                }
                text x=(x + STEP / 2) y=(HEIGHT - 6) text-anchor="middle" { (bar.label) }
            }
        }
    }
}

/// How high a value is of `room` where the greatest fills it; at least one, so that it is seen.
fn scaled(value: i64, most: i64, room: i64) -> i64 {
    let high = i128::from(value) * i128::from(room) / i128::from(most.max(1));
    i64::try_from(high).unwrap_or(room).clamp(1, room)
}

/// A share of a whole as a thin line.
pub(super) fn meter(done: i64, all: i64) -> Markup {
    let share = if all > 0 {
        (done.saturating_mul(1000) / all).clamp(0, 1000)
    } else {
        0
    };
    html! {
        svg class="meter" viewBox="0 0 1000 6" preserveAspectRatio="none" role="img" aria-label={ (done) " of " (all) } {
            rect class="back" width="1000" height="6" rx="3" {}
            rect class={ "fill " (if done >= all && all > 0 { "ok" } else { "" }) } width=(share) height="6" rx="3" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The greatest bar fills the room, the least is seen, and words are text, not markup.
    #[test]
    fn bars_are_to_scale() {
        assert_eq!(
            (
                scaled(10, 10, 100),
                scaled(5, 10, 100),
                scaled(1, 100_000, 100)
            ),
            (100, 50, 1)
        );
        let bar = Bar {
            label: "<b>".to_owned(),
            value: 3,
            words: "a & b".to_owned(),
        };
        let svg = bars("t", &[bar]).0;
        assert!(svg.contains("&lt;b&gt;") && svg.contains("a &amp; b") && !svg.contains("<b>"));
        assert!(meter(1, 4).0.contains("width=\"250\""));
        assert!(meter(1, 0).0.contains("width=\"0\""));
    }
}
