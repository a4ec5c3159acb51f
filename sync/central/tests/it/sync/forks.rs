//! Ledgers that were put back from a backup, or built again: what both sides of a fork have is there once.

use sync_wire::entry::AttemptOutcome;

use super::shop::{Dice, Shop};
use super::{again, alerts, all, count, exchange, heard, one, receipts, rows};
use crate::support::Test;

/// A ledger put back from yesterday's copy sells on: both sides are kept, what they share is there once, and the
/// number that was given twice is an alert.
#[tokio::test]
async fn a_ledger_that_was_put_back_forks() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(11);
    let mut shop = Shop::new(111, &mut dice);
    (0..30).for_each(|_| shop.live(&mut dice));
    exchange(&joined.line, &mut shop, 40).await;
    // The copy has lines that head office acknowledges to the other ledger later.
    let mut copy = shop.clone();
    (0..10).for_each(|_| shop.live(&mut dice));
    all(&joined.line, &mut shop).await;
    let mut other = Dice::new(12);
    (0..25).for_each(|_| copy.live(&mut other));
    let down = joined.line.say(copy.batch(100)).await.unwrap();
    assert!(!heard(&mut copy, &down));
    let (parent, at) = (copy.epoch, copy.acked);
    copy.begin_anew(other.uuid());
    all(&joined.line, &mut copy).await;

    let mut expected = [shop.receipts.clone(), copy.receipts.clone()].concat();
    expected.sort();
    expected.dedup();
    assert_eq!(receipts(&test, joined.tenant).await, expected);
    assert_eq!(
        alerts(&test, joined.tenant).await,
        ["fork", "number_conflict"]
    );
    // Each line of the two ledgers is one row: those in common are not doubled.
    let common = shop.lines.iter().zip(&copy.lines);
    let common = common.take_while(|(one, two)| one == two).count();
    let distinct = shop.lines.len() + copy.lines.len() - common;
    let entries = "SELECT (SELECT count(*) FROM receipts WHERE tenant_id = $1)
        + (SELECT count(*) FROM fdms_submission_logs WHERE tenant_id = $1)
        + (SELECT count(*) FROM store_events WHERE tenant_id = $1)";
    let kept = count(&test, joined.tenant, entries).await;
    assert_eq!(kept, i64::try_from(distinct).unwrap());
    assert!(
        copy.lines[common - 1].seq > at,
        "the two share more than was acknowledged"
    );
    let sql = "SELECT forked_at, reason FROM store_epochs WHERE tenant_id = $1 AND epoch_no = 2";
    let row = &rows(&test, joined.tenant, sql).await[0];
    assert_eq!(row.get::<_, i64>(0), copy.lines[common - 1].seq);
    assert_eq!(
        row.get::<_, String>(1),
        "the ledger was put back from a backup"
    );
    // The past is the newest series' way back to the beginning.
    let past = joined.line.past().await;
    assert!(past.iter().eq(copy.lines.iter().map(|line| &line.text)));
    assert_ne!(parent, copy.epoch);
    // The old ledger comes back too: a fork of its own, and nothing is doubled.
    let down = joined.line.say(shop.batch(10)).await.unwrap();
    assert!(!heard(&mut shop, &down));
    shop.begin_anew(dice.uuid());
    shop.sell(&mut dice);
    all(&joined.line, &mut shop).await;
    let past = joined.line.past().await;
    assert!(past.iter().eq(shop.lines.iter().map(|line| &line.text)));
    let mut expected = [shop.receipts.clone(), copy.receipts.clone()].concat();
    expected.sort();
    expected.dedup();
    assert_eq!(receipts(&test, joined.tenant).await, expected);
}

/// A fork at a point that head office does not have is refused with an alert, and nothing is taken.
#[tokio::test]
async fn a_fork_from_nowhere_is_refused() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(13);
    let mut shop = Shop::new(113, &mut dice);
    (0..20).for_each(|_| shop.live(&mut dice));
    exchange(&joined.line, &mut shop, 30).await;
    let mut wrong = shop.clone();
    wrong.hash = wrong.hash.then(b"x");
    let mut ahead = shop.clone();
    ahead.acked = ahead.last_seq();
    ahead.hash = ahead.hash_at(ahead.acked).unwrap();
    ahead.sell(&mut dice);
    let mut stranger = shop.clone();
    stranger.epoch = dice.uuid();
    for mut ledger in [wrong, ahead, stranger] {
        ledger.begin_anew(dice.uuid());
        let down = joined.line.say(ledger.batch(50)).await.unwrap();
        assert_eq!((down.taken, down.epoch), (0, Some(shop.epoch)));
        assert_eq!(alerts(&test, joined.tenant).await, ["fork_refused"]);
    }
}

/// Forks are found far back too, from the nearest point that was kept.
#[tokio::test]
async fn a_fork_far_back_is_checked() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(14);
    let mut shop = Shop::new(114, &mut dice);
    (0..800).for_each(|_| shop.live(&mut dice));
    exchange(&joined.line, &mut shop, 1_500).await;
    let mut copy = shop.clone();
    all(&joined.line, &mut shop).await;
    let points = "SELECT count(*) FROM store_points WHERE tenant_id = $1";
    assert!(count(&test, joined.tenant, points).await >= 2);
    let mut other = Dice::new(15);
    copy.lines.truncate(1_700);
    copy.receipts.clear();
    copy.tell("till.held", &"put back");
    copy.begin_anew(other.uuid());
    all(&joined.line, &mut copy).await;
    let past = joined.line.past().await;
    assert!(past.iter().eq(copy.lines.iter().map(|line| &line.text)));
    let mut expected = shop.receipts.clone();
    expected.sort();
    assert_eq!(receipts(&test, joined.tenant).await, expected);
}

/// A store that lost its machine is given its lines back to the byte, goes on in a series of its own, and the lost
/// machine's secret is over.
#[tokio::test]
async fn a_lost_store_is_built_again() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(16);
    let mut shop = Shop::new(116, &mut dice);
    (0..300).for_each(|_| shop.live(&mut dice));
    shop.send(AttemptOutcome::Later, 1, &mut dice);
    all(&joined.line, &mut shop).await;
    let mut lost = shop.clone();
    let anew = again(&test, joined.tenant, joined.store, vec![]).await;
    let past = anew.answer.past.unwrap();
    assert_eq!(
        (past.epoch, past.acked, past.hash),
        (shop.epoch, shop.acked, shop.hash)
    );
    let lines = anew.line.past().await;
    let hash = lines
        .iter()
        .fold(sync_wire::chain::ChainHash::START, |hash, line| {
            hash.then(line.as_bytes())
        });
    assert_eq!(hash, past.hash);
    assert!(lines.iter().eq(shop.lines.iter().map(|line| &line.text)));
    shop.begin_anew(dice.uuid());
    (0..30).for_each(|_| shop.live(&mut dice));
    all(&anew.line, &mut shop).await;
    lost.live(&mut dice);
    let (status, problem) = joined.line.say(lost.batch(10)).await.unwrap_err();
    assert_eq!(status.as_u16(), 401);
    assert!(problem["detail"].as_str().unwrap().contains("joined again"));
    let mut expected = shop.receipts.clone();
    expected.sort();
    assert_eq!(receipts(&test, joined.tenant).await, expected);
}
