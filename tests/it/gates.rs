//! Head office's gates, and what it is told of attempts: with a real line to the sandbox.

use std::time::Duration;

use fdms_sandbox::{Call, DeviceChange, Fault, FaultKind, OperatingMode};
use fiscal::draft::Draft;
use fiscald::ledger::holds::HoldKind;
use fiscald::ledger::hq::till_ref;
use fiscald::ledger::verify::verify;
use fiscald::ledger::{LedgerError, Refusal, Sale, SaleDone, Seq};
use sync_wire::entry::{Attempt, AttemptKind, AttemptOutcome, Entry, Fact};
use sync_wire::state::{Gate, Wanted};

use crate::support::hq::{join_nowhere, want};
use crate::support::pass::pass_until;
use crate::support::store::House;

const MINUTE: Duration = Duration::from_secs(60);

/// A store with one till that has joined head office.
async fn joined() -> House {
    let house = House::new().await;
    join_nowhere(house.ledger()).await;
    house
}

async fn gate(house: &House, revision: i64, enabled: bool) {
    let wanted = Wanted {
        revision,
        gates: vec![Gate {
            environment: sync_wire::Environment::Test,
            enabled,
            reason: "under review".to_owned(),
        }],
        ..Wanted::default()
    };
    want(house.ledger(), wanted).await;
}

/// A controlled test receipt, as head office orders it.
async fn controlled(house: &House) -> Seq {
    let (draft, _) = Draft::read(house.draw(0).as_bytes());
    let till = house.till(0);
    let mut sale = Sale::new((till.id, till.device), draft, None, "hq:Rudo".into());
    sale.controlled = true;
    match house.ledger().issue(sale).await.unwrap() {
        SaleDone::Issued(issued) => issued.seq,
        SaleDone::Repeated(seq) => panic!("{seq}"),
    }
}

fn count(house: &House, call: Call) -> u64 {
    house.sandbox.request_count(house.till(0).number(), call)
}

/// All that FDMS was sent of the till's stream.
fn sent(house: &House) -> [u64; 4] {
    [
        Call::OpenDay,
        Call::SubmitReceipt,
        Call::CloseDay,
        Call::SubmitFile,
    ]
    .map(|call| count(house, call))
}

fn attempts(house: &House) -> Vec<Attempt> {
    let lines = house.ledger().reader().hq_lines(0, usize::MAX, usize::MAX);
    let facts = lines
        .unwrap()
        .into_iter()
        .map(|line| Entry::read(&line.bytes).unwrap().fact().unwrap());
    facts
        .filter_map(|fact| match fact {
            Fact::Attempt(attempt) => Some(attempt),
            _ => None,
        })
        .collect()
}

fn told(house: &House) -> Vec<(AttemptKind, AttemptOutcome)> {
    let all = attempts(house).into_iter();
    all.map(|attempt| (attempt.item, attempt.outcome)).collect()
}

/// While the gate is closed nothing is sold or sent, whatever waits; opening it lets everything go, in order.
#[tokio::test]
async fn a_closed_gate_keeps_everything_back() {
    let mut house = joined().await;
    house.sandbox.set_offline(true);
    house.sell_many(0, 3).await;
    gate(&house, 1, false).await;
    // What was on its way then is over before the line is back.
    house.pass(10 * MINUTE).await;
    house.sandbox.set_offline(false);
    let before = sent(&house);
    let json = house.draw(0);
    let refused = house.sell_json(0, &json).await.unwrap_err();
    let LedgerError::Refused(Refusal::Held { kind, .. }) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(*kind, HoldKind::Disabled);
    house.pass(10 * MINUTE).await;
    assert_eq!(sent(&house), before);
    // A restart changes nothing about it.
    house.stop().await;
    house.start();
    house.pass(10 * MINUTE).await;
    assert_eq!(sent(&house), before);
    assert_eq!(house.at_fdms(0).len(), 0);
    gate(&house, 2, true).await;
    house.drain().await;
    house.sell(0).await;
    house.drain().await;
    assert_eq!(house.at_fdms(0).len(), 4);
    assert_eq!(house.disagreements(), [""; 0]);
    verify(&house.path(), &mut |_, _| {}).unwrap();
}

/// A controlled test receipt passes the closed gate with its opening, and the day's close when that is ordered; what
/// is behind it waits.
#[tokio::test]
async fn controlled_receipts_pass() {
    let house = joined().await;
    gate(&house, 1, false).await;
    let seq = controlled(&house).await;
    let is_sent = |house: &House| house.stream(0).0.cursor == seq;
    pass_until(&house, MINUTE, "the receipt is sent", is_sent).await;
    assert_eq!(sent(&house), [1, 1, 0, 0]);
    let till = house.till(0).id;
    let closed = house
        .ledger()
        .write(move |core| core.close_controlled_day(till, "hq:Rudo"));
    closed.await.unwrap();
    let is_empty = |house: &House| house.stream(0).1.is_none();
    pass_until(&house, MINUTE, "the close is sent", is_empty).await;
    let opened = house
        .ledger()
        .write(move |core| core.open_controlled_day(till, "hq:Rudo"));
    opened.await.unwrap();
    pass_until(&house, MINUTE, "the opening is sent", is_empty).await;
    house.close_day(0).await;
    house.pass(5 * MINUTE).await;
    assert_eq!(count(&house, Call::CloseDay), 1, "nobody has ordered it");
    gate(&house, 2, true).await;
    house.drain().await;
    assert_eq!(count(&house, Call::CloseDay), 2);
    assert_eq!(house.disagreements(), [""; 0]);
}

/// Files of an offline device meet the same gate.
#[tokio::test]
async fn files_wait_behind_a_closed_gate() {
    let house = joined().await;
    let change = DeviceChange {
        operating_mode: Some(OperatingMode::Offline),
        ..DeviceChange::default()
    };
    let till = house.till(0);
    house.sandbox.change_device(till.number(), change).unwrap();
    house.submitter().fetch_config(till.id).await.unwrap();
    house.sell_many(0, 3).await;
    gate(&house, 1, false).await;
    house.close_day(0).await;
    house.pass(10 * MINUTE).await;
    assert_eq!(sent(&house), [0; 4]);
    gate(&house, 2, true).await;
    let is_empty = |house: &House| house.stream(0).1.is_none();
    pass_until(&house, MINUTE, "the day is sent", is_empty).await;
    assert_eq!(house.at_fdms(0).len(), 3);
    let told = told(&house);
    use AttemptKind as K;
    use AttemptOutcome as O;
    assert_eq!(told.first(), Some(&(K::SubmitFile, O::Later)), "handed in");
    let of_items = told.iter().filter(|(item, _)| *item != K::SubmitFile);
    assert_eq!(
        of_items.count(),
        5,
        "the opening, three receipts, the close"
    );
    assert_eq!(told.last(), Some(&(K::SubmitFile, O::Accepted)));
}

/// Each attempt is told with its end, once; while nobody tries, nothing is told.
#[tokio::test]
async fn attempts_are_told() {
    use AttemptKind as K;
    use AttemptOutcome as O;
    let house = joined().await;
    let busy = FaultKind::Status {
        status: 503,
        retry_after: None,
        processed: false,
    };
    house.sandbox.add_fault(Fault::next(Call::OpenDay, busy));
    house
        .sandbox
        .add_fault(Fault::next(Call::SubmitReceipt, FaultKind::LoseAnswer));
    house.sell(0).await;
    house.drain().await;
    house.close_day(0).await;
    house.drain().await;
    let expected = [
        (K::OpenDay, O::Later),
        (K::OpenDay, O::Accepted),
        (K::SubmitReceipt, O::Unknown),
        (K::SubmitReceipt, O::Accepted),
        (K::CloseDay, O::Later),
        (K::CloseDay, O::Accepted),
    ];
    assert_eq!(told(&house), expected);
    let all = attempts(&house);
    assert_eq!((all[0].http_status, all[0].attempt), (Some(503), 1));
    assert!(all[2].error_message.is_some() && all[2].answer.is_none());
    assert_eq!((all[3].attempt, all[3].number), (2, 1));
    assert!(
        all[3]
            .answer
            .as_ref()
            .is_some_and(|answer| answer.contains("receiptID"))
    );
    assert!(all[3].server_signature.is_some() && all[3].operation_id.is_some());
    // Without a line one try is told for each that is made, and no more.
    house.sandbox.set_offline(true);
    house.sell(0).await;
    house.pass(10 * MINUTE).await;
    let (state, _) = house.stream(0);
    let tries = attempts(&house).len() - all.len();
    assert_eq!(u32::try_from(tries).unwrap(), state.attempts);
    let state = house.ledger().reader().hq_store_state().unwrap();
    let head = state.tills[0].queue.head.clone().unwrap();
    assert_eq!((head.item, head.number), (K::OpenDay, 2));
    assert_eq!(state.tills[0].queue.waiting, 2);
    let info = house.ledger().reader().tills().unwrap().remove(0);
    assert_eq!(state.tills[0].till, till_ref(&info));
    assert_eq!(state.tills[0].operating_mode.as_deref(), Some("Online"));
    verify(&house.path(), &mut |_, _| {}).unwrap();
}
