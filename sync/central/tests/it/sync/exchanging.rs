//! One exchange: what is taken, what is not, and what is said then.

use reqwest::StatusCode;
use sync_wire::entry::MAX_LINE;
use sync_wire::exchange::MAX_BYTES;

use super::shop::{Dice, Shop};
use super::{alerts, all, count, exchange, heard, joined, one, receipts, rows};
use crate::support::Test;

const ENTRIES: &str = "SELECT (SELECT count(*) FROM receipts WHERE tenant_id = $1)
   + (SELECT count(*) FROM fdms_submission_logs WHERE tenant_id = $1)
   + (SELECT count(*) FROM store_events WHERE tenant_id = $1)";

/// Each line is there once, in one of three tables; what comes again, late or out of order changes nothing.
#[tokio::test]
async fn a_batch_that_comes_again_changes_nothing() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(1);
    let mut shop = Shop::new(101, &mut dice);
    (0..90).for_each(|_| shop.live(&mut dice));
    let before = shop.clone();
    exchange(&joined.line, &mut shop, 60).await;
    let old = shop.batch(40);
    let down = joined.line.say(old.clone()).await.unwrap();
    assert_eq!(down.taken, 40);
    // The answer was lost: the same again is told where the past ends, and nothing is taken.
    let again = joined.line.say(old.clone()).await.unwrap();
    assert_eq!(
        (again.taken, again.acked, again.hash),
        (0, down.acked, down.hash)
    );
    assert!(heard(&mut shop, &again));
    all(&joined.line, &mut shop).await;
    for late in [old, before.batch(60), before.batch(2_000)] {
        let told = joined.line.say(late).await.unwrap();
        assert_eq!(
            (told.taken, told.acked, told.hash),
            (0, shop.acked, shop.hash)
        );
    }
    let lines = i64::try_from(shop.lines.len()).unwrap();
    assert_eq!(count(&test, joined.tenant, ENTRIES).await, lines);
    let mut expected = shop.receipts.clone();
    expected.sort();
    assert_eq!(receipts(&test, joined.tenant).await, expected);
    // What is kept gives the very same lines.
    let past = joined.line.past().await;
    assert!(past.iter().eq(shop.lines.iter().map(|line| &line.text)));
}

/// The same batch at two instances at once is taken by one of them.
#[tokio::test]
async fn two_instances_take_a_batch_once() {
    let test = Test::start().await;
    let second = test.second().await;
    let joined = one(&test).await;
    let other = super::Line {
        base: second.base.clone(),
        ..joined.line.clone()
    };
    let mut dice = Dice::new(2);
    let mut shop = Shop::new(102, &mut dice);
    for _ in 0..10 {
        (0..20).for_each(|_| shop.live(&mut dice));
        let batch = shop.batch(2_000);
        let (one, two) = tokio::join!(joined.line.say(batch.clone()), other.say(batch));
        let (one, two) = (one.unwrap(), two.unwrap());
        let mut taken = [one.taken, two.taken];
        taken.sort_unstable();
        assert_eq!(taken[0], 0);
        assert!(taken[1] > 0);
        assert_eq!((one.acked, one.hash), (two.acked, two.hash));
        assert!(heard(&mut shop, &one));
    }
    let lines = i64::try_from(shop.lines.len()).unwrap();
    assert_eq!(count(&test, joined.tenant, ENTRIES).await, lines);
}

/// A past that is not the store's own is not gone on from.
#[tokio::test]
async fn another_past_is_not_gone_on_from() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(3);
    let mut shop = Shop::new(103, &mut dice);
    (0..9).for_each(|_| shop.live(&mut dice));
    all(&joined.line, &mut shop).await;
    let mut other = shop.clone();
    other.sell(&mut dice);
    other.hash = other.hash.then(b"another");
    let down = joined.line.say(other.batch(10)).await.unwrap();
    assert_eq!((down.taken, down.hash), (0, shop.hash));
    let mut unknown = shop.clone();
    unknown.epoch = dice.uuid();
    unknown.sell(&mut dice);
    let down = joined.line.say(unknown.batch(10)).await.unwrap();
    assert_eq!((down.taken, down.epoch), (0, Some(shop.epoch)));
    let kept = count(&test, joined.tenant, ENTRIES).await;
    assert_eq!(kept, i64::try_from(shop.lines.len()).unwrap());
}

/// A line that cannot be read stops its store, and it alone: with an alert, until it can be read.
#[tokio::test]
async fn a_line_that_cannot_be_read_stops_the_store() {
    let test = Test::start().await;
    let first = one(&test).await;
    let second = joined(&test, first.tenant, "Harare 2").await;
    let mut dice = Dice::new(4);
    let mut shop = Shop::new(104, &mut dice);
    (0..5).for_each(|_| shop.live(&mut dice));
    let good = shop.batch(100);
    let kept = shop.lines.len() - 3;
    let broken = good.replacen(
        r#""body":{"fiscalDayNo":1"#,
        r#""body":{"fiscalDayNo":"one""#,
        1,
    );
    let spaced = good.replacen(r#""kind":"#, r#""kind" :"#, 1);
    for batch in [broken, spaced] {
        let (status, problem) = first.line.say(batch).await.unwrap_err();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("of the batch (event "), "{detail}");
        assert!(detail.contains("nothing of it is lost"), "{detail}");
        assert_eq!(alerts(&test, first.tenant).await, ["sync_stopped"]);
    }
    assert_eq!(count(&test, first.tenant, ENTRIES).await, 0);
    let mut other = Shop::new(105, &mut dice);
    all(&second.line, &mut other).await;
    assert_eq!(alerts(&test, first.tenant).await, ["sync_stopped"]);
    exchange(&first.line, &mut shop, kept).await;
    assert!(alerts(&test, first.tenant).await.is_empty());
}

/// Limits, kinds and versions are told apart, and none is a defect of ours.
#[tokio::test]
async fn what_is_too_much_or_no_batch_is_refused() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(5);
    let shop = Shop::new(106, &mut dice);
    let good = shop.batch(10);
    let long = vec![b' '; MAX_BYTES + MAX_LINE + 1];
    let bomb = zstd::bulk::compress(&long, 1).unwrap();
    let other = good.replacen("\"protocol\":1", "\"protocol\":7", 1);
    let fewer = good.replacen("\"entries\":1", "\"entries\":2", 1);
    let cases = [
        (long, None, 413, "at most"),
        (bomb, Some("zstd"), 413, "at most"),
        (good.clone().into_bytes(), Some("br"), 415, "zstd"),
        (good.into_bytes(), Some("zstd"), 422, "not zstd"),
        (other.into_bytes(), None, 422, "speaks 7"),
        (fewer.into_bytes(), None, 422, "cut off"),
        (vec![0xff], None, 422, "UTF-8"),
        (Vec::new(), None, 422, "first line"),
    ];
    for (body, encoding, status, words) in cases {
        let answer = joined.line.send(body, encoding).await.unwrap();
        let (got, problem) = answer.unwrap_err();
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert_eq!(got.as_u16(), status, "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
    // A store that head office does not understand is somebody's business.
    assert_eq!(alerts(&test, joined.tenant).await, ["sync_stopped"]);
    let plain = joined.line.send(shop.batch(10).into_bytes(), None).await;
    assert_eq!(plain.unwrap().unwrap().taken, 1);
    let stranger = super::Line {
        secret: "nobody".to_owned(),
        ..joined.line.clone()
    };
    let (status, _) = stranger.say(shop.batch(1)).await.unwrap_err();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

/// The newest snapshot wins, by the ledger's own numbers; a clock that was set back does not silence a store.
#[tokio::test]
async fn the_newest_snapshot_wins() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(6);
    let mut shop = Shop::new(107, &mut dice);
    all(&joined.line, &mut shop).await;
    let say = async |at: i64, version: &str| {
        let mut up = shop.up(0);
        up.state.at = at;
        up.state.version = version.to_owned();
        joined
            .line
            .say(serde_json::to_string(&up).unwrap())
            .await
            .unwrap();
        let sql = "SELECT version FROM store_cursors WHERE tenant_id = $1";
        rows(&test, joined.tenant, sql).await[0].get::<_, String>(0)
    };
    let now = shop.state().at;
    assert_eq!(say(now + 5_000, "new").await, "new");
    assert_eq!(say(now + 4_000, "old").await, "new");
    assert_eq!(
        say(now - 3_600_000, "clock set back").await,
        "clock set back"
    );
}

/// How far each store is ahead of head office is counted, by what it told and by when its last lines came.
#[tokio::test]
async fn the_lag_is_counted() {
    let test = Test::start().await;
    let first = one(&test).await;
    let second = joined(&test, first.tenant, "Harare 2").await;
    let mut dice = Dice::new(61);
    let mut shop = Shop::new(161, &mut dice);
    (0..30).for_each(|_| shop.live(&mut dice));
    exchange(&first.line, &mut shop, 20).await;
    test.clock.advance(std::time::Duration::from_secs(90));
    let mut other = Shop::new(162, &mut dice);
    all(&second.line, &mut other).await;
    let asked = test.http.get(test.url("/metrics")).send().await.unwrap();
    let text = asked.text().await.unwrap();
    for (joined, behind, age) in [(&first, shop.last_seq() - shop.acked, 90), (&second, 0, 0)] {
        let labels = format!("tenant=\"{}\",store=\"{}\"", joined.tenant, joined.store);
        for wanted in [
            format!("fiscal_hq_store_events_behind{{{labels}}} {behind}\n"),
            format!("fiscal_hq_store_last_line_age_seconds{{{labels}}} {age}\n"),
        ] {
            assert!(text.contains(&wanted), "{wanted} in {text}");
        }
    }
    assert!(shop.last_seq() > shop.acked);
}
