//! Streams in the ledger: what moves them, what a person's pause withstands, what a closed gate keeps back.

use super::super::tests::Store;
use super::*;

fn parked(code: &str) -> Parked {
    Parked {
        code: code.to_owned(),
        ..Parked::paused("because".to_owned(), Timestamp::UNIX_EPOCH)
    }
}

fn stream(store: &mut Store) -> StreamState {
    let till = store.till;
    store.core.write(|core| core.stream(till)).unwrap().0
}

fn update(store: &mut Store, state: &StreamState) {
    store.core.write(|core| core.update_stream(state)).unwrap();
}

/// Why a stream is parked is told by the code alone.
#[test]
fn kinds_of_parking() {
    for (code, kind) in [
        ("paused", ParkedKind::Paused),
        ("MissingReceipts", ParkedKind::CloseFailed),
        ("CloseFailed", ParkedKind::CloseFailed),
        ("HTTP 401", ParkedKind::Refused),
        ("", ParkedKind::Refused),
    ] {
        assert_eq!(parked(code).kind(), kind, "{code}");
    }
}

/// A closed gate lets pass what was ordered before it closed, and nothing behind.
#[test]
fn gates() {
    let mut state = StreamState::new(TillId(1));
    assert!(!state.is_shut_for(Seq(6)));
    state.shut = Some(Shut { upto: Seq(5) });
    assert!(!state.is_shut_for(Seq(5)));
    assert!(state.is_shut_for(Seq(6)));
}

/// The state of the head is kept, unless the stream has moved on.
#[test]
fn the_heads_state_is_kept() {
    let mut store = Store::new();
    let till = store.till;
    let _ = store.issue(store.sale("A1")).unwrap();
    let (present, head) = store.core.write(|core| core.stream(till)).unwrap();
    let first = ItemKind::Open(FiscalDayNo::new(1).unwrap());
    assert_eq!(head.map(|head| head.kind), Some(first));
    let tried = StreamState {
        attempts: 3,
        step: Step::Ask,
        last_error: Some("reset".to_owned()),
        ..present.clone()
    };
    update(&mut store, &tried);
    assert_eq!(stream(&mut store), tried);
    let elsewhere = StreamState {
        cursor: Seq(99),
        ..present
    };
    let late = store.core.write(|core| core.update_stream(&elsewhere));
    assert!(
        matches!(late, Err(LedgerError::Refused(Refusal::Stream(_)))),
        "{late:?}"
    );
    assert_eq!(stream(&mut store), tried);
}

/// A pause ends when a person ends it: not by an answer that was on its way.
#[test]
fn pauses_last() {
    let mut store = Store::new();
    let till = store.till;
    let _ = store.issue(store.sale("A1")).unwrap();
    let before = stream(&mut store);
    store
        .core
        .write(|core| core.pause_stream(till, "stocktaking", "test"))
        .unwrap();
    update(
        &mut store,
        &StreamState {
            attempts: 2,
            ..before
        },
    );
    let paused = stream(&mut store);
    let reason = paused
        .parked
        .as_ref()
        .map(|parked| (parked.kind(), &*parked.reason));
    assert_eq!(reason, Some((ParkedKind::Paused, "stocktaking")));
    assert_eq!(paused.attempts, 2);
    let retry = |store: &mut Store| {
        store
            .core
            .write(|core| core.retry_stream(till, "test"))
            .unwrap();
        stream(store)
    };
    let on = retry(&mut store);
    assert_eq!((on.parked, on.attempts, on.step), (None, 0, Step::Ask));
    // What was not parked keeps its step, and its pause is over.
    let polling = StreamState {
        step: Step::Poll,
        attempts: 4,
        next_attempt: "2026-05-28T06:00:00Z".parse().unwrap(),
        ..stream(&mut store)
    };
    update(&mut store, &polling);
    let on = retry(&mut store);
    assert_eq!(
        (on.step, on.attempts, on.next_attempt),
        (Step::Poll, 0, Timestamp::UNIX_EPOCH)
    );
    store.verify().unwrap();
}

/// Another operating mode lets go on what was shut out for it, and nothing else.
#[test]
fn another_mode() {
    let mut store = Store::new();
    let till = store.till;
    let _ = store.issue(store.sale("A1")).unwrap();
    for (code, goes_on) in [("DEV05", false), ("DEV01", true), ("FILE03", true)] {
        let state = StreamState {
            parked: Some(parked(code)),
            ..stream(&mut store)
        };
        update(&mut store, &state);
        store.core.write(|core| core.mode_changed(till)).unwrap();
        assert_eq!(stream(&mut store).parked.is_none(), goes_on, "{code}");
    }
}
