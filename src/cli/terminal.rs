//! What is shown on a technician's terminal.

use std::borrow::Cow;

/// A text for a terminal. What tills, old POS software, printers and servers say is in many answers, and a control
/// character of theirs could rewrite what a technician reads, or type for him: each becomes the sign for "no character".
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    match text.contains(is_bad) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.replace(is_bad, "\u{FFFD}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines and columns stay; escape sequences, in seven bits and in eight, become harmless.
    #[test]
    fn no_control_reaches_the_terminal() {
        assert_eq!(printable("a\tb\nc é"), "a\tb\nc é");
        let bad = "\u{1b}]0;x\u{7}\u{9b}2J\rOK\u{8}\u{7f}";
        let shown = printable(bad);
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert!(shown.contains("]0;x") && shown.contains("OK"));
    }
}
