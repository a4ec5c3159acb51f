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
    let mut out = String::new();
    for line in blocks.iter().flat_map(|block| render_block(block, columns)) {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// One block as lines of at most `columns` characters, without spaces at their ends.
#[must_use]
pub fn render_block(block: &Block, columns: usize) -> Vec<String> {
    let columns = columns.max(MIN_COLUMNS);
    let mut lines = match block {
        Block::Text { text, align, .. } => fold(text, columns)
            .iter()
            .map(|line| aligned(line, columns, *align))
            .collect(),
        Block::Row { left, right, .. } => row(left, right, columns),
        Block::Table { head, rows } => table(head, rows, columns),
        Block::Rule => vec!["-".repeat(columns)],
        Block::Qr { .. } => vec![aligned("[QR code]", columns, Align::Center)],
        Block::Blank => vec![String::new()],
        Block::Cut => Vec::new(),
    };
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn aligned(text: &str, columns: usize, align: Align) -> String {
    match align {
        Align::Left => text.to_owned(),
        Align::Center => format!("{text:^columns$}"),
        Align::Right => format!("{text:>columns$}"),
    }
}

/// Breaks a text between words into lines of at most `columns` characters; at least one line.
fn fold(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for letter in word.chars() {
            if width(&line) == columns {
                lines.push(std::mem::take(&mut line));
            }
            line.push(letter);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Left and right on one line; where they do not fit, the left folds beside the right, and where the
/// right needs most of the line, it gets lines of its own.
fn row(left: &str, right: &str, columns: usize) -> Vec<String> {
    let taken = width(right) + 1;
    if right.is_empty() || width(left) + taken <= columns {
        let gap = columns.saturating_sub(width(left) + width(right));
        let line = format!("{left}{}{right}", " ".repeat(gap));
        return if right.is_empty() {
            fold(left, columns)
        } else {
            vec![line]
        };
    }
    if taken * 2 > columns {
        let mut lines = fold(left, columns);
        lines.extend(
            fold(right, columns)
                .iter()
                .map(|line| aligned(line, columns, Align::Right)),
        );
        return lines;
    }
    let mut lines = fold(left, columns - taken);
    if let Some(last) = lines.last_mut() {
        let gap = columns - width(last) - width(right);
        last.push_str(&" ".repeat(gap));
        last.push_str(right);
    }
    lines
}

fn table(head: &[String], rows: &[Vec<String>], columns: usize) -> Vec<String> {
    let Some(widths) = table_widths(head, rows, columns) else {
        return stacked(head, rows, columns);
    };
    let mut lines = table_row(head, &widths);
    for cells in rows {
        lines.extend(table_row(cells, &widths));
    }
    lines
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

fn table_row(cells: &[String], widths: &[usize]) -> Vec<String> {
    let folded: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| fold(cell, *width))
        .collect();
    let height = folded.iter().map(Vec::len).max().unwrap_or(0);
    (0..height)
        .map(|place| {
            let cells = folded.iter().zip(widths).enumerate();
            let line: Vec<String> = cells
                .map(|(column, (lines, width))| {
                    let text = lines.get(place).map_or("", String::as_str);
                    if column == 0 {
                        format!("{text:<width$}")
                    } else {
                        format!("{text:>width$}")
                    }
                })
                .collect();
            line.join(" ")
        })
        .collect()
}

fn stacked(head: &[String], rows: &[Vec<String>], columns: usize) -> Vec<String> {
    rows.iter()
        .flat_map(|cells| head.iter().zip(cells))
        .filter(|(_, cell)| !cell.is_empty())
        .flat_map(|(head, cell)| row(head, cell, columns))
        .collect()
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
        assert_eq!(fold("one two three", 8), ["one two", "three"]);
        assert_eq!(fold("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(fold("", 4), [""]);
        assert_eq!(fold("  a   b ", 9), ["a b"]);
        assert_eq!(fold("éééé é", 4), ["éééé", "é"]);
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
    }
}
