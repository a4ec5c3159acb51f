//! Blocks as plain text of a given width, counted in characters.
//!
//! No line is ever wider than the paper: texts fold between words, words that are too long are broken,
//! tables that do not fit are stacked, one cell a line.

use super::{Align, Block};

/// Narrowest paper that is laid out; less is taken as this.
const MIN_COLUMNS: usize = 16;
/// Narrowest column that a table's long texts are folded into.
const MIN_FOLDED: usize = 6;

/// The blocks as lines of at most `columns` characters, each ended by a line feed. A QR code is a
/// placeholder: who shows the text draws it.
#[must_use]
pub fn render_text(blocks: &[Block], columns: usize) -> String {
    let mut out = String::with_capacity(blocks.len() * columns);
    let mut sheet = Sheet::new(&mut out, columns);
    for block in blocks {
        sheet.block(block);
    }
    out
}

/// One block as lines of at most `columns` characters, without spaces at their ends.
#[must_use]
pub fn render_block(block: &Block, columns: usize) -> Vec<String> {
    let mut out = String::new();
    Sheet::new(&mut out, columns).block(block);
    out.lines().map(str::to_owned).collect()
}

const SPACES: &str = "                                                ";
const HYPHENS: &str = "------------------------------------------------";

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Whether a text is ASCII words with one space between each and the next: nearly all are.
fn is_plain(text: &str) -> bool {
    let mut last = b' ';
    for byte in text.bytes() {
        if !(byte.is_ascii_graphic() || byte == b' ' && last != b' ') {
            return false;
        }
        last = byte;
    }
    last != b' '
}

/// Breaks a text between words into lines of at most `columns` characters, at least one line, and hands
/// each to `line`.
fn fold(text: &str, columns: usize, mut line: impl FnMut(&str)) {
    let words = || text.split_whitespace();
    if text.len() <= columns && is_plain(text) {
        return line(text);
    }
    let single_spaced = words().map(str::len).sum::<usize>() + words().count().saturating_sub(1);
    if single_spaced == text.len() && width(text) <= columns {
        return line(text);
    }
    let mut filled = 0;
    let mut present = String::new();
    for word in words() {
        let letters = width(word);
        if filled > 0 && filled + 1 + letters > columns {
            line(&std::mem::take(&mut present));
            filled = 0;
        }
        if filled > 0 {
            present.push(' ');
            filled += 1;
        }
        for letter in word.chars() {
            if filled == columns {
                line(&std::mem::take(&mut present));
                filled = 0;
            }
            present.push(letter);
            filled += 1;
        }
    }
    if filled > 0 || text.trim().is_empty() {
        line(&present);
    }
}

fn folded(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    fold(text, columns, |line| lines.push(line.to_owned()));
    lines
}

/// Text that grows line by line.
struct Sheet<'o> {
    out: &'o mut String,
    columns: usize,
    /// Where the present line begins.
    start: usize,
}

impl<'o> Sheet<'o> {
    fn new(out: &'o mut String, columns: usize) -> Self {
        Self {
            start: out.len(),
            out,
            columns: columns.max(MIN_COLUMNS),
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Text { text, align, .. } => self.text(text, *align),
            Block::Row { left, right, .. } => self.row(left, right),
            Block::Table { head, rows } => self.table(head, rows),
            Block::Rule => {
                self.repeat(HYPHENS, self.columns);
                self.end();
            }
            Block::Qr { .. } => self.aligned("[QR code]", Align::Center),
            Block::Blank => self.end(),
            Block::Cut => {}
        }
    }

    /// Ends the line; spaces at its end go.
    fn end(&mut self) {
        let written = self.out.get(self.start..).unwrap_or_default();
        let length = self.start + written.trim_end().len();
        self.out.truncate(length);
        self.out.push('\n');
        self.start = self.out.len();
    }

    fn spaces(&mut self, count: usize) {
        self.repeat(SPACES, count);
    }

    /// So many of a letter, taken from a text of it.
    fn repeat(&mut self, of: &str, mut count: usize) {
        while count > 0 {
            let piece = of.get(..count).unwrap_or(of);
            self.out.push_str(piece);
            count -= piece.len();
        }
    }

    /// A line of its own.
    fn aligned(&mut self, text: &str, align: Align) {
        let free = self.columns.saturating_sub(width(text));
        self.spaces(match align {
            Align::Left => 0,
            Align::Center => free / 2,
            Align::Right => free,
        });
        self.out.push_str(text);
        self.end();
    }

    /// Lines of their own.
    fn text(&mut self, text: &str, align: Align) {
        fold(text, self.columns, |line| self.aligned(line, align));
    }

    /// The rest of a line that has begun with `taken` characters.
    fn right(&mut self, taken: usize, right: &str) {
        self.spaces(self.columns.saturating_sub(taken + width(right)));
        self.out.push_str(right);
        self.end();
    }

    /// Left and right on one line; where they do not fit, the left folds beside the right, and where the
    /// right needs most of the line, it gets lines of its own.
    fn row(&mut self, left: &str, right: &str) {
        let taken = width(right) + 1;
        if right.is_empty() {
            self.text(left, Align::Left);
        } else if width(left) + taken <= self.columns {
            self.out.push_str(left);
            self.right(width(left), right);
        } else if taken * 2 > self.columns {
            self.text(left, Align::Left);
            self.text(right, Align::Right);
        } else {
            let mut lines = folded(left, self.columns - taken);
            let last = lines.pop().unwrap_or_default();
            for line in lines {
                self.aligned(&line, Align::Left);
            }
            self.out.push_str(&last);
            self.right(width(&last), right);
        }
    }

    fn table(&mut self, head: &[String], rows: &[Vec<String>]) {
        let Some(widths) = table_widths(head, rows, self.columns) else {
            return self.stacked(head, rows);
        };
        self.table_row(head, &widths);
        for cells in rows {
            self.table_row(cells, &widths);
        }
    }

    fn table_row(&mut self, cells: &[String], widths: &[usize]) {
        let cells = cells.iter().zip(widths);
        if cells.clone().all(|(cell, columns)| width(cell) <= *columns) {
            for (column, (cell, columns)) in cells.enumerate() {
                self.cell(column, cell, *columns);
            }
            return self.end();
        }
        let columns: Vec<Vec<String>> = cells.map(|(cell, width)| folded(cell, *width)).collect();
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        for place in 0..height {
            for (column, (lines, columns)) in columns.iter().zip(widths).enumerate() {
                self.cell(
                    column,
                    lines.get(place).map_or("", String::as_str),
                    *columns,
                );
            }
            self.end();
        }
    }

    /// The first column stands at the left, the others at the right, a space between them.
    fn cell(&mut self, column: usize, text: &str, columns: usize) {
        let free = columns.saturating_sub(width(text));
        if column == 0 {
            self.out.push_str(text);
            self.spaces(free);
        } else {
            self.spaces(1 + free);
            self.out.push_str(text);
        }
    }

    fn stacked(&mut self, head: &[String], rows: &[Vec<String>]) {
        for (head, cell) in rows.iter().flat_map(|cells| head.iter().zip(cells)) {
            if !cell.is_empty() {
                self.row(head, cell);
            }
        }
    }
}

/// Widths that fit: every column as wide as its widest cell, the widest column of texts folded if it must
/// be, the spare space given to the first column.
fn table_widths(head: &[String], rows: &[Vec<String>], columns: usize) -> Option<Vec<usize>> {
    let cell = |row: &Vec<String>, place: usize| row.get(place).map_or(0, |c| width(c));
    let mut widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(place, head)| {
            let widest = rows.iter().map(|row| cell(row, place)).max();
            width(head).max(widest.unwrap_or(0))
        })
        .collect();
    let gaps = head.len().saturating_sub(1);
    let sum: usize = widths.iter().sum::<usize>() + gaps;
    if sum <= columns {
        *widths.first_mut()? += columns - sum;
        return Some(widths);
    }
    let is_text = |place: &usize| {
        rows.iter()
            .filter_map(|row| row.get(*place))
            .any(|cell| cell.chars().any(char::is_alphabetic))
    };
    let place = (0..widths.len())
        .filter(is_text)
        .max_by_key(|place| widths.get(*place).copied())?;
    let folded = widths.get_mut(place)?;
    *folded = folded.checked_sub(sum - columns)?;
    let longest_head = width(head.get(place)?);
    (*folded >= MIN_FOLDED.max(longest_head)).then_some(widths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(block: &Block, columns: usize) -> Vec<String> {
        render_block(block, columns)
    }

    /// Texts fold between words; a word longer than the paper is broken.
    #[test]
    fn folding() {
        assert_eq!(folded("one two three", 8), ["one two", "three"]);
        assert_eq!(folded("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(folded("", 4), [""]);
        assert_eq!(folded("  a   b ", 9), ["a b"]);
        assert_eq!(folded("éééé é", 4), ["éééé", "é"]);
        assert_eq!(folded("one two three", 7), ["one two", "three"]);
        assert_eq!(folded("abcd efgh", 8), ["abcd", "efgh"]);
        assert_eq!(folded("abcd ef ghi", 9), ["abcd ef", "ghi"]);
        assert_eq!(folded("abcd ef gh", 9), ["abcd ef", "gh"]);
        assert_eq!(folded("a  b c", 9), ["a b c"]);
        assert_eq!(folded(" \t ", 4), [""]);
    }

    /// A long name folds beside its amount, which stands on the last line; a long amount goes below.
    #[test]
    fn rows_fold() {
        let block = Block::row("a name that is quite long", "12.00 A");
        assert_eq!(
            lines(&block, 20),
            ["a name that", "is quite", "long         12.00 A"]
        );
        let block = Block::row("left", "a right side too long for it");
        assert_eq!(
            lines(&block, 20),
            ["left", "    a right side too", "         long for it"]
        );
        assert_eq!(lines(&Block::row("alone", ""), 20), ["alone"]);
        // Just beside each other, just not; just room for the left to fold beside the right, just not.
        let block = Block::row("abcdefghi", "1234567890");
        assert_eq!(lines(&block, 20), ["abcdefghi 1234567890"]);
        let block = Block::row("abcdefghij", "1234567890");
        assert_eq!(lines(&block, 20), ["abcdefghij", "          1234567890"]);
        let block = Block::row("aaaa bbbb cccc", "123456789");
        assert_eq!(lines(&block, 20), ["aaaa bbbb", "cccc       123456789"]);
        let block = Block::row("aaaa bbbb cccc", "1234567890");
        assert_eq!(
            lines(&block, 20),
            ["aaaa bbbb cccc", "          1234567890"]
        );
    }

    /// A text stands where it is told to, on paper of the least width at least.
    #[test]
    fn alignment() {
        let at = |align| Block::Text {
            text: "seven 7".to_owned(),
            align,
            bold: false,
            size: crate::paper::Size::Normal,
        };
        assert_eq!(lines(&at(Align::Left), 20), ["seven 7"]);
        assert_eq!(lines(&at(Align::Center), 20), ["      seven 7"]);
        assert_eq!(lines(&at(Align::Right), 20), ["             seven 7"]);
        assert_eq!(lines(&Block::Rule, 4), ["-".repeat(16)]);
        let blocks = [Block::Blank, Block::Cut, Block::text("a  "), Block::Rule];
        assert_eq!(
            render_text(&blocks, 16),
            format!("\na\n{}\n", "-".repeat(16))
        );
    }

    /// A table that fits fills the line; one long text folds; amounts that do not fit are stacked.
    #[test]
    fn tables_fit_or_are_stacked() {
        let head = ["Tax", "Name", "Amount"].map(String::from).to_vec();
        let block = |name: &str, amount: &str| Block::Table {
            head: head.clone(),
            rows: vec![vec!["A".into(), name.into(), amount.into()]],
        };
        assert_eq!(
            lines(&block("Exempt", "1.00"), 20),
            ["Tax      Name Amount", "A      Exempt   1.00"]
        );
        assert_eq!(
            lines(&block("Exempt by law", "1.00"), 20),
            [
                "Tax      Name Amount",
                "A   Exempt by   1.00",
                "          law"
            ]
        );
        assert_eq!(
            lines(&block("Exempt", "1234567890.00"), 20),
            [
                "Tax                A",
                "Name          Exempt",
                "Amount 1234567890.00"
            ]
        );
        // A cell that fits is set as it is; an empty one takes no line of its own.
        assert_eq!(
            lines(&block("A  B", "1.00"), 20),
            ["Tax      Name Amount", "A        A  B   1.00"]
        );
        assert_eq!(
            lines(&block("", "1234567890.00"), 20),
            ["Tax                A", "Amount 1234567890.00"]
        );
    }
}
