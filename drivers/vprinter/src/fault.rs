//! What happens to printers: by hand, at a place in the stream, or drawn from a seed.

use std::time::Duration;

/// Something that happens to the printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The roll ends.
    PaperOut,
    /// The roll is nearly at its end.
    PaperLow,
    /// Another roll is put in.
    NewPaper {
        /// Its length in millimetres.
        mm: u32,
    },
    /// The cover is opened.
    CoverOpen,
    /// The cover is closed.
    CoverClose,
    /// Something gets into the cutter: the next cut fails.
    CutterBlocked,
    /// A person frees the cutter and lets the printer go on.
    CutterFree,
    /// The head is too hot.
    HeadHot,
    /// The head has cooled down.
    HeadCool,
    /// An error that only a power cycle ends.
    Broken,
    /// The drawer's sensor: the level of pin 3.
    Drawer {
        /// High.
        high: bool,
    },
    /// A person holds the feed button, or lets it go.
    FeedButton {
        /// Holds it.
        held: bool,
    },
    /// The power goes: buffer and modes are lost, what is half printed stays as a sheet that is not complete.
    PowerOff,
    /// The power is back.
    PowerOn,
    /// Both at once.
    PowerCycle,
    /// A person tears off what hangs out.
    Tear,
}

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(Duration),
    /// Once so many bytes have been received.
    Byte(u64),
    /// Once so many lines and pictures have been printed.
    Line(u64),
    /// Once so many sheets have been cut or torn off.
    Sheet(u64),
}

/// What happens when, and what ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// When it happens.
    pub when: When,
    /// What happens.
    pub fault: Fault,
    /// What happens how long after that.
    pub then: Option<(Duration, Fault)>,
}

impl Rule {
    /// Something that happens once and stays.
    #[must_use]
    pub fn once(when: When, fault: Fault) -> Self {
        Self {
            when,
            fault,
            then: None,
        }
    }

    /// Something that is mended after some time.
    #[must_use]
    pub fn mended(when: When, fault: Fault, after: Duration, mend: Fault) -> Self {
        Self {
            when,
            fault,
            then: Some((after, mend)),
        }
    }
}

/// One to three faults in a job of so many bytes, each mended after up to a minute: always the same ones for
/// the same seed.
#[must_use]
pub fn rules_from_seed(seed: u64, bytes: u64) -> Vec<Rule> {
    let mut dice = Dice(seed);
    let count = 1 + dice.below(3);
    (0..count).map(|_| rule(&mut dice, bytes)).collect()
}

fn rule(dice: &mut Dice, bytes: u64) -> Rule {
    let when = if dice.below(2) == 0 {
        When::Byte(1 + dice.below(bytes.max(1)))
    } else {
        When::Line(1 + dice.below((bytes / 40).max(1)))
    };
    let after = Duration::from_millis(100 + dice.below(60_000));
    let (fault, mend) = match dice.below(7) {
        0 | 1 => (Fault::PaperOut, Fault::NewPaper { mm: 80_000 }),
        2 => (Fault::CoverOpen, Fault::CoverClose),
        3 => (Fault::CutterBlocked, Fault::CutterFree),
        4 => (Fault::HeadHot, Fault::HeadCool),
        5 => (Fault::PowerOff, Fault::PowerOn),
        _ => return Rule::once(when, Fault::PowerCycle),
    };
    Rule::mended(when, fault, after, mend)
}

/// The splitmix64 generator.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
