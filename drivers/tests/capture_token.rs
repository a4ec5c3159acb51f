//! Any bytes are cut into pieces without a rest, at the same places however they come.

use drivers::capture::token::{Kind, Scanner, Step, tokens};
use proptest::prelude::*;

/// Bytes as commands begin, more often than chance would have it.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => any::<u8>(),
        2 => prop::sample::select(vec![0x1B, 0x1D, 0x1C, 0x10, 0x0A, 0x00, 0x04, 0x14]),
        2 => prop::sample::select(b"@*v0(kLDpV&q8$!a".to_vec()),
        1 => 0x20_u8..0x7F,
    ];
    prop::collection::vec(byte, 0..400)
}

proptest! {
    #[test]
    fn the_pieces_are_the_stream(bytes in stream()) {
        let all: Vec<u8> = tokens(&bytes).flat_map(|t| t.bytes.to_vec()).collect();
        prop_assert_eq!(&all, &bytes);
        prop_assert!(tokens(&bytes).all(|t| !t.bytes.is_empty()));
    }

    #[test]
    fn one_byte_at_a_time_is_cut_at_the_same_places(bytes in stream()) {
        let mut scanner = Scanner::default();
        let mut ends = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            match scanner.push(*byte) {
                Step::Inside => {}
                Step::End(kind) => ends.push((at + 1, kind)),
                Step::EndBefore(kind) => {
                    ends.push((at, kind));
                    match scanner.push(*byte) {
                        Step::Inside => {}
                        Step::End(kind) => ends.push((at + 1, kind)),
                        Step::EndBefore(_) => prop_assert!(false, "a byte was refused twice"),
                    }
                }
            }
        }
        let mut whole = Vec::new();
        for token in tokens(&bytes).filter(|t| t.whole) {
            if token.kind == Kind::Text {
                whole.extend((1..=token.bytes.len()).map(|n| (token.at + n, Kind::Text)));
            } else {
                whole.push((token.at + token.bytes.len(), token.kind));
            }
        }
        prop_assert_eq!(ends, whole);
    }
}
