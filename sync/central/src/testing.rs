//! What tests begin with: a database of their own, the service on a port of its own, a clock that they set, and somebody
//! who asks it. Only where the feature `testing` is on.
//!
//! The server is the one in `HQ_TEST_POSTGRES` (its superuser's URL), else `scripts/postgres` starts one. Every
//! test copies a migrated template, which the first one makes, and drops its copy at the end.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: one that cannot be set up may end"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clock::{TestClock, Timestamp};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use sync_wire::Environment;
use tokio::net::TcpListener;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::Hq;
use crate::db::{APP_ROLE, Address, Db, Limits, TenantId};
use crate::hq::SharedHq;
use crate::keys::MasterKeys;
use crate::migrate;
use crate::outbound::Outbound;
use crate::serve::{self, Running};

mod admin;

pub use admin::Admin;

/// When every test begins: a Thursday, eight in the morning in Harare.
pub const START: &str = "2026-05-28T06:00:00Z";
/// The master key of the tests, Base64.
pub const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
/// The worker's secret of the tests.
pub const WORKER_SECRET: &str = "the worker's secret of the tests";
/// Who owns the tests' databases: no superuser, so that row-level security binds him too.
pub const OWNER: &str = "hq_test_owner";
/// The lock under which the template is made.
const TEMPLATE_LOCK: i64 = 7_210_099;

/// A head office of its own. All of it goes when this is dropped.
pub struct Test {
    /// The service, as handlers have it.
    pub hq: SharedHq,
    /// Its clock.
    pub clock: Arc<TestClock>,
    /// Where it answers: `http://127.0.0.1:PORT`.
    pub base: String,
    /// A client without cookies that follows no redirect.
    pub http: reqwest::Client,
    /// Its database.
    pub database: Database,
    _running: Running,
}

impl Test {
    /// All rows of all tables, as text.
    pub async fn everything(&self) -> String {
        let client = self.database.connect("postgres").await;
        let tables = client
            .query(
                "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1",
                &[],
            )
            .await
            .unwrap();
        let mut all = String::new();
        for table in tables {
            let name: String = table.get(0);
            let rows = client
                .query(&format!("SELECT t::text FROM {name} t"), &[])
                .await
                .unwrap();
            for row in rows {
                all.push_str(row.get(0));
                all.push('\n');
            }
        }
        all
    }

    /// A fresh one, allowed to do everything (`FDMS_ENV=prod`).
    pub async fn start() -> Self {
        Self::start_with(Environment::Prod).await
    }

    /// A fresh one that may do this much at most.
    pub async fn start_with(ceiling: Environment) -> Self {
        let database = Database::create().await;
        Self::over(
            database,
            TestClock::new(start()),
            ceiling,
            Outbound::default(),
        )
        .await
    }

    /// A fresh one that reaches the world like this.
    pub async fn start_reaching(outbound: Outbound) -> Self {
        let database = Database::create().await;
        Self::over(
            database,
            TestClock::new(start()),
            Environment::Prod,
            outbound,
        )
        .await
    }

    /// A fresh one on a Postgres of its own.
    pub async fn start_on(server: &Server) -> Self {
        let database = Database::create_on(&server.url).await;
        let clock = TestClock::new(start());
        Self::over(database, clock, Environment::Prod, Outbound::default()).await
    }

    /// Another instance of the service on the same database, with the same clock.
    pub async fn second(&self) -> Self {
        let database = self.database.shared();
        let outbound = self.hq.outbound.clone();
        Self::over(database, Arc::clone(&self.clock), self.hq.ceiling, outbound).await
    }

    async fn over(
        database: Database,
        clock: Arc<TestClock>,
        ceiling: Environment,
        outbound: Outbound,
    ) -> Self {
        let hq = Arc::new(Hq {
            db: database.pool(),
            clock: Arc::clone(&clock) as clock::SharedClock,
            ceiling,
            keys: MasterKeys::parse(MASTER_KEY, None).unwrap(),
            worker_secret: Some(SecretString::from(WORKER_SECRET)),
            secure_cookies: false,
            public_url: "http://hq.test".to_owned(),
            outbound,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = serve::start(Arc::clone(&hq), listener).unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self {
            hq,
            clock,
            base: format!("http://{}", running.address),
            http,
            database,
            _running: running,
        }
    }

    /// A new tenant.
    pub async fn tenant(&self, name: &str) -> TenantId {
        crate::tenants::create(&self.hq.db, name, "operator:test", self.hq.now())
            .await
            .unwrap()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// The moment at which every test begins.
pub fn start() -> Timestamp {
    START.parse().unwrap()
}

/// A database of its own, dropped with this.
pub struct Database {
    /// Its name.
    pub name: String,
    /// The superuser's URL of its server.
    server: String,
    is_mine: bool,
}

impl Database {
    /// A copy of the migrated template.
    pub async fn create() -> Self {
        Self::create_on(cluster()).await
    }

    async fn create_on(server: &str) -> Self {
        let admin = connect(server, "postgres", "postgres").await;
        let template = template(&admin, server).await;
        Self::make(&admin, server, &format!("TEMPLATE {template}")).await
    }

    /// One without any table.
    pub async fn create_empty() -> Self {
        let server = cluster();
        let admin = connect(server, "postgres", "postgres").await;
        template(&admin, server).await;
        Self::make(&admin, server, "").await
    }

    async fn make(admin: &Client, server: &str, how: &str) -> Self {
        let name = format!("hq_test_{}", Uuid::new_v4().simple());
        admin
            .batch_execute(&format!("CREATE DATABASE {name} OWNER {OWNER} {how}"))
            .await
            .unwrap();
        Self {
            name,
            server: server.to_owned(),
            is_mine: true,
        }
    }

    fn shared(&self) -> Self {
        Self {
            name: self.name.clone(),
            server: self.server.clone(),
            is_mine: false,
        }
    }

    /// The URL for a role: [`APP_ROLE`], [`OWNER`], `postgres`.
    pub fn url(&self, role: &str) -> String {
        url(&self.server, &self.name, role)
    }

    /// The service's connections to it.
    pub fn pool(&self) -> Db {
        let address = Address::parse(&self.url(APP_ROLE)).unwrap();
        address.pool(Limits::default()).unwrap()
    }

    /// A connection as a role.
    pub async fn connect(&self, role: &str) -> Client {
        connect(&self.server, &self.name, role).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !self.is_mine {
            return;
        }
        let (name, server) = (self.name.clone(), self.server.clone());
        // This thread may be inside a runtime, which must not wait.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let admin = connect(&server, "postgres", "postgres").await;
                admin
                    .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                    .await
                    .unwrap();
            });
        })
        .join();
        if dropped.is_err() {
            eprintln!(
                "the database {} of this test could not be dropped",
                self.name
            );
        }
    }
}

async fn connect(server: &str, database: &str, role: &str) -> Client {
    let address = Address::parse(&url(server, database, role)).unwrap();
    address.connect().await.unwrap()
}

/// The superuser's URL, with another database and role in it.
fn url(server: &str, database: &str, role: &str) -> String {
    let (base, query) = server.split_once('?').expect("HQ_TEST_POSTGRES has ?host=");
    assert_eq!(
        base, "postgresql:///postgres",
        "HQ_TEST_POSTGRES as scripts/postgres url says it"
    );
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with("user="))
        .collect();
    format!("postgresql:///{database}?{}&user={role}", kept.join("&"))
}

/// The server of the tests; started where there is none.
pub fn cluster() -> &'static str {
    static FOUND: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    FOUND.get_or_init(|| {
        if let Ok(url) = std::env::var("HQ_TEST_POSTGRES") {
            return url;
        }
        script(&["url"]).unwrap_or_else(|_| {
            script(&["start"]).unwrap();
            script(&["url"]).unwrap()
        })
    })
}

/// A Postgres of its own, which a test may stop and start again. All of it goes when this is dropped.
pub struct Server {
    folder: PathBuf,
    url: String,
    /// What is committed is there after a crash.
    is_durable: bool,
}

impl Server {
    /// Makes and starts it, in a folder that is not there yet. A crash may cost it its last transactions.
    pub fn start(folder: &Path) -> Self {
        Self::make(folder, false)
    }

    /// As [`Server::start`]; a crash costs it nothing.
    pub fn start_durable(folder: &Path) -> Self {
        Self::make(folder, true)
    }

    fn make(folder: &Path, is_durable: bool) -> Self {
        let mut server = Self {
            folder: folder.to_owned(),
            url: String::new(),
            is_durable,
        };
        server.act("start").unwrap();
        server.url = server.act("url").unwrap();
        server
    }

    /// Its superuser's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it.
    pub fn stop(&self) {
        self.act("stop").unwrap();
    }

    /// Starts it again, where it was.
    pub fn start_again(&self) {
        self.act("start").unwrap();
        assert_eq!(self.act("url").unwrap(), self.url);
    }

    /// It is killed, and starts again from its log.
    pub fn crash(&self) {
        self.act("crash").unwrap();
        assert_eq!(self.act("url").unwrap(), self.url);
    }

    fn act(&self, action: &str) -> Result<String, String> {
        let folder = self.folder.to_str().unwrap();
        match self.is_durable {
            true => script(&[action, "--fsync", folder]),
            false => script(&[action, folder]),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(why) = self.act("remove") {
            eprintln!(
                "the Postgres in {} is still there: {why}",
                self.folder.display()
            );
        }
    }
}

fn script(words: &[&str]) -> Result<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres");
    let output = Command::new(path).args(words).output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A migrated database to copy; its name holds the hash of the migrations, so that a change makes a new one.
async fn template(admin: &Client, server: &str) -> String {
    let mut digest = Sha256::new();
    for step in &migrate::STEPS {
        digest.update(step.sha256());
    }
    let hash: String = digest.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = format!("hq_template_{hash}");
    let lock = [&TEMPLATE_LOCK as &(dyn tokio_postgres::types::ToSql + Sync)];
    admin
        .execute("SELECT pg_advisory_lock($1)", &lock)
        .await
        .unwrap();
    let ready = admin
        .query_opt(
            "SELECT FROM pg_database WHERE datname = $1 AND datistemplate",
            &[&name],
        )
        .await
        .unwrap();
    if ready.is_none() {
        make_template(admin, server, &name).await;
    }
    admin
        .execute("SELECT pg_advisory_unlock($1)", &lock)
        .await
        .unwrap();
    name
}

async fn make_template(admin: &Client, server: &str, name: &str) {
    let owner = admin
        .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&OWNER])
        .await
        .unwrap();
    if owner.is_none() {
        admin
            .batch_execute(&format!("CREATE ROLE {OWNER} LOGIN CREATEROLE"))
            .await
            .unwrap();
    }
    // One that was begun and not finished is no template.
    admin
        .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        .await
        .unwrap();
    admin
        .batch_execute(&format!("CREATE DATABASE {name} OWNER {OWNER}"))
        .await
        .unwrap();
    let mut client = connect(server, name, OWNER).await;
    migrate::migrate(&mut client, start()).await.unwrap();
    drop(client);
    admin
        .batch_execute(&format!(
            "ALTER DATABASE {name} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false"
        ))
        .await
        .unwrap();
}
