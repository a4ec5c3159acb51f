//! How the printer feels, and the status bytes that say so.

/// What is wrong or right with a printer, as its sensors see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a sensor of its own")]
pub struct Condition {
    /// The cover is open.
    pub cover_open: bool,
    /// There is no paper.
    pub paper_out: bool,
    /// There is little paper.
    pub paper_low: bool,
    /// Something blocks the cutter: the next cut fails.
    pub cutter_blocked: bool,
    /// A cut has failed, and nobody has let the printer go on since.
    pub cutter_error: bool,
    /// The head is too hot; it goes on by itself when it has cooled down.
    pub head_hot: bool,
    /// Broken: it goes on no more until it is switched off.
    pub broken: bool,
    /// The drawer's sensor reads high.
    pub drawer_high: bool,
    /// A person holds the feed button.
    pub feed_button: bool,
}

impl Condition {
    /// Whether it prints and reads on.
    #[must_use]
    pub fn is_ready(self) -> bool {
        !(self.cover_open || self.paper_out || self.feed_button || self.has_error())
    }

    fn has_error(self) -> bool {
        self.cutter_error || self.head_hot || self.broken
    }

    /// The answer to `DLE EOT n`, n of 1 to 4.
    #[must_use]
    pub fn status(self, n: u8) -> Option<u8> {
        let bits = match n {
            1 => bit(self.drawer_high, 2) | bit(!self.is_ready(), 3) | bit(self.feed_button, 6),
            2 => {
                bit(self.cover_open, 2)
                    | bit(self.feed_button, 3)
                    | bit(self.paper_out, 5)
                    | bit(self.has_error(), 6)
            }
            3 => bit(self.cutter_error, 3) | bit(self.broken, 5) | bit(self.head_hot, 6),
            4 => {
                let low = self.paper_low || self.paper_out;
                bit(low, 2) | bit(low, 3) | bit(self.paper_out, 5) | bit(self.paper_out, 6)
            }
            _ => return None,
        };
        Some(0x12 | bits)
    }

    /// The four bytes that it sends by itself (`GS a`).
    #[must_use]
    pub fn automatic(self) -> [u8; 4] {
        [
            0x10 | bit(self.drawer_high, 2)
                | bit(!self.is_ready(), 3)
                | bit(self.cover_open, 5)
                | bit(self.feed_button, 6),
            bit(self.cutter_error, 3) | bit(self.broken, 5) | bit(self.head_hot, 6),
            self.paper(),
            0,
        ]
    }

    /// The answer to `GS r 1`, and the third of the bytes that it sends by itself.
    #[must_use]
    pub fn paper(self) -> u8 {
        let low = self.paper_low || self.paper_out;
        bit(low, 0) | bit(low, 1) | bit(self.paper_out, 2) | bit(self.paper_out, 3)
    }

    /// Whether a change from this to that is one that `GS a mask` wants to hear of.
    #[must_use]
    pub fn is_news(self, then: Self, mask: u8) -> bool {
        let wants = |n: u8| mask & (1 << n) != 0;
        (wants(0) && self.drawer_high != then.drawer_high)
            || (wants(1) && self.is_ready() != then.is_ready())
            || (wants(2) && self.automatic()[1] != then.automatic()[1])
            || (wants(3) && self.paper() != then.paper())
    }
}

fn bit(set: bool, place: u8) -> u8 {
    u8::from(set) << place
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Condition, then the answers to DLE EOT 1 to 4, the automatic bytes and GS r 1, worked out by hand
    /// from the bits that the makers' manuals give.
    type Fact = (fn(&mut Condition), [u8; 4], [u8; 4], u8);

    const FACTS: [Fact; 9] = [
        (|_| (), [0x12, 0x12, 0x12, 0x12], [0x10, 0, 0, 0], 0),
        (
            |c| c.drawer_high = true,
            [0x16, 0x12, 0x12, 0x12],
            [0x14, 0, 0, 0],
            0,
        ),
        (
            |c| c.cover_open = true,
            [0x1A, 0x16, 0x12, 0x12],
            [0x38, 0, 0, 0],
            0,
        ),
        (
            |c| c.paper_low = true,
            [0x12, 0x12, 0x12, 0x1E],
            [0x10, 0, 0x03, 0],
            0x03,
        ),
        (
            |c| c.paper_out = true,
            [0x1A, 0x32, 0x12, 0x7E],
            [0x18, 0, 0x0F, 0],
            0x0F,
        ),
        (
            |c| c.cutter_error = true,
            [0x1A, 0x52, 0x1A, 0x12],
            [0x18, 0x08, 0, 0],
            0,
        ),
        (
            |c| c.head_hot = true,
            [0x1A, 0x52, 0x52, 0x12],
            [0x18, 0x40, 0, 0],
            0,
        ),
        (
            |c| c.broken = true,
            [0x1A, 0x52, 0x32, 0x12],
            [0x18, 0x20, 0, 0],
            0,
        ),
        (
            |c| c.feed_button = true,
            [0x5A, 0x1A, 0x12, 0x12],
            [0x58, 0, 0, 0],
            0,
        ),
    ];

    #[test]
    fn each_condition_has_its_bits() {
        for (number, (change, status, automatic, paper)) in FACTS.into_iter().enumerate() {
            let mut condition = Condition::default();
            change(&mut condition);
            let told: Vec<_> = (1..=4).filter_map(|n| condition.status(n)).collect();
            assert_eq!(told, status, "fact {number}");
            assert_eq!(condition.automatic(), automatic, "fact {number}");
            assert_eq!(condition.paper(), paper, "fact {number}");
        }
        assert_eq!(Condition::default().status(5), None);
    }

    #[test]
    fn every_byte_has_the_fixed_bits_by_which_it_is_told_apart() {
        for bits in 0..512_u32 {
            let on = |n: u32| bits & (1 << n) != 0;
            let condition = Condition {
                cover_open: on(0),
                paper_out: on(1),
                paper_low: on(2),
                cutter_blocked: on(3),
                cutter_error: on(4),
                head_hot: on(5),
                broken: on(6),
                drawer_high: on(7),
                feed_button: on(8),
            };
            for n in 1..=4 {
                assert_eq!(condition.status(n).unwrap() & 0b1001_0011, 0b0001_0010);
            }
            let [first, rest @ ..] = condition.automatic();
            assert_eq!(first & 0b1001_0011, 0b0001_0000);
            for byte in rest.into_iter().chain([condition.paper()]) {
                assert_eq!(byte & 0b1001_0000, 0);
            }
        }
    }
}
