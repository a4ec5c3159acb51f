//! Any text: what no typeface has is seen as a replacement, nothing fails and nothing is lost.

use fiscal::testing::sample_taxpayer;

use super::samples::{INCLUSIVE, Sample};
use super::tools::File;

fn named(names: &[String]) -> Sample {
    let mut sample = Sample::new(INCLUSIVE, &sample_taxpayer());
    let pattern = sample.receipt.lines[0].clone();
    sample.receipt.lines = names
        .iter()
        .map(|name| {
            let mut line = pattern.clone();
            line.name.clone_from(name);
            line
        })
        .collect();
    sample.receipt.taxes = fiscal::sums::tax_rows(&sample.receipt.lines, true);
    sample.receipt.total = fiscal::sums::total(&sample.receipt.taxes);
    sample
}

/// Every character of Unicode, 200 in a name, 1000 names in a receipt: documents that keep PDF/A's rules.
#[test]
fn every_character() {
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    let names: Vec<String> = all
        .chunks(200)
        .map(|chunk| chunk.iter().collect())
        .collect();
    // Planes 4 to 13 are not assigned; a few names of them are enough.
    let plane = 0x10000 / 200;
    let assigned = names.iter().take(4 * plane + 8);
    let private = names.iter().skip(14 * plane - 20).step_by(40);
    let names: Vec<String> = assigned.chain(private).cloned().collect();
    for names in names.chunks(1000) {
        let file = File::new("unicode", &named(names).pdf());
        file.check();
    }
}

/// Letters of many scripts are found in the text as they were written; what cannot be shown is seen as a
/// replacement.
#[test]
fn text_is_found_again() {
    let whole = [
        "Crème brûlée für Müller",
        "Чай чёрный",
        "Ελαιόλαδο",
        "Maheu – 500ml “cold” €2 ½ ×3",
        "Nguyễn ŵ Łódź",
        "→ ∑ ☂ ♥",
    ];
    let names: Vec<String> = whole.iter().map(|&name| name.to_owned()).collect();
    let text = File::new("scripts", &named(&names).pdf()).raw();
    for name in whole {
        assert!(text.contains(name), "{name}\n{text}");
    }
    assert!(!text.contains('\u{FFFD}'), "{text}");
    let odd = [
        "🍞 bread",
        "面包",
        "one\u{0}two",
        "a\u{202E}b",
        "c\u{E000}d",
    ];
    let names: Vec<String> = odd.iter().map(|&name| name.to_owned()).collect();
    let file = File::new("odd", &named(&names).pdf());
    let text = file.raw();
    for found in [
        "\u{FFFD} bread",
        "\u{FFFD}\u{FFFD}",
        "one\u{FFFD}two",
        "a\u{FFFD}b",
        "c\u{FFFD}d",
    ] {
        assert!(text.contains(found), "{found}\n{text}");
    }
    let fonts = file.fonts();
    assert!(
        fonts.contains("DejaVuSans") && fonts.contains("NotoSans-Regular"),
        "{fonts}"
    );
    assert!(
        !fonts.contains(" no "),
        "a typeface is not in the file:\n{fonts}"
    );
}

/// A name without spaces, as long as it can be, stays between the edges of its column.
#[test]
fn long_words_are_broken() {
    let names = ["W".repeat(200), "i".repeat(200), "面".repeat(200)];
    let file = File::new("words", &named(&names).pdf());
    let text: String = file.raw().split_whitespace().collect();
    assert_eq!(text.matches('W').count(), 200);
    assert_eq!(text.matches('\u{FFFD}').count(), 200);
}
