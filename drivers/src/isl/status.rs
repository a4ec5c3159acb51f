//! The status bytes of a reply. Bit 7 of each is always 1; idle and healthy is `80 80 80 80 86 9A`.

use super::frame::Variant;
use crate::job::HeldReason;
use crate::register::{RefusalClass, View};

/// The bytes of a reply, six or eight of them.
pub(super) fn bytes(variant: Variant, view: &View, refused: Option<RefusalClass>) -> Vec<u8> {
    let bit = |is: bool, bit: u8| u8::from(is) << bit;
    let is = |class: RefusalClass| refused == Some(class);
    let fault = view.condition.fault;
    let no_paper = fault == Some(HeldReason::PaperOut) || is(RefusalClass::Paper);
    let cover = fault == Some(HeldReason::CoverOpen);
    let printer = fault.is_some() && !cover && fault != Some(HeldReason::PaperOut);
    let refusal = is(RefusalClass::NotAllowed)
        || is(RefusalClass::Store)
        || is(RefusalClass::Overflow)
        || is(RefusalClass::Paper);
    let unreadable = bit(is(RefusalClass::Syntax), 0) | bit(is(RefusalClass::Unknown), 1);
    let error = unreadable != 0 || refusal || printer || no_paper;

    let s0 = unreadable | bit(printer, 4) | bit(error, 5) | bit(cover, 6);
    let s1 = bit(is(RefusalClass::Overflow), 0) | bit(refusal, 1) | storno(variant, view.storno);
    let s2 = bit(no_paper, 0)
        | bit(view.condition.paper_low, 1)
        | bit(view.fiscal, 3)
        | bit(view.service, 5);
    let store = is(RefusalClass::Store);
    let s4 = 0x06 | bit(store, 0) | bit(store, 5);
    let mut bytes = vec![s0, s1, s2, 0, s4, 0x1A];
    if variant == Variant::X {
        bytes.extend([0, 0]);
    }
    bytes.iter().map(|byte| byte | 0x80).collect()
}

/// A storno that is open has a bit of its own in "P".
fn storno(variant: Variant, open: bool) -> u8 {
    u8::from(open && variant == Variant::P) << 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Condition;

    fn view(fault: Option<HeldReason>) -> View {
        View {
            condition: Condition {
                fault,
                ..Condition::default()
            },
            fiscal: false,
            storno: false,
            service: false,
        }
    }

    #[test]
    fn idle_and_healthy() {
        let healthy = [0x80, 0x80, 0x80, 0x80, 0x86, 0x9A, 0x80, 0x80];
        assert_eq!(bytes(Variant::P, &view(None), None), healthy[..6]);
        assert_eq!(bytes(Variant::X, &view(None), None), healthy);
    }

    #[test]
    fn every_trouble_has_its_bit() {
        let first = |fault, refused| {
            let all = bytes(Variant::P, &view(fault), refused);
            (all[0], all[1], all[2], all[4])
        };
        let paper = Some(HeldReason::PaperOut);
        assert_eq!(first(paper, None), (0xA0, 0x80, 0x81, 0x86));
        let cover = Some(HeldReason::CoverOpen);
        assert_eq!(first(cover, None), (0xC0, 0x80, 0x80, 0x86));
        let cutter = Some(HeldReason::Cutter);
        assert_eq!(first(cutter, None), (0xB0, 0x80, 0x80, 0x86));
        let syntax = Some(RefusalClass::Syntax);
        assert_eq!(first(None, syntax), (0xA1, 0x80, 0x80, 0x86));
        let unknown = Some(RefusalClass::Unknown);
        assert_eq!(first(None, unknown), (0xA2, 0x80, 0x80, 0x86));
        let not_now = Some(RefusalClass::NotAllowed);
        assert_eq!(first(None, not_now), (0xA0, 0x82, 0x80, 0x86));
        let overflow = Some(RefusalClass::Overflow);
        assert_eq!(first(None, overflow), (0xA0, 0x83, 0x80, 0x86));
        let store = Some(RefusalClass::Store);
        assert_eq!(first(None, store), (0xA0, 0x82, 0x80, 0xA7));
    }

    #[test]
    fn open_receipts_have_their_bits() {
        let mut open = view(None);
        open.fiscal = true;
        open.storno = true;
        open.condition.paper_low = true;
        assert_eq!(bytes(Variant::P, &open, None)[..3], [0x80, 0x90, 0x8A]);
        let mut service = view(None);
        service.service = true;
        assert_eq!(bytes(Variant::P, &service, None)[2], 0xA0);
    }
}
