//! A store that has joined, or will: the daemon in its folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clock::SharedClock;
use fiscal::DeviceId;
use fiscal_hq::testing::Admin;
use fiscald::api::{Devices, schema};
use fiscald::config::Config;
use fiscald::daemon::{ConfiguredConnector, Daemon, DaemonError, Listeners, api_settings};
use fiscald::hq::join::{JoinHqError, Joined, Joining, join};
use fiscald::hq::{HeadOffice, HqView};
use fiscald::join::{self, Registration, set_up};
use fiscald::keys::KeyKind;
use fiscald::ledger::core::Core;
use fiscald::ledger::tills::NewTill;
use fiscald::ledger::verify::verify;
use fiscald::ledger::{Environment, Ledger, Reader, TillInfo};
use fiscald::submit::{Access, Submitter};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{World, logs};
use crate::support::api::sale;

/// A store's folder, and the daemon in it while it runs.
pub(crate) struct Shop<'a> {
    world: &'a World,
    pub(crate) config: Config,
    running: Option<Running>,
}

struct Running {
    ledger: Ledger,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), DaemonError>>,
}

/// A receipt as ledger, head office or FDMS has it: hash and body.
pub(crate) type Receipts = BTreeMap<(String, u32, u32, String), String>;

impl<'a> Shop<'a> {
    /// A store in an empty folder of this name.
    pub(crate) fn new(world: &'a World, name: &str) -> Self {
        let text = format!(
            "[store]\ndata_dir = {:?}\n[fdms]\ntest_url = {:?}\nproduction_url = {:?}\nextra_ca = {:?}\n",
            world.dir.path().join(name),
            world.fdms(Environment::Test).url(),
            world.fdms(Environment::Production).url(),
            world.dir.path().join("ca.pem"),
        );
        Self {
            world,
            config: Config::parse(Path::new("fiscald.toml"), &text).unwrap(),
            running: None,
        }
    }

    fn clock(&self) -> SharedClock {
        self.world.hq.clock.clone()
    }

    /// The ledger's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.config.ledger_path()
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::new(&self.path())
    }

    /// `fiscald hq join`, while the daemon does not run.
    pub(crate) async fn join(&self, code: &str) -> Result<Joined, JoinHqError> {
        let mut set_up = set_up(&self.config, self.clock()).unwrap();
        let joining = Joining {
            url: &self.world.hq.base,
            ca: None,
            code,
            actor: "test",
            ledger: &self.path(),
            clock: self.clock(),
        };
        join(&mut set_up.core, &joining).await
    }

    /// Starts the daemon.
    pub(crate) async fn start(&mut self) {
        let config = &self.config;
        let core = set_up(config, self.clock()).unwrap().core;
        let ledger = Ledger::start(core, &config.ledger_path()).unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = http.local_addr().unwrap();
        let stop = CancellationToken::new();
        let daemon = Daemon {
            backups: fiscald::backup::Backups::default(),
            ledger: ledger.clone(),
            api: api_settings(config).unwrap(),
            listeners: Some(Listeners::http_only(http)),
            ledger_path: Some(config.ledger_path()),
            connector: Some(Arc::new(ConfiguredConnector::new(config, &ledger))),
            submitter: Submitter::new(Arc::new(|| 7)),
            devices: Devices::default(),
            hq: Some(HeadOffice {
                sealing: config.sealing_key().unwrap(),
                fdms: config.fdms.clone(),
                log: Some(logs()),
                view: HqView::default(),
            }),
            stop: stop.clone(),
        };
        let task = tokio::spawn(async move { daemon.run().await });
        self.running = Some(Running {
            ledger,
            address,
            stop,
            task,
        });
    }

    /// Stops it in order.
    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.stop.cancel();
        drop(running.ledger);
        running.task.await.unwrap().unwrap();
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.running.as_ref().unwrap().ledger
    }

    /// The way to FDMS.
    pub(crate) fn access(&self) -> Access {
        Access::from_config(&self.config.fdms, self.clock()).unwrap()
    }

    /// `fiscald register`, while the daemon runs.
    pub(crate) async fn register(
        &self,
        (environment, device): (Environment, u32),
        activation_key: &str,
        again: bool,
    ) -> join::Joined {
        let registration = Registration {
            till: new_till(environment, device),
            activation_key,
            kind: KeyKind::EcP256,
            again,
            actor: "test",
        };
        join::register(self.ledger(), &self.access(), &registration)
            .await
            .unwrap()
    }

    pub(crate) fn till(&self, environment: Environment, device: u32) -> TillInfo {
        let tills = self.reader().tills().unwrap().into_iter();
        let mut tills =
            tills.filter(|till| till.environment == environment && till.device_id.get() == device);
        tills.next().unwrap()
    }

    /// The address of the local API, and a token there: of a till's POS, which names no till, or for every till.
    async fn token(&self, device: Option<u32>) -> (SocketAddr, String) {
        let running = self.running.as_ref().unwrap();
        let till = device.map(|device| {
            let tills = self.reader().tills().unwrap().into_iter();
            let mut tills = tills.filter(|till| till.device_id.get() == device);
            tills.next().unwrap().id
        });
        let name = device.map_or("technician".to_owned(), |device| format!("pos-{device}"));
        let token = format!("the token of {name}");
        let added = token.clone();
        // It may be there from an earlier call.
        let add = move |core: &mut Core| core.add_token(&name, till, &added, "test");
        let _ = running.ledger.write(add).await;
        (running.address, token)
    }

    /// A sale of a POS at a till, whatever is answered.
    pub(crate) async fn offer(&self, device: u32, invoice_no: &str) -> (u16, Value) {
        let (address, token) = self.token(Some(device)).await;
        let asked = self
            .world
            .hq
            .http
            .post(format!("http://{address}/v1/receipts"))
            .header("host", "localhost")
            .header("content-type", "application/json")
            .bearer_auth(token)
            .body(sale(invoice_no));
        let answer = asked.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    /// Anything else that is asked over the local API of a till; it must work.
    pub(crate) async fn command(&self, device: u32, path: &str, body: &Value) -> Value {
        let (address, token) = self.token(None).await;
        let asked = self
            .world
            .hq
            .http
            .post(format!("http://{address}{path}?deviceID={device}"))
            .header("host", "localhost")
            .bearer_auth(token)
            .json(body);
        let answer = asked.send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// A sale that goes through.
    pub(crate) async fn sell(&self, device: u32, invoice_no: &str) -> schema::Receipt {
        let (status, answer) = self.offer(device, invoice_no).await;
        assert_eq!(status, 201, "{answer}");
        serde_json::from_value(answer).unwrap()
    }

    pub(crate) async fn sell_many(&self, device: u32, prefix: &str, count: u32) {
        for place in 0..count {
            self.sell(device, &format!("{prefix}{place}")).await;
        }
    }

    /// Nothing waits for FDMS, and nothing for head office.
    pub(crate) fn is_quiet(&self) -> bool {
        let reader = self.reader();
        let waits = |till: &TillInfo| reader.backlog(till.id).unwrap().total() > 0;
        let hq = reader.hq().unwrap().unwrap();
        hq.waiting == 0 && hq.fork.is_none() && !reader.tills().unwrap().iter().any(waits)
    }

    /// Waits until everything is at FDMS and at head office.
    pub(crate) async fn drain(&self) {
        self.world
            .until("that nothing waits any more", async || self.is_quiet())
            .await;
    }

    /// The ledger checks itself from its first event on.
    pub(crate) fn verified(&self) {
        verify(&self.path(), &mut |_, _| {}).unwrap_or_else(|error| panic!("{error}"));
    }

    /// All receipts of the ledger.
    pub(crate) fn receipts(&self) -> Receipts {
        let conn = rusqlite::Connection::open(self.path()).unwrap();
        let mut select = conn
            .prepare(
                "SELECT r.environment, t.device_id, r.global_no, hex(r.hash), r.body
                 FROM receipt r JOIN till t USING (till_id)",
            )
            .unwrap();
        let rows = select.query_map([], |row| {
            let environment = match row.get::<_, String>(0)?.as_str() {
                "production" => "prod".to_owned(),
                other => other.to_owned(),
            };
            let key = (environment, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((key, row.get(4)?))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// How often the store's audit has an action.
    pub(crate) fn audited(&self, action: &str) -> i64 {
        let conn = rusqlite::Connection::open(self.path()).unwrap();
        let count = "SELECT count(*) FROM audit WHERE action = ?1";
        conn.query_row(count, [action], |row| row.get(0)).unwrap()
    }

    /// All actions of the store's audit, for a test that does not find one.
    pub(crate) fn audit(&self) -> Vec<String> {
        let conn = rusqlite::Connection::open(self.path()).unwrap();
        let mut select = conn
            .prepare("SELECT action || ' ' || actor || ' ' || detail FROM audit ORDER BY audit_id")
            .unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

/// How a device is described when it registers.
pub(crate) fn new_till(environment: Environment, device: u32) -> NewTill {
    NewTill {
        environment,
        device_id: DeviceId::new(device).unwrap(),
        serial_no: format!("SN-{device}"),
        model_name: "Server".to_owned(),
        model_version: "v1".to_owned(),
        invoice_prefix: format!("{device}-"),
    }
}

/// The activation key that the authority first gives a device.
pub(crate) fn activation_key(device: u32) -> String {
    fdms_sandbox::DeviceSpec::new(device).activation_key
}

/// All receipts that head office has of the tenant.
pub(crate) async fn at_hq(admin: &Admin<'_>) -> Receipts {
    let client = admin.test.database.connect("postgres").await;
    let rows = client
        .query(
            "SELECT environment, device_id, receipt_global_no, upper(encode(hash, 'hex')), body FROM receipts
             WHERE tenant_id = $1",
            &[&admin.tenant.0],
        )
        .await
        .unwrap();
    let number = |value: i32| u32::try_from(value).unwrap();
    rows.iter()
        .map(|row| {
            let key = (
                row.get(0),
                number(row.get(1)),
                number(row.get(2)),
                row.get(3),
            );
            (key, row.get(4))
        })
        .collect()
}

/// What FDMS has of a device, each as it was received; none of them may be marked.
pub(crate) fn at_fdms(world: &World, environment: Environment, device: u32) -> Vec<(u32, String)> {
    let stored = world.fdms(environment).receipts(device).into_iter();
    stored
        .map(|receipt| {
            assert!(
                receipt.validation_errors.is_empty() && receipt.times_received == 1,
                "{receipt:?}"
            );
            let number = u32::try_from(receipt.receipt_global_no).unwrap();
            (number, receipt.raw)
        })
        .collect()
}

/// Head office has what the ledger has, and FDMS has both, byte for byte and without a gap.
pub(crate) async fn agree(
    world: &World,
    admin: &Admin<'_>,
    shop: &Shop<'_>,
    (environment, device): (Environment, u32),
) {
    let own = shop.receipts();
    assert_eq!(own, at_hq(admin).await, "head office and the ledger differ");
    let of_till: Vec<(u32, String)> = own
        .into_iter()
        .filter(|((_, of, ..), _)| *of == device)
        .map(|((_, _, number, _), body)| (number, body))
        .collect();
    let numbers: Vec<u32> = of_till.iter().map(|(number, _)| *number).collect();
    let last = u32::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    for (number, raw) in at_fdms(world, environment, device) {
        let (_, body) = &of_till[usize::try_from(number).unwrap() - 1];
        assert!(body.contains(&raw), "receipt {number}: {body} and {raw}");
    }
    assert_eq!(
        world.fdms(environment).receipt_count(device),
        of_till.len(),
        "FDMS has each of them"
    );
}
