//! The store under measurement: the daemon as `fiscald run` runs it, on a test clock, without FDMS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clock::{Clock as _, SystemClock, TestClock};
use fiscal::DeviceId;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::load::{Connection, Selling, Sold, run_connections};
use crate::api::{ApiSettings, Devices};
use crate::config::Config;
use crate::daemon::{ConfiguredConnector, Daemon, DaemonError, Listeners};
use crate::join::renew_recovery;
use crate::keys::{RecoveryPassphrase, SealingKey};
use crate::ledger::core::Core;
use crate::ledger::verify::verify;
use crate::ledger::{Ledger, Settings};

/// How fast simulated time passes. A till may issue a receipt a second by law; here every till issues
/// about a hundred, and its dates should not run far ahead. Time moves in steps, so that what is remembered
/// for a second (a token) is remembered for half a second at least, as it would be in a shop.
const TICK: Duration = Duration::from_millis(500);
const PER_TICK: Duration = Duration::from_secs(60);
/// Where nobody listens.
const NO_FDMS: &str = "https://127.0.0.1:1";
/// Where a live copy is kept unless another folder is named: another disk than the ledger's, if one in memory.
pub(super) const LIVE: &str = "/dev/shm";
/// Sales before anything is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// The tills of a store, as clients of its daemon.
pub(super) struct Tills {
    pub(super) address: SocketAddr,
    pub(super) tokens: Vec<Arc<str>>,
    sales: Arc<AtomicU64>,
}

/// A daemon in this process, and its tills.
pub(super) struct BenchStore {
    pub(super) path: PathBuf,
    pub(super) ledger: Ledger,
    pub(super) tills: Tills,
    /// Opens its backups where its sealing key is not.
    pub(super) passphrase: RecoveryPassphrase,
    /// Dropped, it stops the daemon.
    stop: DropGuard,
    daemon: JoinHandle<Result<(), DaemonError>>,
}

/// Adds tills that can sell at once, each with a token of its own; the tokens.
pub(super) fn add_tills(core: &mut Core, tills: u32) -> anyhow::Result<Vec<Arc<str>>> {
    let mut tokens = Vec::new();
    for number in 1..=tills {
        let device = DeviceId::new(number).context("too many tills")?;
        let till = crate::testing::add_till(core, device)?;
        let token = token(device);
        core.write(|core| core.add_token(&token, Some(till), &token, "setup"))?;
        tokens.push(token);
    }
    Ok(tokens)
}

/// The token of a till.
pub(super) fn token(device: DeviceId) -> Arc<str> {
    Arc::from(format!("bench-{device}"))
}

impl BenchStore {
    pub(super) async fn start(dir: &Path, tills: u32) -> anyhow::Result<Self> {
        Self::with_devices(dir, tills, Devices::default()).await
    }

    pub(super) async fn with_devices(
        dir: &Path,
        tills: u32,
        devices: Devices,
    ) -> anyhow::Result<Self> {
        let path = dir.join("ledger.db");
        let clock = TestClock::new(SystemClock.wall());
        let sealing = SealingKey::random()?;
        let settings = Settings::default();
        let mut core = Core::open(&path, sealing.clone(), clock.clone(), settings)?;
        let passphrase = renew_recovery(&mut core, &sealing)?;
        let tokens = add_tills(&mut core, tills)?;
        let ledger = Ledger::start(core, &path)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(tick(clock, stop.clone()));
        let mut config = Config::default();
        config.fdms.test_url = NO_FDMS.to_owned();
        let daemon = Daemon {
            backups: crate::backup::Backups::default(),
            devices,
            connector: Some(Arc::new(ConfiguredConnector::new(&config, &ledger))),
            submitter: crate::submit::Submitter::default(),
            hq: None,
            ledger_path: Some(path.clone()),
            ledger: ledger.clone(),
            api: ApiSettings::default(),
            listeners: Some(Listeners::http_only(listener)),
            stop: stop.clone(),
        };
        Ok(Self {
            path,
            ledger,
            tills: Tills::new(address, tokens),
            passphrase,
            stop: stop.drop_guard(),
            daemon: tokio::spawn(daemon.run()),
        })
    }

    pub(super) async fn warm_up(&self) -> anyhow::Result<Sold> {
        self.tills.sell_for(self.tills.tokens.len(), WARM_UP).await
    }

    /// Bytes that the commit of one single sale adds to the write-ahead log.
    pub(super) async fn commit_bytes(&self, sold: &mut Sold) -> anyhow::Result<u64> {
        let wal = self.path.with_extension("db-wal");
        // While the log is copied into the database it does not grow; then it is tried once more.
        for _ in 0..20 {
            rusqlite::Connection::open(&self.path)?.query_row(
                "PRAGMA wal_checkpoint(TRUNCATE)",
                [],
                |_| Ok(()),
            )?;
            let before = std::fs::metadata(&wal)?.len();
            let single = self.tills.sell_for(1, WARM_UP / 10).await?;
            let grown = std::fs::metadata(&wal)?.len().saturating_sub(before);
            sold.add(&single);
            if grown > 0 && before == 0 {
                return Ok((grown / single.done.max(1)).max(1));
            }
        }
        anyhow::bail!("the size of a commit could not be measured; the ledger's log does not grow")
    }

    /// Stops the daemon, verifies its ledger, and counts the receipts in it.
    pub(super) async fn finish(self, sold: &Sold) -> anyhow::Result<u64> {
        drop(self.stop);
        self.daemon.await??;
        let path = self.path;
        let verified = tokio::task::spawn_blocking(move || verify(&path, &mut |_, _| {})).await??;
        ensure!(
            verified.receipts == sold.done,
            "{} sales were answered with 201, but {} receipts are in the ledger",
            sold.done,
            verified.receipts
        );
        Ok(verified.receipts)
    }
}

impl Tills {
    pub(super) fn new(address: SocketAddr, tokens: Vec<Arc<str>>) -> Self {
        Self {
            address,
            tokens,
            sales: Arc::default(),
        }
    }

    /// Sells on so many connections for a time, each on its till.
    pub(super) async fn sell_for(
        &self,
        connections: usize,
        duration: Duration,
    ) -> anyhow::Result<Sold> {
        run_connections(connections, duration, async |place| {
            self.connection(place).await
        })
        .await
    }

    /// A connection that sells on one of the tills.
    pub(super) async fn connection(&self, place: usize) -> anyhow::Result<Connection> {
        let count = self.tokens.len().max(1);
        let token = self.tokens.get(place % count).context("no tills")?;
        let sales = Arc::clone(&self.sales);
        let selling = Selling {
            token: Arc::clone(token),
            next_body: Arc::new(move || sale(sales.fetch_add(1, Ordering::Relaxed))),
        };
        Connection::open(self.address, Some(selling)).await
    }

    /// Sells until so many receipts are there.
    pub(super) async fn fill(
        &self,
        receipts: u64,
        connections: usize,
        bar: &indicatif::ProgressBar,
    ) -> anyhow::Result<Sold> {
        let mut sold = Sold::default();
        while sold.done < receipts {
            sold.add(&self.sell_for(connections, Duration::from_secs(1)).await?);
            bar.set_message(format!("filling: {} of {receipts} receipts;", sold.done));
        }
        bar.set_message("");
        Ok(sold)
    }
}

pub(super) async fn tick(clock: Arc<TestClock>, stop: CancellationToken) {
    while stop
        .run_until_cancelled(SystemClock.sleep(TICK))
        .await
        .is_some()
    {
        clock.advance(PER_TICK);
    }
}

/// A basket of three lines and two taxes.
pub(super) fn sale(number: u64) -> String {
    format!(
        r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"B-{number:09}","receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale","receiptLineName":"Bread","receiptLineHSCode":"19059090","receiptLinePrice":1.20,"receiptLineQuantity":2,"taxID":517}},{{"receiptLineType":"Sale","receiptLineName":"Sugar 2kg","receiptLineHSCode":"17019900","receiptLinePrice":3.45,"receiptLineQuantity":1,"taxID":517}},{{"receiptLineType":"Sale","receiptLineName":"Tomatoes","receiptLineHSCode":"07020000","receiptLinePrice":1.80,"receiptLineQuantity":0.555,"taxID":2}}],"receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":6.85}}]}}"#
    )
}
