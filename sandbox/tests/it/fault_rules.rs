//! Faults that last: by chance, in a span of time, from a file; and the two that FDMS or the network
//! tell the till of.

use std::error::Error;
use std::time::Duration;

use fdms_sandbox::{Call, Fault, FaultKind, read_faults};
use serde_json::json;

use crate::till::{Bench, DEVICE, Till};

/// Whether an error has a TCP reset at its root.
fn is_reset(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionReset) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A reset is one, a lost request is none; neither is processed.
#[tokio::test]
async fn resets() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let opened = json!({"fiscalDayOpened": bench.now().to_string()});
    for (kind, resets) in [(FaultKind::LoseRequest, false), (FaultKind::Reset, true)] {
        bench.sandbox.add_fault(Fault::next(Call::OpenDay, kind));
        let error = till.try_post("OpenDay", &opened).await.unwrap_err();
        assert_eq!(is_reset(&error), resets, "{error:?}");
    }
    assert_eq!(bench.sandbox.days(DEVICE), []);
    assert_eq!(till.post("OpenDay", &opened).await.status, 200);
    let counts = bench.sandbox.fault_counts();
    let counts: Vec<_> = counts.iter().map(|c| (&c.fault, c.count)).collect();
    let expected = [(&FaultKind::LoseRequest, 1), (&FaultKind::Reset, 1)];
    assert_eq!(counts, expected);
}

/// A refusal on demand looks like FDMS's own, and nothing is processed.
#[tokio::test]
async fn refusals_on_demand() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut receipt = till.invoice();
    till.sign(&mut receipt);
    let kind = FaultKind::Refuse("RCPT01".to_owned());
    let fault = Fault::next(Call::SubmitReceipt, kind);
    bench.sandbox.add_fault(fault);
    let answer = till.submit(&receipt).await;
    assert_eq!(answer.refusal(), "422 RCPT01");
    assert!(answer.body["operationID"].is_string());
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 0);
    assert_eq!(till.submit(&receipt).await.status, 200);
}

/// In an outage nothing is answered and no connection is taken; it ends by the clock.
#[tokio::test]
async fn outages_end_by_the_clock() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let minute = Duration::from_secs(60);
    let (from, till_when) = (bench.clock_time() + minute, bench.clock_time() + 2 * minute);
    bench.sandbox.add_faults([Fault::outage(from, till_when)]);
    let ping = async |till: &Till| till.try_post("Ping", &json!({})).await.is_ok();
    assert!(ping(&till).await);
    bench.clock.advance(minute);
    let before = bench.sandbox.handshakes();
    assert!(!ping(&till).await, "the standing connection");
    assert!(!ping(&till).await, "a new one");
    assert_eq!(bench.sandbox.handshakes(), before);
    assert_eq!(bench.sandbox.faults().len(), 1);
    bench.clock.advance(minute);
    assert!(ping(&till).await);
    assert_eq!(bench.sandbox.faults(), []);
}

/// A chance hits the same requests each time that the same seed plays them.
#[tokio::test]
async fn chances_can_be_played_again() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let bench = Bench::start().await;
        let till = bench.till().await;
        let rules = r#"{"call": "Ping", "per_mille": 300, "fault": {"status": 503}}"#;
        bench.sandbox.add_faults(read_faults(rules).unwrap());
        let mut statuses = Vec::new();
        for _ in 0..60 {
            statuses.push(till.post("Ping", &json!({})).await.status);
        }
        assert_eq!(till.get("GetStatus").await.status, 200);
        seen.push(statuses);
    }
    assert_eq!(seen[0], seen[1]);
    for status in [200, 503] {
        assert!(seen[0].contains(&status), "{:?}", seen[0]);
    }
}
