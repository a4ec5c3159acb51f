//! The daemon ends itself between two steps of what it does with head office: each line is there once, and each command
//! is carried out once.

use fdms_sandbox::DeviceSpec;
use fiscald::ledger::hq::till_ref;
use sync_wire::command::{CommandOutcome, Order};

use super::book::Book;
use super::points::{OFFICE, pass_while, passings, settle};
use super::report;
use crate::support::hq::Hq;
use crate::support::process::{Http, Store};

#[test]
fn lines_and_commands() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up_with(dir.path(), DeviceSpec::new(4320), "");
    let book = Book::default();
    let hq = store.block_on(Hq::new());
    hq.lock().codes.push("CODE".to_owned());
    let joined = store.fiscald(&["hq", "join", "CODE", "--url", &hq.url]);
    assert!(joined.status.success(), "{joined:?}");
    let till = till_ref(&store.till());
    let (mut reached, mut orders) = (0, 0);
    for passing in passings(OFFICE) {
        let no = hq.order(Order::SubmitTest { till }, i64::MAX);
        orders += 1;
        if store.try_start(&[("FISCALD_CRASH_AT", &passing.wish())]) {
            let mut http = Http::open(store.address).unwrap();
            if book.sell_next(&mut http, &store.token) {
                pass_while(&mut store, |store| {
                    hq.done(no).is_none() || lacks(store, &hq)
                });
            }
        }
        reached += u64::from(passing.reached(store.end()));
        store.start();
        assert!(pass_while(&mut store, |_| hq.done(no).is_none()));
        settle(&mut store, &book);
        assert!(pass_while(&mut store, |store| lacks(store, &hq)));
        store.stop();
        let done = hq.done(no).unwrap();
        assert_eq!(done.outcome, CommandOutcome::Done, "{passing:?}: {done:?}");
        book.compare_with_ledger(&store, orders);
    }
    let more = usize::try_from(orders).unwrap();
    book.compare_with_fdms(&store, more);
    report("points", 0, reached, book.sold());
}

/// Whether head office has other lines than the ledger, or fewer.
fn lacks(store: &Store, hq: &Hq) -> bool {
    let own = store.reader().hq_lines(0, usize::MAX, usize::MAX).unwrap();
    let own = own.into_iter().map(|line| (line.seq, line.bytes));
    !own.eq(hq.lock().lines.iter().cloned())
}
