//! What follows from entries and snapshots: days, jobs, tills, credentials, commands, and what stores shall be.

use fiscal_hq::sync::wanted;
use fiscal_hq::{commands, db};
use sync_wire::command::{CommandDone, CommandOutcome, Order};
use sync_wire::entry::AttemptOutcome;
use sync_wire::state::{HeadState, HoldState, ParkedState};
use sync_wire::{Environment, TillRef};
use uuid::Uuid;

use super::shop::{Dice, Shop};
use super::{Joined, alerts, all, change, count, exchange, joined, one, rows};
use crate::support::Test;

/// The jobs of a tenant: number, status, attempts, reason, code.
async fn jobs(
    test: &Test,
    joined: &Joined,
) -> Vec<(i32, String, i32, Option<String>, Option<String>)> {
    let sql = "SELECT number, status, attempts, reason, code FROM fdms_retry_jobs WHERE tenant_id = $1 ORDER BY number";
    let rows = rows(test, joined.tenant, sql).await;
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect()
}

/// A day is as opened, as signed at its end, and confirmed when FDMS has taken the close.
#[tokio::test]
async fn days_are_as_signed() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(21);
    let mut shop = Shop::new(121, &mut dice);
    (0..3).for_each(|_| shop.sell(&mut dice));
    all(&joined.line, &mut shop).await;
    let sql = "SELECT opened::text, closed::text, receipt_counter, counters::text, confirmed_at IS NOT NULL
        FROM fiscal_days WHERE tenant_id = $1";
    let open = &rows(&test, joined.tenant, sql).await[0];
    assert_eq!(open.get::<_, Option<String>>(1), None);
    shop.close();
    all(&joined.line, &mut shop).await;
    let closed = &rows(&test, joined.tenant, sql).await[0];
    assert_eq!(closed.get::<_, String>(0), open.get::<_, String>(0));
    assert!(closed.get::<_, Option<String>>(1).is_some());
    assert_eq!(closed.get::<_, i32>(2), 3);
    // Exactly, with its cents.
    assert!(
        closed
            .get::<_, String>(3)
            .contains(r#""fiscalCounterValue": 3.50"#)
    );
    assert!(closed.get::<_, bool>(4));
}

/// What was tried in vain waits with its reason; what was refused is a dead letter; what FDMS has is done.
#[tokio::test]
async fn jobs_follow_the_attempts() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(22);
    let mut shop = Shop::new(122, &mut dice);
    (0..3).for_each(|_| shop.sell(&mut dice));
    shop.send(AttemptOutcome::Accepted, 1, &mut dice);
    all(&joined.line, &mut shop).await;
    assert_eq!(jobs(&test, &joined).await, []);
    let reason = Some("FDMS did not take receipt 2".to_owned());
    // Tried in vain; then sent without an answer, which only another attempt ends, whatever the snapshots say.
    for (outcome, attempt, status) in [
        (AttemptOutcome::Later, 1, "pending"),
        (AttemptOutcome::Unknown, 2, "in_flight"),
        (AttemptOutcome::Later, 3, "pending"),
        (AttemptOutcome::Unknown, 4, "in_flight"),
    ] {
        shop.send(outcome, attempt, &mut dice);
        all(&joined.line, &mut shop).await;
        let up = serde_json::to_string(&shop.up(0)).unwrap();
        joined.line.say(up).await.unwrap();
        let waiting = jobs(&test, &joined).await;
        assert_eq!(
            waiting,
            [(2, status.to_owned(), 0, reason.clone(), None)],
            "{attempt}"
        );
    }
    shop.send(AttemptOutcome::Refused, 5, &mut dice);
    // The snapshot that says nothing of it is older than the refusal.
    let lines = shop.after(shop.acked, 10).to_vec();
    let mut up = shop.up(lines.len());
    up.state.tills[0].queue.head = None;
    let mut text = serde_json::to_string(&up).unwrap();
    lines
        .iter()
        .for_each(|line| text.extend(["\n", &line.text]));
    let down = joined.line.say(text).await.unwrap();
    super::heard(&mut shop, &down);
    let dead = jobs(&test, &joined).await;
    let parked = Some("FDMS did not take receipt 2".to_owned());
    assert_eq!(
        dead,
        [(
            2,
            "dead_letter".to_owned(),
            5,
            parked,
            Some("RCPT020".to_owned())
        )]
    );
    shop.tell("stream.resumed", &());
    shop.send(AttemptOutcome::Accepted, 6, &mut dice);
    all(&joined.line, &mut shop).await;
    let done = jobs(&test, &joined).await;
    assert_eq!((done[0].1.as_str(), done[0].2), ("done", 6));
}

/// The head of a queue comes with the snapshot: paused by a person, waiting, or over.
#[tokio::test]
async fn jobs_follow_the_snapshot() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(23);
    let mut shop = Shop::new(123, &mut dice);
    (0..3).for_each(|_| shop.sell(&mut dice));
    all(&joined.line, &mut shop).await;
    let say = async |head: Option<HeadState>, waiting: u32, sent: u32, step: i64| {
        let mut up = shop.up(0);
        up.state.at += step;
        up.state.tills[0].queue.head = head;
        up.state.tills[0].queue.waiting = waiting;
        up.state.tills[0].sent_global_no = sent;
        joined
            .line
            .say(serde_json::to_string(&up).unwrap())
            .await
            .unwrap();
        jobs(&test, &joined).await
    };
    let mut head = shop.state().tills[0].queue.head.clone().unwrap();
    head.attempts = 5;
    head.last_error = Some("no answer".to_owned());
    let waiting = say(Some(head.clone()), 3, 0, 1).await;
    assert_eq!(
        waiting,
        [(
            1,
            "pending".to_owned(),
            5,
            Some("no answer".to_owned()),
            None
        )]
    );
    head.parked = Some(ParkedState {
        reason: "head office pauses it".to_owned(),
        code: "paused".to_owned(),
    });
    let paused = say(Some(head), 3, 0, 2).await;
    assert_eq!(paused[0].1, "dead_letter");
    assert_eq!(paused[0].3.as_deref(), Some("head office pauses it"));
    let error = "SELECT last_error FROM fdms_devices WHERE tenant_id = $1";
    let row = &rows(&test, joined.tenant, error).await[0];
    assert_eq!(row.get::<_, Option<&str>>(0), Some("head office pauses it"));
    let over = say(None, 2, 1, 3).await;
    assert_eq!(over[0].1, "done");
}

/// A till is there as soon as a store tells of it, active with its first receipt at FDMS, as the snapshot says; one of
/// another store is an alert and stays where it is.
#[tokio::test]
async fn tills_are_as_their_store_says() {
    let test = Test::start().await;
    let first = one(&test).await;
    let mut dice = Dice::new(24);
    let mut shop = Shop::new(124, &mut dice);
    shop.sell(&mut dice);
    all(&first.line, &mut shop).await;
    let sql = "SELECT state, invoice_prefix, serial_no, last_receipt_global_no, waiting, fiscal_day_no, operating_mode, line,
        store_id FROM fdms_devices WHERE tenant_id = $1";
    let row = &rows(&test, first.tenant, sql).await[0];
    assert_eq!(row.get::<_, &str>(0), "registered");
    assert_eq!((row.get(1), row.get(2)), ("T124-", "SN-124"));
    assert_eq!((row.get(3), row.get(4), row.get(5)), (1, 1, 1));
    assert_eq!((row.get(6), row.get(7)), ("Online", "up"));
    shop.send(AttemptOutcome::Accepted, 1, &mut dice);
    all(&first.line, &mut shop).await;
    let row = &rows(&test, first.tenant, sql).await[0];
    assert_eq!(row.get::<_, &str>(0), "active");

    let second = joined(&test, first.tenant, "Harare 2").await;
    let mut moved = shop.clone();
    (moved.acked, moved.hash) = (0, sync_wire::chain::ChainHash::START);
    all(&second.line, &mut moved).await;
    assert_eq!(alerts(&test, first.tenant).await, ["till_elsewhere"]);
    let row = &rows(&test, first.tenant, sql).await[0];
    assert_eq!(row.get::<_, Uuid>(8), first.store);

    shop.tell("till.held", &"retired");
    let mut up = shop.up(0);
    up.state.tills[0].hold = Some(HoldState {
        kind: "retired".to_owned(),
        reason: "retired by head office".to_owned(),
    });
    first
        .line
        .say(serde_json::to_string(&up).unwrap())
        .await
        .unwrap();
    let row = &rows(&test, first.tenant, sql).await[0];
    assert_eq!(row.get::<_, &str>(0), "retired");
}

/// A certificate of a key that was made in the store is a version without a key, and the one in use.
#[tokio::test]
async fn certificates_that_are_used_are_versions() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(25);
    let mut shop = Shop::new(125, &mut dice);
    let pem = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["till".to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().pem()
    };
    shop.certify(&pem(), "aa11");
    shop.certify(&pem(), "bb22");
    shop.certify("no certificate", "cc33");
    all(&joined.line, &mut shop).await;
    let sql = "SELECT version, thumbprint, active, sealed_key IS NULL, delivered_at IS NOT NULL
        FROM fdms_tenant_credentials WHERE tenant_id = $1 ORDER BY version";
    let found = rows(&test, joined.tenant, sql).await;
    let found: Vec<(i32, String, bool, bool, bool)> = found
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect();
    assert_eq!(
        found,
        [
            (1, "aa11".to_owned(), false, true, true),
            (2, "bb22".to_owned(), true, true, true)
        ]
    );
}

async fn order(test: &Test, joined: &Joined, order: &Order) -> Uuid {
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, joined.tenant).await.unwrap();
    let id = commands::order(
        &tx,
        joined.tenant,
        joined.store,
        order,
        "user:a@b",
        test.hq.now(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    id
}

/// Commands go down in order until the store has them, end once, and tie a test submission to its job.
#[tokio::test]
async fn commands_go_down_and_end_once() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(26);
    let mut shop = Shop::new(126, &mut dice);
    all(&joined.line, &mut shop).await;
    let till = shop.till;
    let late = order(&test, &joined, &Order::UploadLog { lines: 5 }).await;
    test.clock.advance(commands::GOOD_FOR);
    let first = order(&test, &joined, &Order::SubmitTest { till }).await;
    let second = order(&test, &joined, &Order::Retry { till }).await;
    let down = joined.line.say(shop.batch(0)).await.unwrap();
    let ids: Vec<_> = down
        .commands
        .iter()
        .map(|command| (command.no, command.id))
        .collect();
    assert_eq!(ids, [(2, first), (3, second)]);
    assert_eq!(down.commands[0].actor, "hq:user:a@b");
    // The answer was lost: they come again.
    assert_eq!(exchange(&joined.line, &mut shop, 0).await.commands.len(), 2);
    assert_eq!(exchange(&joined.line, &mut shop, 0).await.commands, []);
    shop.sell(&mut dice);
    let done = |id, no, kind: &str, outcome, number| CommandDone {
        id,
        no,
        kind: kind.to_owned(),
        outcome,
        detail: "as it went\0".to_owned(),
        number,
        lines: None,
    };
    shop.tell(
        "hq.command",
        &done(first, 2, "submit_test", CommandOutcome::Done, Some(1)),
    );
    shop.tell(
        "hq.command",
        &done(second, 3, "retry", CommandOutcome::Refused, None),
    );
    // The store had kept it in time after all.
    shop.tell(
        "hq.command",
        &done(late, 1, "upload_log", CommandOutcome::Expired, None),
    );
    shop.tell(
        "hq.command",
        &done(second, 3, "retry", CommandOutcome::Done, None),
    );
    all(&joined.line, &mut shop).await;
    let sql = "SELECT status, number, detail, delivered_at IS NOT NULL FROM commands WHERE tenant_id = $1 ORDER BY command_no";
    let found = rows(&test, joined.tenant, sql).await;
    let states: Vec<&str> = found.iter().map(|row| row.get(0)).collect();
    assert_eq!(states, ["expired", "done", "refused"]);
    assert_eq!(found[1].get::<_, Option<i32>>(1), Some(1));
    assert_eq!(found[1].get::<_, &str>(2), "as it went\u{fffd}");
    let tied = "SELECT count(*) FROM fdms_retry_jobs j JOIN commands c ON c.tenant_id = j.tenant_id
          AND c.command_id = j.command_id
        WHERE j.tenant_id = $1 AND j.number = 1 AND j.status = 'pending' AND c.kind = 'submit_test'";
    assert_eq!(count(&test, joined.tenant, tied).await, 1);
    shop.send(AttemptOutcome::Accepted, 1, &mut dice);
    all(&joined.line, &mut shop).await;
    assert_eq!(jobs(&test, &joined).await[0].1, "done");
    let audited =
        "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action LIKE 'command.%.%'";
    assert_eq!(
        count(&test, joined.tenant, audited).await,
        4,
        "that it was given up here, and what the store says of the three"
    );
    let given_up = "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'command.upload_log.expired'
        AND after ->> 'by' = 'head office'";
    assert_eq!(count(&test, joined.tenant, given_up).await, 1);
}

/// What a store shall be comes with each answer, and rises with what was decided.
#[tokio::test]
async fn wishes_come_with_each_answer() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(27);
    let mut shop = Shop::new(127, &mut dice);
    let new = exchange(&joined.line, &mut shop, 10).await.wanted;
    assert_eq!(
        new.gates
            .iter()
            .map(|gate| gate.enabled)
            .collect::<Vec<_>>(),
        [false, false]
    );
    let prod = TillRef {
        environment: Environment::Prod,
        device_id: 128,
    };
    let mut up = shop.up(0);
    up.state.at += 1;
    let mut other = up.state.tills[0].clone();
    (other.till, other.invoice_prefix) = (prod, "P-".to_owned());
    up.state.tills.push(other);
    let more = joined
        .line
        .say(serde_json::to_string(&up).unwrap())
        .await
        .unwrap();
    assert!(more.wanted.revision > new.revision, "a till more is told");
    change(
        &test,
        joined.tenant,
        "UPDATE fdms_devices SET machine_name = 'CASH-1' WHERE tenant_id = $1",
    )
    .await;
    change(
        &test,
        joined.tenant,
        "UPDATE tenant_fiscal_profiles SET environment = 'prod', enabled_prod = true, decided_prod_at = '2026-05-28T06:00:00Z',
           bytes_per_second = 9000 WHERE tenant_id = $1",
    )
    .await;
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, joined.tenant).await.unwrap();
    wanted::bump(&tx, joined.tenant).await.unwrap();
    tx.commit().await.unwrap();
    let wanted = exchange(&joined.line, &mut shop, 0).await.wanted;
    assert!(wanted.revision > more.wanted.revision);
    assert_eq!(wanted.bytes_per_second, Some(9_000));
    assert!(
        wanted
            .gates
            .iter()
            .any(|gate| gate.enabled && gate.environment == Environment::Prod)
    );
    let to: Vec<_> = wanted
        .switches
        .iter()
        .map(|switch| (switch.from, switch.to))
        .collect();
    assert_eq!(to, [(shop.till, Some(prod)), (prod, None)]);
}
