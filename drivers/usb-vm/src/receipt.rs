//! Receipts to be printed: some short, some with a picture that is larger than all buffers on its way.

use drivers::page::{Bitmap, Item, Line, Page};

use crate::plan::Dice;

/// A receipt.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) name: String,
    pub(crate) lines: Vec<String>,
    pub(crate) qr: bool,
    /// Rows of dots of its picture; 0: it has none.
    pub(crate) picture: usize,
}

impl Receipt {
    /// The receipt of that number.
    pub(crate) fn random(number: usize, dice: &mut Dice) -> Self {
        let name = format!("R{number:04}");
        let count = 3 + dice.below(25);
        let lines =
            (0..count).map(|line| format!("{name} item {line:02} {:05}", dice.below(100_000)));
        Self {
            lines: lines.collect(),
            name,
            qr: dice.chance(60),
            picture: match dice.below(3) {
                0 => 0,
                1 => 60,
                _ => 360,
            },
        }
    }

    /// The line that says which it is.
    pub(crate) fn head(&self, copy: bool) -> String {
        let kind = if copy { "COPY" } else { "ORIGINAL" };
        format!("{kind} {}", self.name)
    }

    /// The last line.
    pub(crate) fn foot(&self) -> String {
        format!("{} END", self.name)
    }

    /// How many pictures are on it at least, the QR code too.
    pub(crate) fn pictures(&self) -> usize {
        usize::from(self.qr) + usize::from(self.picture > 0)
    }

    /// What is to stand on paper.
    pub(crate) fn page(&self, copy: bool) -> Page {
        let line = |text: &str| Item::Line(Line::plain(text));
        let mut items = vec![line(&self.head(copy))];
        if self.picture > 0 {
            let mut logo = Bitmap::white(384, self.picture);
            (0..self.picture).for_each(|at| logo.blacken(at, at));
            items.push(Item::Picture(logo));
        }
        items.extend(self.lines.iter().map(|text| line(text)));
        if self.qr {
            items.push(Item::Qr(format!("https://fdms.invalid/{}", self.name)));
        }
        items.push(line(&self.foot()));
        items.push(Item::Cut);
        Page { items }
    }
}
