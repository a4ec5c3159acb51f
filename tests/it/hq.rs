//! The store's half of head office: joining, sending, commands, and a machine that is lost. Head office is a small one
//! that follows the rule; FDMS is the sandbox.

use std::time::Duration;

use clock::{Clock as _, SystemClock};
use fdms_sandbox::DeviceSpec;
use fiscald::config::FdmsConfig;
use fiscald::hq::join::{JoinHqError, Joined, Joining, join as join_hq};
use fiscald::hq::{HeadOffice, HqView};
use fiscald::join::{self, Registration};
use fiscald::keys::KeyKind;
use fiscald::ledger::hq::till_ref;
use fiscald::ledger::verify::verify;
use sync_wire::command::{CommandDone, CommandOutcome, Order};
use sync_wire::seal::{credential_context, seal};
use sync_wire::settings::{DayOpening, PrintPolicy, StoreSettings};
use sync_wire::state::Wanted;
use sync_wire::{Environment, TillRef};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::hq::{Hq, STORE};
use crate::support::pass::pass_until;
use crate::support::process::{PATIENCE, Store};
use crate::support::store::House;
use crate::support::suites;

const STEP: Duration = Duration::from_secs(2);
/// Long after everything.
const FOR_EVER: i64 = i64::MAX;

pub(crate) async fn join_with(house: &House, hq: &Hq, code: &str) -> Result<Joined, JoinHqError> {
    let mut core = house.core();
    let joining = Joining {
        url: &hq.url,
        ca: Some(house.sandbox.ca_pem()),
        code,
        actor: "test",
        ledger: &house.path(),
        clock: house.clock.clone(),
    };
    join_hq(&mut core, &joining).await
}

/// The part for head office, beside the daemon's other parts; it stops with the guard.
pub(crate) fn run(house: &House) -> (HqView, DropGuard) {
    let ca = house.path().with_file_name("ca.pem");
    std::fs::write(&ca, house.sandbox.ca_pem()).unwrap();
    let view = HqView::default();
    let office = HeadOffice {
        sealing: house.sealing(),
        fdms: FdmsConfig {
            test_url: house.sandbox.url(),
            extra_ca: Some(ca),
            ..FdmsConfig::default()
        },
        log: None,
        view: view.clone(),
    };
    let stop = CancellationToken::new();
    let (ledger, submitter) = (house.ledger().clone(), house.submitter().clone());
    tokio::spawn(office.run(ledger, submitter, stop.clone()));
    (view, stop.drop_guard())
}

pub(crate) async fn joined() -> (House, Hq) {
    let (house, hq) = (House::new().await, Hq::new().await);
    hq.lock().codes.push("CODE".to_owned());
    join_with(&house, &hq, "CODE").await.unwrap();
    (house, hq)
}

pub(crate) fn has_all(house: &House, hq: &Hq) -> bool {
    let own = house
        .ledger()
        .reader()
        .hq_lines(0, usize::MAX, usize::MAX)
        .unwrap();
    let own = own.into_iter().map(|line| (line.seq, line.bytes));
    own.eq(hq.lock().lines.iter().cloned())
}

pub(crate) async fn arrives(house: &House, hq: &Hq) {
    pass_until(house, STEP, "everything at head office", |house| {
        has_all(house, hq)
    })
    .await;
}

async fn ends(house: &House, hq: &Hq, order: Order) -> CommandDone {
    let no = hq.order(order, FOR_EVER);
    pass_until(house, STEP, "the end of a command", |_| {
        hq.done(no).is_some()
    })
    .await;
    hq.done(no).unwrap()
}

pub(crate) fn till(house: &House) -> TillRef {
    let tills = house.ledger().reader().tills().unwrap();
    till_ref(tills.first().unwrap())
}

/// A code is good once; what was there before joining arrives too, and what comes after it.
#[tokio::test]
async fn joins_and_sends() {
    let house = House::new().await;
    let hq = Hq::new().await;
    house.sell_many(0, 5).await;
    let error = join_with(&house, &hq, "WRONG").await.unwrap_err();
    assert!(error.to_string().contains("Nothing was changed"), "{error}");
    assert_eq!(house.ledger().reader().hq().unwrap(), None);
    hq.lock().codes.push("CODE".to_owned());
    let joined = join_with(&house, &hq, "CODE").await.unwrap();
    assert_eq!((joined.store.as_str(), joined.rebuilt), ("Harare 1", None));
    assert_eq!(hq.lock().known[0].last_global_no, 5);
    assert!(join_with(&house, &hq, "CODE").await.is_err());
    let (view, _stop) = run(&house);
    arrives(&house, &hq).await;
    house.sell_many(0, 5).await;
    arrives(&house, &hq).await;
    let standing = view.standing();
    assert!(standing.heard.is_some() && standing.trouble.is_none());
    let told = hq.lock().state.clone().unwrap();
    assert_eq!(told.tills[0].till, till(&house));
    assert_eq!(told.tills[0].last_global_no, 10);
    house.drain().await;
    verify(&house.path(), &mut |_, _| {}).unwrap();
}

/// A limit that head office sets for the line is kept: what is sent takes its time, all of it comes, and no sale waits.
#[tokio::test]
async fn the_line_is_not_filled() {
    const LIMIT: u32 = 300;
    let (house, hq) = joined().await;
    let (_view, _stop) = run(&house);
    house.sell(0).await;
    arrives(&house, &hq).await;
    let sent = async |sales: usize| {
        let (came, began) = (hq.lock().came, house.ledger().time().now());
        house.sell_many(0, sales).await;
        let sold = house.ledger().time().now().duration_since(began);
        arrives(&house, &hq).await;
        let took = house.ledger().time().now().duration_since(began);
        let bytes = hq.lock().came - came;
        (bytes, sold.as_secs(), took.as_secs())
    };
    let (_, _, free) = sent(22).await;
    {
        let mut kept = hq.lock();
        kept.wanted.bytes_per_second = Some(LIMIT);
        kept.wanted.revision += 1;
    }
    house.sell(0).await;
    arrives(&house, &hq).await;
    let (bytes, sold, took) = sent(22).await;
    let least = i64::try_from(bytes).unwrap() / i64::from(LIMIT) * 3 / 4;
    assert!(took >= least, "{bytes} bytes in {took} s");
    assert!(free < least, "without a limit it takes {free} s");
    assert!(sold <= 2, "sales took {sold} s");
}

/// A prefix that is another one at head office is found before anything is kept.
#[tokio::test]
async fn prefixes_must_agree() {
    let (house, hq) = (House::new().await, Hq::new().await);
    let expected = sync_wire::enrol::ExpectedTill {
        till: till(&house),
        serial_no: "till-101".to_owned(),
        invoice_prefix: "OTHER-".to_owned(),
        machine_name: "front".to_owned(),
    };
    hq.lock().expected.push(expected);
    hq.lock().codes.push("CODE".to_owned());
    let error = join_with(&house, &hq, "CODE").await.unwrap_err();
    assert!(matches!(error, JoinHqError::Prefix(_)), "{error}");
    assert_eq!(house.ledger().reader().hq().unwrap(), None);
}

/// Head office's commands, in order, each ended once.
#[tokio::test]
async fn commands_are_carried_out() {
    let (house, hq) = joined().await;
    let (_view, _stop) = run(&house);
    let till = till(&house);
    let test = ends(&house, &hq, Order::SubmitTest { till }).await;
    assert_eq!(
        (test.outcome, test.number),
        (CommandOutcome::Done, Some(1)),
        "{test:?}"
    );
    pass_until(&house, STEP, "the test receipt at FDMS", |house| {
        house.at_fdms(0).len() == 1
    })
    .await;
    let reason = "under review".to_owned();
    let paused = ends(&house, &hq, Order::DeadLetter { till, reason }).await;
    assert_eq!(paused.outcome, CommandOutcome::Done);
    let parked = house.stream(0).0.parked.unwrap();
    assert_eq!(parked.reason, "under review");
    let again = ends(&house, &hq, Order::Retry { till }).await;
    assert_eq!(again.outcome, CommandOutcome::Done);
    assert_eq!(house.stream(0).0.parked, None);
    let config = ends(&house, &hq, Order::RefreshConfig { till }).await;
    assert_eq!(config.outcome, CommandOutcome::Done, "{config:?}");
    let open = ends(&house, &hq, Order::OpenDay { till }).await;
    assert_eq!(open.outcome, CommandOutcome::Refused, "{open:?}");
    let retire = || Order::Retire {
        till,
        reason: "the machine was sold".to_owned(),
    };
    let retired = ends(&house, &hq, retire()).await;
    assert_eq!(retired.outcome, CommandOutcome::Refused, "{retired:?}");
    let closed = ends(&house, &hq, Order::CloseDay { till }).await;
    assert_eq!(
        (closed.outcome, closed.number),
        (CommandOutcome::Done, Some(1))
    );
    let renewed = ends(&house, &hq, Order::RenewCertificate { till }).await;
    assert_eq!(renewed.outcome, CommandOutcome::Done, "{renewed:?}");
    let log = ends(&house, &hq, Order::UploadLog { lines: 10 }).await;
    assert_eq!(log.outcome, CommandOutcome::Refused, "{log:?}");
    let nobody = TillRef {
        environment: Environment::Prod,
        ..till
    };
    let unknown = ends(&house, &hq, Order::SubmitTest { till: nobody }).await;
    assert_eq!(unknown.outcome, CommandOutcome::Refused, "{unknown:?}");
    house.drain().await;
    let retired = ends(&house, &hq, retire()).await;
    assert_eq!(retired.outcome, CommandOutcome::Done, "{retired:?}");
    hq.lock().now = 5_000;
    let late = hq.order(Order::OpenDay { till }, 4_000);
    pass_until(&house, STEP, "the end", |_| hq.done(late).is_some()).await;
    assert_eq!(hq.done(late).unwrap().outcome, CommandOutcome::Expired);
    arrives(&house, &hq).await;
    let told = hq.lock().state.clone().unwrap();
    let hold = told.tills[0].hold.clone().unwrap();
    assert!(
        hold.kind == "retired" && hold.reason.contains("the machine was sold"),
        "{hold:?}"
    );
    verify(&house.path(), &mut |_, _| {}).unwrap();
}

/// A command that was interrupted is carried out once more, and its receipt is the same one.
#[tokio::test]
async fn an_interrupted_command_ends_once() {
    let (mut house, hq) = joined().await;
    let till = till(&house);
    let no = hq.order(Order::SubmitTest { till }, 1);
    // Begun before the power went, and the receipt was issued.
    let command = hq.lock().commands[0].clone();
    let key = format!("hq:{}", command.id);
    let kept = command.clone();
    house
        .ledger()
        .write(move |core| {
            core.hq_keep_commands(&[kept])?;
            core.hq_begin_command(1)
        })
        .await
        .unwrap();
    let (draft, _) = fiscal::draft::Draft::read(house.draw(0).as_bytes());
    let own = house.till(0);
    let sale = fiscald::ledger::Sale::new((own.id, own.device), draft, Some(key), "hq:Rudo".into());
    house.ledger().issue(sale).await.unwrap();
    house.stop().await;
    house.start();
    let (_view, _stop) = run(&house);
    pass_until(&house, STEP, "the end", |_| hq.done(no).is_some()).await;
    let done = hq.done(no).unwrap();
    assert_eq!(
        (done.outcome, done.number),
        (CommandOutcome::Done, Some(1)),
        "{done:?}"
    );
    assert_eq!(
        house
            .ledger()
            .reader()
            .last_receipt(own.id)
            .unwrap()
            .0
            .get(),
        1
    );
}

/// A credential that the authority issued elsewhere reaches the store sealed; the till is added with it.
#[tokio::test]
async fn credentials_are_delivered() {
    let (house, hq) = joined().await;
    let (_view, _stop) = run(&house);
    let spec = DeviceSpec::new(777);
    house.sandbox.add_device(spec.clone()).unwrap();
    let elsewhere = house.another_ledger();
    let registration = Registration {
        till: house.new_till(777),
        activation_key: &spec.activation_key,
        kind: KeyKind::EcP256,
        again: false,
        actor: "test",
    };
    let there = join::register(&elsewhere, &house.access(), &registration)
        .await
        .unwrap();
    let identity = elsewhere.write(move |core| core.identity(there.till)).await;
    let (key, certificate) = identity.unwrap().unwrap();
    let pem = pem(key.pkcs8());
    let till = TillRef {
        environment: Environment::Test,
        device_id: 777,
    };
    let public = hq.lock().seal_key.clone();
    let deliver = |version, context_version| Order::DeliverCredential {
        till,
        version,
        certificate: certificate.clone(),
        key: seal(
            &public,
            &credential_context(STORE, till, context_version),
            pem.as_bytes(),
        )
        .unwrap(),
        model: Some(("Server".to_owned(), "v1".to_owned())),
        serial_no: Some("till-777".to_owned()),
        invoice_prefix: Some("777-".to_owned()),
    };
    let foreign = ends(&house, &hq, deliver(2, 1)).await;
    assert_eq!(foreign.outcome, CommandOutcome::Refused, "{foreign:?}");
    let taken = ends(&house, &hq, deliver(2, 2)).await;
    assert_eq!(taken.outcome, CommandOutcome::Done, "{taken:?}");
    let tills = house.ledger().reader().tills().unwrap();
    let added = tills.iter().find(|own| till_ref(own) == till).unwrap();
    assert_eq!(added.invoice_prefix, "777-");
    let kept = house.ledger().reader().certificate_pem(added.id).unwrap();
    assert_eq!(kept, Some(certificate.clone()));
    // What head office hears of it holds no key.
    arrives(&house, &hq).await;
    let secret = pem.lines().nth(1).unwrap();
    for (_, line) in &hq.lock().lines {
        assert!(!String::from_utf8_lossy(line).contains(secret));
    }
    tokio::task::spawn_blocking(move || elsewhere.stop())
        .await
        .unwrap();
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

/// The machine is lost with receipts that FDMS has not heard of. The ledger is built again from head office's lines, the
/// till registers again and sells on, and FDMS gets all of it. What the lost key had signed, an FDMS that knows the new
/// certificate alone marks RCPT020: the key is gone, and the receipts are in customers' hands (docs/HQ.md).
#[tokio::test]
async fn a_lost_machine_comes_back() {
    let (mut house, hq) = joined().await;
    {
        let (_view, _stop) = run(&house);
        house.sell_many(0, 4).await;
        house.drain().await;
        house.sandbox.set_offline(true);
        house.sell_many(0, 3).await;
        arrives(&house, &hq).await;
    }
    house.lose_machine().await;
    hq.lock().codes.push("AGAIN".to_owned());
    let epochs = hq.lock().epochs.len();
    let before = hq.lock().lines.len();
    let joined = join_with(&house, &hq, "AGAIN").await.unwrap();
    assert_eq!(joined.rebuilt, Some(i64::try_from(before).unwrap()));
    verify(&house.path(), &mut |_, _| {}).unwrap();
    house.sandbox.set_offline(false);
    house.start();
    house.register_again(0).await;
    let (_view, _stop) = run(&house);
    pass_until(&house, STEP, "FDMS is asked", |house| {
        let held = house.ledger().reader().hold(house.till(0).id).unwrap();
        held.is_none()
    })
    .await;
    let issued = house.sell(0).await;
    assert_eq!(issued.receipt.global_no.get(), 8);
    house.drain().await;
    let at_fdms = house.at_fdms(0);
    assert_eq!(at_fdms.len(), 8, "{:?}", house.stream(0));
    let ended = suites::ended(&house).await;
    let marked: Vec<&String> = ended
        .iter()
        .filter(|f| f.starts_with("101 receipt"))
        .collect();
    let of_the_lost_key = [5, 6, 7]
        .map(|no| format!("101 receipt {no}: marked [Finding {{ code: RCPT020, color: Red }}]"));
    assert_eq!(marked, of_the_lost_key.iter().collect::<Vec<_>>());
    arrives(&house, &hq).await;
    assert_eq!(hq.lock().epochs.len(), epochs + 1);
    verify(&house.path(), &mut |_, _| {}).unwrap();
}

/// A ledger that is not the store's is not joined to the store's past.
#[tokio::test]
async fn anothers_past_is_refused() {
    let (house, hq) = joined().await;
    {
        let (_view, _stop) = run(&house);
        arrives(&house, &hq).await;
    }
    let other = House::new().await;
    other.sell_many(0, 2).await;
    hq.lock().codes.push("AGAIN".to_owned());
    let error = join_with(&other, &hq, "AGAIN").await.unwrap_err();
    assert!(matches!(error, JoinHqError::OthersPast { .. }), "{error}");
    assert_eq!(other.ledger().reader().hq().unwrap(), None);
    // The very ledger joins again without a word lost.
    hq.lock().codes.push("MORE".to_owned());
    join_with(&house, &hq, "MORE").await.unwrap();
    let (_view, _stop) = run(&house);
    house.sell_many(0, 2).await;
    arrives(&house, &hq).await;
}

/// `fiscald hq status` names what head office has set, in the same words whether the gateway runs or not, and nothing where
/// nothing is set.
#[test]
fn status_names_what_is_set() {
    const SET: &str = "  set by head office: currencies [\"USD\",\"ZWG\"], day_opening \"by_hand\", print \"never\"";
    const STOPPED: &str = "The gateway does not run: nothing goes to head office.";
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4330);
    let hq = store.block_on(Hq::new());
    hq.lock().codes.push("CODE".to_owned());
    let joined = store.fiscald(&["hq", "join", "CODE", "--url", &hq.url]);
    assert!(joined.status.success(), "{joined:?}");
    let said = status(&store);
    assert!(said.contains("this is \"Harare 1\""), "{said}");
    assert!(!said.contains("set by head office"), "{said}");

    hq.lock().wanted = Wanted {
        revision: 1,
        settings: StoreSettings {
            currencies: Some(vec!["USD".to_owned(), "ZWG".to_owned()]),
            day_opening: Some(DayOpening::ByHand),
            print: Some(PrintPolicy::Never),
            ..StoreSettings::default()
        },
        ..Wanted::default()
    };
    store.start();
    let (reader, started) = (store.reader(), SystemClock.boot());
    while reader.hq().unwrap().unwrap().wanted.revision < 1 {
        store.clock.advance(Duration::from_secs(1));
        let waited = SystemClock.boot() - started;
        assert!(waited < PATIENCE, "the settings do not come");
        std::thread::yield_now();
    }
    let running = status(&store);
    store.stop();
    let stopped = status(&store);
    for said in [&running, &stopped] {
        assert_eq!(
            said.lines().filter(|line| *line == SET).count(),
            1,
            "{said}"
        );
    }
    assert!(!running.contains(STOPPED), "{running}");
    assert!(stopped.contains(STOPPED), "{stopped}");
}

/// What `fiscald hq status` says.
fn status(store: &Store) -> String {
    let said = store.fiscald(&["hq", "status"]);
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}
