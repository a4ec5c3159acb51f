//! What HQ wants of the store: gates, blocked tills, settings, switches; each with the ledger opened again in between.

use sync_wire::state::{Blocked, Gate, Switch, Wanted};
use sync_wire::{Environment as Env, TillRef};

use super::tests::{TILL, events, joined, state};
use super::*;
use crate::ledger::holds::HoldKind;
use crate::ledger::tests::Store;
use crate::ledger::{DayOpening, Refusal, Seq, TillId};

fn wanted(revision: i64, closed: &[Env], switches: &[Switch]) -> Wanted {
    let gates = [Env::Test, Env::Prod].map(|environment| Gate {
        environment,
        enabled: !closed.contains(&environment),
        reason: "under review".to_owned(),
    });
    Wanted {
        revision,
        gates: gates.to_vec(),
        switches: switches.to_vec(),
        blocked: Vec::new(),
        bytes_per_second: Some(64_000),
        ..Wanted::default()
    }
}

pub(super) fn apply(store: &mut Store, revision: i64, closed: &[Env], switches: &[Switch]) -> bool {
    let wanted = wanted(revision, closed, switches);
    store.core.write(|core| core.hq_apply(&wanted)).unwrap()
}

/// A closed gate takes no sales and opens no day; controlled test receipts pass. An open one lets all go on.
#[test]
fn gates_close_and_open() {
    let (mut store, _) = joined();
    assert!(apply(&mut store, 5, &[Env::Test], &[]));
    assert!(!apply(&mut store, 5, &[], &[]), "the same revision");
    assert!(!apply(&mut store, 4, &[], &[]), "an older one");
    store.reopen();
    let till = store.till;
    let Err(Refusal::Held { kind, reason, .. }) = store.issue(store.sale("A1")) else {
        panic!("a closed gate takes no sale");
    };
    assert_eq!(kind, HoldKind::Disabled);
    assert!(reason.contains("under review"), "{reason}");
    let opened = store.core.write(|core| core.open_day(till, "test"));
    assert!(matches!(
        opened,
        Err(LedgerError::Refused(Refusal::Held { .. }))
    ));
    let reader = Reader::new(&store.path());
    assert_eq!(
        reader.day(till, None).unwrap().map(|day| day.fiscal_day_no),
        None
    );
    assert_eq!(reader.hold(till).unwrap().unwrap().kind, HoldKind::Disabled);
    assert_eq!(
        reader.hq_store_state().unwrap().tills[0]
            .hold
            .as_ref()
            .unwrap()
            .kind,
        "disabled"
    );
    let mut controlled = store.sale("T1");
    controlled.controlled = true;
    let issued = store.issue(controlled).unwrap();
    let (stream, _) = reader.stream(till).unwrap();
    assert!(!stream.is_shut_for(issued.seq) && stream.is_shut_for(Seq(issued.seq.0 + 1)));
    let closed = store
        .core
        .write(|core| core.close_day(till, "test"))
        .unwrap();
    let (stream, _) = reader.stream(till).unwrap();
    assert!(stream.is_shut_for(closed.close.unwrap().seq));
    let opened = store
        .core
        .write(|core| core.open_controlled_day(till, "test"))
        .unwrap();
    let (stream, _) = reader.stream(till).unwrap();
    assert!(!stream.is_shut_for(opened.day_id));
    let closed = store
        .core
        .write(|core| core.close_controlled_day(till, "test"))
        .unwrap();
    let (stream, _) = reader.stream(till).unwrap();
    assert!(!stream.is_shut_for(closed.close.unwrap().seq));
    assert!(apply(&mut store, 6, &[], &[]));
    store.issue(store.sale("A1")).unwrap();
    assert_eq!(reader.stream(till).unwrap().0.shut, None);
    assert_eq!(state(&store).wanted.bytes_per_second, Some(64_000));
    store.verify().unwrap();
}

/// A blocked till takes no sales, not even controlled ones, opens no day and sends nothing, until it is named no more; its
/// neighbours sell on. One that is registered later is blocked from the start.
#[test]
fn blocked_tills_stand_still() {
    let (mut store, _) = joined();
    let block = |till, reason: &str| Blocked {
        till,
        reason: reason.to_owned(),
    };
    let prod = TillRef {
        environment: Env::Prod,
        device_id: 43,
    };
    let mut both = wanted(1, &[], &[]);
    both.blocked = vec![block(TILL, "stolen"), block(prod, "not yet")];
    assert!(store.core.write(|core| core.hq_apply(&both)).unwrap());
    store.reopen();
    let till = store.till;
    let other = production(&mut store, 43);
    for (till, why) in [(till, "stolen"), (other, "not yet")] {
        for controlled in [false, till == store.till] {
            let mut sale = store.sale("A1");
            (sale.till, sale.controlled) = (till, controlled);
            let Err(Refusal::Held { kind, reason, .. }) = store.issue(sale) else {
                panic!("a blocked till takes no sale");
            };
            assert_eq!(kind, HoldKind::Blocked);
            assert!(reason.contains(why), "{reason}");
        }
        let reader = Reader::new(&store.path());
        assert_eq!(reader.hold(till).unwrap().unwrap().kind, HoldKind::Blocked);
        let (stream, _) = reader.stream(till).unwrap();
        assert!(stream.is_shut_for(Seq(1)));
    }
    let opened = store
        .core
        .write(|core| core.open_controlled_day(till, "test"));
    assert!(matches!(
        opened,
        Err(LedgerError::Refused(Refusal::Held { .. }))
    ));
    let told = Reader::new(&store.path()).hq_store_state().unwrap();
    let told = told.tills[0].hold.clone().unwrap();
    assert_eq!(told.kind, "blocked");
    let mut one = wanted(2, &[], &[]);
    one.blocked = vec![block(prod, "not yet")];
    assert!(store.core.write(|core| core.hq_apply(&one)).unwrap());
    store.issue(store.sale("A1")).unwrap();
    let mut sale = store.sale("B1");
    sale.till = other;
    assert!(store.issue(sale).is_err());
    store.core.write(|core| core.hq_leave("test")).unwrap();
    let mut sale = store.sale("B1");
    sale.till = other;
    store.issue(sale).unwrap();
}

/// What HQ sets holds at once and after a restart, a till's own word stands above it, and leaving takes it back.
#[test]
fn settings_are_followed() {
    let (mut store, _) = joined();
    let till = store.till;
    let mut first = wanted(1, &[], &[]);
    first.settings.day_opening = Some(DayOpening::ByHand);
    first.settings.currencies = Some(vec!["ZWG".to_owned()]);
    assert!(store.core.write(|core| core.hq_apply(&first)).unwrap());
    let told = events(&store, "hq.wanted").pop().unwrap();
    assert!(told.contains(r#""day_opening":"by_hand""#), "{told}");
    for again in [false, true] {
        if again {
            store.reopen();
        }
        let refused = store.issue(store.sale("A1")).unwrap_err();
        assert!(matches!(refused, Refusal::DayNotOpen { .. }), "{refused}");
    }
    store
        .core
        .write(|core| core.open_day(till, "test"))
        .unwrap();
    let Err(Refusal::Findings { findings }) = store.issue(store.sale("A1")) else {
        panic!("the sale is in a currency that may not be sold in");
    };
    assert!(format!("{findings:?}").contains("urrency"), "{findings:?}");
    // What is named no more is the file's again.
    let mut second = wanted(2, &[], &[]);
    second.settings.day_opening = Some(DayOpening::ByHand);
    assert!(store.core.write(|core| core.hq_apply(&second)).unwrap());
    store.issue(store.sale("A1")).unwrap();
    store
        .core
        .write(|core| core.close_day(till, "test"))
        .unwrap();
    assert!(store.issue(store.sale("A2")).is_err());
    store.core.write(|core| core.hq_leave("test")).unwrap();
    store.issue(store.sale("A2")).unwrap();
    store.verify().unwrap();
}

/// A switch that could not be made is made as soon as it can be, without a word from HQ; one that was made once is not
/// made again, so that a person in the store can change it.
#[test]
fn what_was_left_out_is_tried_again() {
    let (mut store, _) = joined();
    let prod = TillRef {
        environment: Env::Prod,
        device_id: 43,
    };
    let wishes = [Switch {
        from: TILL,
        to: Some(prod),
    }];
    assert!(apply(&mut store, 1, &[], &wishes));
    assert!(!apply(&mut store, 1, &[], &wishes), "it is not there yet");
    let reader = Reader::new(&store.path());
    assert_eq!(reader.switches().unwrap(), []);
    let before = events(&store, "hq.wanted").len();
    let other = production(&mut store, 43);
    assert!(apply(&mut store, 1, &[], &wishes));
    assert_eq!(reader.switches().unwrap(), [(store.till, other)]);
    let told = events(&store, "hq.wanted");
    assert_eq!(told.len(), before + 1);
    assert!(told.last().unwrap().contains(r#""leftOut":[]"#));
    let till = store.till;
    store
        .core
        .write(|core| core.switch_till(till, None, "test"))
        .unwrap();
    assert!(!apply(&mut store, 1, &[], &wishes));
    assert_eq!(reader.switches().unwrap(), []);
}

/// In production nothing passes a closed gate, and no controlled test receipt is ever issued.
#[test]
fn nothing_controlled_in_production() {
    let (mut store, _) = joined();
    let other = production(&mut store, 43);
    let mut controlled = store.sale("T1");
    controlled.till = other;
    controlled.controlled = true;
    let refused = store.issue(controlled).unwrap_err();
    assert!(matches!(refused, Refusal::NotNow(_)), "{refused}");
    apply(&mut store, 1, &[Env::Prod], &[]);
    let opened = store
        .core
        .write(|core| core.open_controlled_day(other, "test"));
    assert!(opened.is_err());
    store.issue(store.sale("A1")).unwrap();
}

fn production(store: &mut Store, device: u32) -> TillId {
    let till = crate::testing::add_till(&mut store.core, fiscal::DeviceId::new(device).unwrap());
    let till = till.unwrap();
    let change = "UPDATE till SET environment = 'production' WHERE till_id = ?1";
    store.core.conn.execute(change, [till.0]).unwrap();
    store.reopen();
    till
}

/// New sales go where HQ wants; the way back ends the way there; what cannot be done is left out and said.
#[test]
fn switches_follow_what_is_wanted() {
    let (mut store, _) = joined();
    let other = production(&mut store, 43);
    let prod = TillRef {
        environment: Env::Prod,
        device_id: 43,
    };
    let to = |from, to| Switch { from, to };
    let stranger = TillRef {
        device_id: 44,
        ..prod
    };
    let wishes = [to(TILL, Some(prod)), to(stranger, Some(TILL))];
    assert!(apply(&mut store, 1, &[], &wishes));
    let reader = Reader::new(&store.path());
    assert_eq!(reader.switches().unwrap(), [(store.till, other)]);
    let told = events(&store, "hq.wanted").pop().unwrap();
    assert!(told.contains("prod 44 is not in this store"), "{told}");
    store.reopen();
    // The same again changes nothing.
    let before = events(&store, "till.switched").len();
    assert!(apply(&mut store, 2, &[], &wishes[..1]));
    assert_eq!(events(&store, "till.switched").len(), before);
    // Rollback: the test till sells again, and the production till's new sales go there.
    assert!(apply(&mut store, 3, &[Env::Prod], &[to(prod, Some(TILL))]));
    assert_eq!(reader.switches().unwrap(), [(other, store.till)]);
    assert!(apply(&mut store, 4, &[], &[to(prod, None)]));
    assert_eq!(reader.switches().unwrap(), []);
}

/// Settings that cannot be read stop neither the ledger nor a sale: the file's hold, until HQ is heard again.
#[test]
fn settings_that_cannot_be_read_stop_no_sale() {
    let (mut store, _) = joined();
    let mut by_hand = wanted(3, &[], &[]);
    by_hand.settings.day_opening = Some(DayOpening::ByHand);
    let put = |store: &mut Store| store.core.write(|core| core.hq_apply(&by_hand)).unwrap();
    assert!(put(&mut store));
    let spoilt = "UPDATE hq SET wanted = '{\"revision\":\"three\"}'";
    store.core.conn.execute(spoilt, []).unwrap();
    store.reopen();
    store.issue(store.sale("A1")).unwrap();
    let till = store.till;
    store
        .core
        .write(|core| core.close_day(till, "test"))
        .unwrap();
    assert!(put(&mut store), "it is news again");
    assert!(store.issue(store.sale("A2")).is_err());
}

/// A gateway that was older when HQ set something takes it once it is updated, although the revision is the same; but
/// only settings: what HQ has decided of gates, or a person here of switches, is not undone by an update.
#[test]
fn an_updated_gateway_reads_anew() {
    let (mut store, _) = joined();
    assert!(apply(&mut store, 3, &[], &[]));
    let mut same = wanted(3, &[Env::Test], &[]);
    same.settings.day_opening = Some(DayOpening::ByHand);
    let reader = Reader::new(&store.path());
    assert!(!reader.hq_is_news(&same).unwrap(), "the same gateway");
    let older = |core: &mut Core| core.set_meta("hq_wanted_by", b"0.0.1").map_err(Into::into);
    store.core.write(older).unwrap();
    assert!(reader.hq_is_news(&same).unwrap());
    assert!(store.core.write(|core| core.hq_apply(&same)).unwrap());
    assert!(!reader.hq_is_news(&same).unwrap());
    let refused = store.issue(store.sale("A1")).unwrap_err();
    assert!(matches!(refused, Refusal::DayNotOpen { .. }), "{refused}");
    let till = store.till;
    store
        .core
        .write(|core| core.open_day(till, "test"))
        .unwrap();
    store.issue(store.sale("A1")).unwrap();
}

/// Whether a day that has lasted its longest rolls over is HQ's word too.
#[test]
fn rollover_is_followed() {
    let (mut store, _) = joined();
    store.issue(store.sale("A1")).unwrap();
    store
        .clock
        .advance(std::time::Duration::from_secs(25 * 3600));
    let mut waits = wanted(1, &[], &[]);
    waits.settings.rollover_offline = Some(false);
    assert!(store.core.write(|core| core.hq_apply(&waits)).unwrap());
    let refused = store.issue(store.sale("A2"));
    assert!(refused.is_err());
    assert!(apply(&mut store, 2, &[], &[]));
    store.issue(store.sale("A2")).unwrap();
    store.verify().unwrap();
}
