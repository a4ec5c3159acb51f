//! What `/metrics` of a running gateway serves, and that dashboard and alerts ask for nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use fiscal::DeviceId;
use fiscald::hq::join::{Joining, join as join_hq};
use fiscald::keys::SealingKey;
use fiscald::ledger::core::Core;
use fiscald::ledger::tills::NewTill;
use fiscald::ledger::{Environment, Settings};
use serde_json::Value;

use crate::support::hq::Hq;
use crate::support::process::{Http, PATIENCE, Store, free_address};

mod expressions;

const DASHBOARD: &str = include_str!("../../packaging/grafana/fiscald.json");
const RULES: &str = include_str!("../../packaging/prometheus/fiscald.rules.yml");

/// Names of ours in a text.
fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("fiscald_") {
        let is_name = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
        names.insert(text[at..].chars().take_while(is_name).collect());
    }
    names
}

/// The value of a line.
#[track_caller]
fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} in {text}"))
        .trim()
        .to_owned()
}

/// A store with everything that a store can have: a till that has sold, a printer, a port, head office, backups, a live
/// copy in the folder `stick`.
fn whole_store(dir: &Path, stick: &Path) -> (Store, tokio::runtime::Runtime) {
    let mut store = Store::set_up(dir, 4401);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let hq = Hq::new().await;
        hq.lock().codes.push("code".to_owned());
        let sealing = SealingKey::from_file(&dir.join("data/sealing.key")).unwrap();
        let clock = Arc::new(SystemClock);
        let ledger = store.ledger();
        let core = Core::open(&ledger, sealing, clock.clone(), Settings::default());
        let joining = Joining {
            url: &hq.url,
            ca: None,
            code: "code",
            actor: "test",
            ledger: &ledger,
            clock,
        };
        join_hq(&mut core.unwrap(), &joining).await.unwrap();
    });
    let config = std::fs::read_to_string(dir.join("fiscald.toml")).unwrap();
    let devices = format!(
        "[[printers]]\nname = \"front\"\nlink = \"file:{}\"\nprofile = {{ name = \"generic-80\", ack = \"one_way\" }}\n\
         [[pos]]\nname = \"old\"\nkind = \"zfp\"\nlisten = \"tcp:{}\"\ndevice_id = 4401\nenvironment = \"test\"\n\
         printer = \"front\"\nhs_code = \"19059090\"\n[pos.register]\ncurrency = \"USD\"\ntaxes = {{ A = \"15.5%\" }}\n",
        dir.join("paper.bin").display(),
        free_address()
    );
    let folder = dir.join("backups");
    std::fs::create_dir(&folder).unwrap();
    let live = stick.join("live.db");
    let copies = format!("[backup]\nfolder = {folder:?}\nlive = {live:?}\n");
    let text = format!("{config}{copies}{devices}");
    std::fs::write(dir.join("fiscald.toml"), text).unwrap();
    store.start();
    (store, runtime)
}

fn sell(http: &mut Http, store: &Store, number: u32) -> u16 {
    let body = format!(
        r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"M{number}",
        "receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale",
        "receiptLineName":"Brotvomblech","receiptLineHSCode":"19059090","receiptLinePrice":1.20,
        "receiptLineQuantity":2,"taxID":517}}],
        "buyerData":{{"buyerRegisterName":"Moyo Traders","buyerTIN":"2000123456"}},
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":2.40}}]}}"#
    );
    http.post("/v1/receipts", &store.token, &body)
        .unwrap()
        .status
}

/// What `/metrics` says once there is a live copy: it is made beside the selling.
fn metrics_with_copy(http: &mut Http) -> String {
    let started = SystemClock.boot();
    loop {
        let answer = http.get("/metrics", "no token at all").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        if answer.body.contains("\nfiscald_live_copy_follows 1\n") {
            return answer.body;
        }
        let waited = SystemClock.boot() - started;
        assert!(waited < PATIENCE, "no live copy: {}", answer.body);
        std::thread::yield_now();
    }
}

/// Every name that dashboard and alerts ask for is served, and every name that is served is on the dashboard or in the
/// documentation; sales are counted, and no buyer is told of.
#[test]
fn dashboard_and_alerts_ask_for_what_is_served() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Another disk than the ledger's: memory, in this test.
    let stick = tempfile::tempdir_in("/dev/shm").unwrap();
    let (store, _hq) = whole_store(dir.path(), stick.path());
    let mut http = Http::open(store.address).unwrap();
    for number in 1..=3 {
        assert_eq!(sell(&mut http, &store, number), 201);
    }
    assert_eq!(sell(&mut http, &store, 3), 200);
    let refused = http.post(
        "/v1/receipts",
        &store.token,
        "{\"deviceID\":4401,\"invoiceNo\":\"X\"}",
    );
    assert_eq!(refused.unwrap().status, 422);
    store.drain();
    let text = metrics_with_copy(&mut http);

    for (line, expected) in [
        ("fiscald_sales_total{outcome=\"issued\"}", "3"),
        ("fiscald_sales_total{outcome=\"repeated\"}", "1"),
        ("fiscald_sale_seconds_count{step=\"commit\"}", "5"),
        ("fiscald_sale_seconds_count{step=\"total\"}", "4"),
        (
            "fiscald_sale_seconds_bucket{step=\"queue\",le=\"+Inf\"}",
            "5",
        ),
        (
            "fiscald_receipt_number{till=\"4401\",environment=\"test\"}",
            "3",
        ),
        (
            "fiscald_queue_items{till=\"4401\",environment=\"test\"}",
            "0",
        ),
        (
            "fiscald_fdms_online{till=\"4401\",environment=\"test\"}",
            "1",
        ),
        ("fiscald_day_open{till=\"4401\",environment=\"test\"}", "1"),
        ("fiscald_backup_failed", "0"),
        ("fiscald_ledger_writable", "1"),
        ("fiscald_hq_joined", "1"),
        ("fiscald_pos_port_open{port=\"old\"}", "1"),
        ("fiscald_live_copy_follows", "1"),
    ] {
        assert_eq!(value(&text, line), expected, "{line} in {text}");
    }
    let free: u64 = value(&text, "fiscald_disk_free_bytes").parse().unwrap();
    assert!(free > 0);
    for buyer in ["Moyo", "2000123456", "Brotvomblech", "M1"] {
        assert!(!text.contains(buyer), "{buyer} in {text}");
    }

    expressions_ask_for_what_is_in(&text);
    let served: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned)
        .collect();
    let asked: BTreeSet<String> = &names(DASHBOARD) | &names(RULES);
    let missing: Vec<&String> = asked.difference(&served).collect();
    assert!(asked.len() > 20, "{asked:?}");
    assert!(missing.is_empty(), "not served: {missing:?}");
    let page = include_str!("../../docs/DOCTOR.md");
    for name in &served {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let base = base.unwrap_or(name);
        assert!(
            page.contains(&format!("`{base}`")),
            "{base} is not in docs/DOCTOR.md"
        );
    }
}

/// Every expression of alerts and dashboard, with the words beside it that name labels.
fn expressions() -> Vec<(String, String)> {
    let alerts = RULES.split("- alert: ").skip(1).map(|alert| {
        let (_, expr) = alert.split_once("expr: '").unwrap();
        let (expr, words) = expr.split_once("'\n").unwrap();
        assert!(!expr.contains('\''), "{expr}");
        (expr.to_owned(), words.to_owned())
    });
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let targets = targets.map(|target| (text(&target["expr"]), text(&target["legendFormat"])));
    alerts.chain(targets).collect()
}

/// Each of them is one that Prometheus can read, and no label or value that it names is missing.
fn expressions_ask_for_what_is_in(text: &str) {
    let served = expressions::served(text);
    for (expr, words) in expressions() {
        let wrong = expressions::faults(&expr, &words, &served);
        assert!(wrong.is_empty(), "{expr}: {wrong:?}");
    }
}

/// Prometheus itself finds nothing wrong with the alerts, where it is installed.
#[test]
fn prometheus_takes_the_alerts() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/packaging/prometheus/fiscald.rules.yml"
    );
    let checked = std::process::Command::new("promtool")
        .args(["check", "rules", path])
        .output();
    match checked {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        checked => {
            let checked = checked.unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
}

/// The dashboard can be loaded: panels with numbers of their own, each with something to show; each alert says how bad
/// it is and what to do.
#[test]
fn dashboard_and_alerts_are_whole() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty());
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            let expr = target["expr"].as_str().unwrap();
            assert!(!names(expr).is_empty(), "{expr}");
            for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
                assert_eq!(
                    expr.matches(open).count(),
                    expr.matches(close).count(),
                    "{expr}"
                );
            }
        }
    }
    assert!(ids.len() >= 15);

    let alerts: Vec<&str> = RULES.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 15);
    for alert in alerts {
        for member in [
            "expr: '",
            "for: ",
            "severity: ",
            "summary: '",
            "description: '",
        ] {
            assert_eq!(alert.matches(member).count(), 1, "{member} of {alert}");
        }
        assert!(
            alert.contains("critical") || alert.contains("warning"),
            "{alert}"
        );
    }
}

/// What is told of whether FDMS answers a till; none: nothing is.
fn online(http: &mut Http, till: u32) -> Option<String> {
    let text = http.get("/metrics", "no token at all").unwrap().body;
    assert!(text.contains(&format!("fiscald_till_held{{till=\"{till}\"")));
    let line = format!("fiscald_fdms_online{{till=\"{till}\",environment=\"test\"}} ");
    let value = text.lines().find_map(|text| text.strip_prefix(&line));
    value.map(str::to_owned)
}

/// Lets time pass until this is told of a till.
fn until_online(store: &Store, http: &mut Http, till: u32, wanted: &str) {
    let started = SystemClock.boot();
    loop {
        let told = online(http, till);
        if told.as_deref() == Some(wanted) {
            return;
        }
        let waited = SystemClock.boot() - started;
        assert!(waited < PATIENCE, "{told:?}, not {wanted}");
        store.clock.advance(Duration::from_secs(5));
        std::thread::yield_now();
    }
}

/// A till that has not called FDMS, for it is not registered, and one that is retired are neither online nor away: an
/// alert would stand for ever.
#[test]
fn only_tills_that_call_are_online_or_away() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut store = Store::set_up(dir.path(), 4402);
    let sealing = SealingKey::from_file(&dir.path().join("data/sealing.key")).unwrap();
    let clock = Arc::new(SystemClock);
    let unregistered = NewTill {
        environment: Environment::Test,
        device_id: DeviceId::new(4403).unwrap(),
        serial_no: "till-4403".to_owned(),
        model_name: "Server".to_owned(),
        model_version: "v1".to_owned(),
        invoice_prefix: "4403-".to_owned(),
    };
    let mut core = Core::open(&store.ledger(), sealing, clock, Settings::default()).unwrap();
    let added = core.write(|core| core.add_till(&unregistered, "test"));
    added.unwrap();
    drop(core);
    store.start();
    let mut http = Http::open(store.address).unwrap();
    until_online(&store, &mut http, 4402, "1");
    store.sandbox.set_offline(true);
    until_online(&store, &mut http, 4402, "0");
    assert_eq!(online(&mut http, 4403), None);

    let named = ["--confirm", "4402", "--device-id", "4402"];
    let retired = store.fiscald(&[["till", "retire"].as_slice(), &named].concat());
    assert!(retired.status.success(), "{retired:?}");
    assert_eq!(online(&mut http, 4402), None);
}
