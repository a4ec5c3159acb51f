//! What goes wrong, drawn from a seed.

use std::time::Duration;

use vprinter::{Fault, Printer, Rule, When};

use crate::dice::Dice;
use crate::line::{Intruder, Line};

/// What happens to us, not to the printer or its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ours {
    /// So many states cannot be kept, or are kept and we are told otherwise.
    KeepFails { times: u64, kept: bool },
    /// We are killed at the keeping of a state that many states later: before it is kept, or after.
    Killed { states: u64, kept: bool },
    /// We are killed after so many steps.
    KilledAt { steps: u64 },
}

/// The kinds of trouble.
pub(crate) const KINDS: u64 = 22;

/// One thing goes wrong with a job of so many bytes, which begins now. What happens to ourselves is given back.
pub(crate) fn strike(
    kind: u64,
    dice: &mut Dice,
    now: Duration,
    bytes: u64,
    line: &mut Line,
    printer: &mut Printer,
) -> Option<Ours> {
    let place = 1 + dice.below(bytes + bytes / 5);
    let counts = printer.counts();
    let when = if dice.chance(50) {
        When::Byte(counts.received + place)
    } else {
        When::Line(counts.lines + 1 + dice.below(30))
    };
    let while_ = dice.millis(100, 60_000);
    let mended = |fault, mend| Rule::mended(when, fault, while_, mend);
    match kind {
        0 => printer.schedule([mended(Fault::PaperOut, Fault::NewPaper { mm: 80_000 })]),
        1 => printer.schedule([mended(Fault::CoverOpen, Fault::CoverClose)]),
        2 => printer.schedule([mended(Fault::CutterBlocked, Fault::CutterFree)]),
        3 => printer.schedule([mended(Fault::HeadHot, Fault::HeadCool)]),
        4 => printer.schedule([mended(Fault::PowerOff, Fault::PowerOn)]),
        5 => printer.schedule([Rule::once(when, Fault::PowerCycle)]),
        6 | 7 => line.cut_after_out = Some(place),
        8 => line.cut_after_in = Some(1 + dice.below(24)),
        9 => line.half_open_until = now + dice.millis(100, 90_000),
        10 => line.stalled_until = now + dice.millis(100, 90_000),
        11 => line.stalled_until = now + dice.millis(590_000, 640_000),
        12 => line.late_until = now + dice.millis(100, 60_000),
        13 => line.intruder = Some(Intruder::Twice),
        14 => line.intruder = Some(Intruder::Foreign),
        15 => line.intruder = Some(Intruder::Automatic),
        16 => line.intruder = Some(Intruder::Noise),
        17 => line.piecemeal = true,
        18 => line.pace = Some(30 + dice.below(1000)),
        19 => {
            let times = 1 + dice.below(5);
            return Some(Ours::KeepFails {
                times,
                kept: dice.chance(30),
            });
        }
        20 => {
            let states = 1 + dice.below(3);
            return Some(Ours::Killed {
                states,
                kept: dice.chance(50),
            });
        }
        _ => {
            return Some(Ours::KilledAt {
                steps: 1 + dice.below(60),
            });
        }
    }
    None
}
