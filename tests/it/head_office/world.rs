//! A head office, FDMS's two servers, and time.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clock::TestClock;
use fdms_sandbox::{DeviceSpec, RunningSandbox, Sandbox};
use fiscal_hq::testing::{Admin, Test};
use fiscald::config::LogConfig;
use fiscald::ledger::Environment;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::store::GLANCE;

/// So much time passes after each glance.
const STEP: Duration = Duration::from_secs(1);
/// So often it is looked before a test gives up: most of an hour on the test's clock.
const LOOKS: u32 = 3_000;

/// All that is not the store.
pub(crate) struct World {
    pub(crate) hq: Test,
    test: RunningSandbox,
    production: RunningSandbox,
    pub(crate) dir: tempfile::TempDir,
    _stop: DropGuard,
}

impl World {
    /// A head office without tenants, and FDMS without devices.
    pub(crate) async fn new() -> Self {
        Self::over(Test::start().await).await
    }

    /// The same around a head office that is there.
    pub(crate) async fn over(hq: Test) -> Self {
        logs();
        let stop = CancellationToken::new();
        let (test, production) = (
            sandbox(&hq.clock, &stop).await,
            sandbox(&hq.clock, &stop).await,
        );
        let dir = tempfile::tempdir().unwrap();
        let roots = [test.ca_pem(), production.ca_pem()].join("\n");
        std::fs::write(dir.path().join("ca.pem"), roots).unwrap();
        Self {
            hq,
            test,
            production,
            dir,
            _stop: stop.drop_guard(),
        }
    }

    /// FDMS's server of an environment.
    pub(crate) fn fdms(&self, environment: Environment) -> &RunningSandbox {
        match environment {
            Environment::Test => &self.test,
            Environment::Production => &self.production,
        }
    }

    /// The authority knows a device.
    pub(crate) fn add_device(&self, environment: Environment, device: u32) {
        let spec = DeviceSpec {
            serial_no: format!("SN-{device}"),
            ..DeviceSpec::new(device)
        };
        self.fdms(environment).add_device(spec).unwrap();
    }

    /// Lets time pass until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        for _ in 0..LOOKS {
            if is_so().await {
                return;
            }
            // Store, head office and FDMS announce themselves to nobody here: each step gives them a moment.
            let _ = tokio::time::timeout(GLANCE * 2, std::future::pending::<()>()).await;
            self.hq.clock.advance(STEP);
        }
        panic!("{what} does not come");
    }

    /// Lets so much time pass, a step at a time.
    pub(crate) async fn pass(&self, time: Duration) {
        let clock = &self.hq.clock;
        let until = clock::Clock::boot(&**clock) + time;
        self.until("time", async || clock::Clock::boot(&**clock) >= until)
            .await;
    }

    /// An admin of a new tenant whose papers are there and were reviewed; another tenant beside it.
    pub(crate) async fn admin(&self) -> Admin<'_> {
        let control = Admin::of_new(&self.hq, "Control").await;
        control.new_store("Elsewhere").await;
        let admin = Admin::of_new(&self.hq, "Baobab").await;
        let saved = admin.save_profile(json!({})).await;
        let review = json!({ "version": saved["version"] });
        admin.post("/fiscal_profile/review", review).await;
        admin
    }

    /// Waits until a command has ended, and how it did: the row of it with all that came of it.
    pub(crate) async fn ended(&self, admin: &Admin<'_>, command: &Value) -> Value {
        let id = command["command_id"].as_str().unwrap();
        let path = format!("/fiscal_submissions/{id}");
        self.until("the end of the command", async || {
            let status = admin.get(&path).await["command"]["status"].clone();
            status != "queued" && status != "delivered"
        })
        .await;
        admin.get(&path).await
    }
}

async fn sandbox(clock: &Arc<TestClock>, stop: &CancellationToken) -> RunningSandbox {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let builder = Sandbox::builder().clock(clock.clone());
    builder.start(listener, None, stop.clone()).await.unwrap()
}

/// All that gateway and head office log in this process, finest level: the folder.
pub(crate) fn logs() -> PathBuf {
    static LOGS: OnceLock<(tempfile::TempDir, fiscald::telemetry::Logging)> = OnceLock::new();
    let (dir, _) = LOGS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig {
            level: "info,fiscald=trace,fiscal_hq=trace,sync_agent=trace".to_owned(),
            directory: Some(dir.path().to_owned()),
            ..LogConfig::default()
        };
        let guard = fiscald::telemetry::start(&config).unwrap();
        (dir, guard)
    });
    dir.path().to_owned()
}
