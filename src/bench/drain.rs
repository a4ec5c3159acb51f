//! `fiscald bench drain`: how fast a backlog reaches FDMS.
//!
//! Tills sell while FDMS is away; then it is there, and answers each receipt after a while. A till sends one
//! receipt after the other, so it can do no better than one in each round trip; what counts is how near it
//! comes to that, that it keeps its connection, and that tills do not hold each other up.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use clock::{Clock, SharedClock, SystemClock, Timestamp};
use fdms_sandbox::{Call, DeviceSpec, Fault, FaultKind, RunningSandbox, Sandbox};
use fiscal::DeviceId;
use fiscal::draft::Draft;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::report::{Demand, Report};
use super::store::sale;
use crate::config::Config;
use crate::fdms::{Fdms as _, Identity, Outcome};
use crate::join::{Registration, register, set_up};
use crate::keys::{Certificate, KeyKind};
use crate::ledger::tills::NewTill;
use crate::ledger::{Environment, Ledger, Sale, SaleDone, TillId, TillInfo};
use crate::submit::{Access, Doing, LedgerConnector, Submitter};

/// Sales that are on their way at once.
const AT_ONCE: usize = 64;
/// Round trips that are measured.
const ROUND_TRIPS: usize = 50;

/// Options of `fiscald bench drain`.
#[derive(Debug, Clone, Args)]
pub(super) struct DrainArgs {
    /// How many receipts wait on each till.
    #[arg(long, default_value_t = 10_000)]
    receipts: u32,
    /// How many tills drain at once, after one alone.
    #[arg(long, default_value_t = 10)]
    many: u32,
    /// How long FDMS takes for an answer, in milliseconds.
    #[arg(long, default_value_t = 50)]
    answer_ms: u64,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Drained {
    /// Receipts that waited on each till.
    receipts: u32,
    /// Median time from sending a receipt to its answer, in milliseconds.
    round_trip_ms: f64,
    /// Receipts per second of one till.
    one_till_per_s: f64,
    /// That, as a share of one receipt in each round trip.
    one_till_of_bound: f64,
    /// TLS handshakes while it drained: one for the connection that it keeps.
    one_till_handshakes: u64,
    /// How many tills drained at once then.
    tills: u32,
    /// Receipts per second of all of them.
    many_tills_per_s: f64,
    /// That, as a share of what one till did, times the tills.
    many_tills_of_one: f64,
    /// TLS handshakes of all of them.
    many_tills_handshakes: u64,
}

impl Report for Drained {
    const COMMAND: &'static str = "bench drain";

    fn print(&self) {
        let Self {
            receipts, tills, ..
        } = self;
        println!("round trip of a receipt   {:>9.1} ms", self.round_trip_ms);
        println!(
            "one till, {receipts} receipts: {:>8.2} /s, {:.2} of one in each round trip, {} TLS handshakes",
            self.one_till_per_s, self.one_till_of_bound, self.one_till_handshakes
        );
        println!(
            "{tills} tills, {receipts} each: {:>8.2} /s, {:.2} of {tills} times one till, {} TLS handshakes",
            self.many_tills_per_s, self.many_tills_of_one, self.many_tills_handshakes
        );
    }

    fn demands(&self) -> Vec<Demand> {
        let handshakes = u32::try_from(self.one_till_handshakes).unwrap_or(u32::MAX);
        vec![
            Demand::at_least("one_till_of_bound", self.one_till_of_bound, 0.8),
            Demand::at_least("many_tills_of_one", self.many_tills_of_one, 0.8),
            // The connection is kept: some calls besides receipts have one of their own.
            Demand::at_most("one_till_handshakes", f64::from(handshakes), 10.0),
        ]
    }
}

/// The machine's clock, ahead by what was skipped.
#[derive(Debug, Default)]
struct SkippingClock(Mutex<Duration>);

impl SkippingClock {
    fn ahead(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So much time is over.
    fn skip(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}

impl Clock for SkippingClock {
    fn wall(&self) -> Timestamp {
        let wall = SystemClock.wall();
        wall.checked_add(self.ahead()).unwrap_or(wall)
    }

    fn boot(&self) -> Duration {
        SystemClock.boot() + self.ahead()
    }

    fn boot_id(&self) -> String {
        SystemClock.boot_id()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        SystemClock.sleep(duration)
    }
}

/// A store with a sandbox, whose tills have sold and sent nothing yet.
struct Backlog {
    sandbox: RunningSandbox,
    ledger: Ledger,
    access: Access,
    clock: Arc<SkippingClock>,
    tills: Vec<TillInfo>,
    receipts: u32,
    stop: CancellationToken,
}

impl Backlog {
    async fn build(
        args: &DrainArgs,
        dir: &Path,
        tills: u32,
        bar: &indicatif::ProgressBar,
    ) -> anyhow::Result<Self> {
        let clock = Arc::new(SkippingClock::default());
        let shared: SharedClock = clock.clone();
        let stop = CancellationToken::new();
        let specs: Vec<DeviceSpec> = (1..=tills).map(DeviceSpec::new).collect();
        let mut sandbox = Sandbox::builder().clock(Arc::clone(&shared));
        for spec in &specs {
            sandbox = sandbox.device(spec.clone());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let sandbox = sandbox.start(listener, None, stop.clone()).await?;
        let dir = dir.join(format!("drain-{tills}"));
        std::fs::create_dir(&dir)?;
        let mut config = Config::default();
        config.fdms.test_url = sandbox.url();
        config.fdms.extra_ca = Some(dir.join("ca.pem"));
        config.store.data_dir = Some(dir.clone());
        std::fs::write(dir.join("ca.pem"), sandbox.ca_pem())?;
        let core = set_up(&config, Arc::clone(&shared))?.core;
        let ledger = Ledger::start(core, &config.ledger_path())?;
        let access = Access::from_config(&config.fdms, shared).map_err(anyhow::Error::msg)?;
        for spec in &specs {
            join(&ledger, &access, spec).await?;
        }
        let backlog = Self {
            tills: ledger.ask(crate::ledger::Reader::tills).await?,
            sandbox,
            ledger,
            access,
            clock,
            receipts: args.receipts,
            stop,
        };
        backlog.sell(bar).await?;
        let fault = FaultKind::DelayAnswer(Duration::from_millis(args.answer_ms));
        backlog.sandbox.add_fault(Fault {
            times: u32::MAX,
            ..Fault::next(Call::SubmitReceipt, fault)
        });
        Ok(backlog)
    }

    /// Each till sells its receipts; their dates run ahead a second each, and then that time has passed.
    async fn sell(&self, bar: &indicatif::ProgressBar) -> anyhow::Result<()> {
        let number = Arc::new(AtomicU64::new(0));
        let all = u64::from(self.receipts) * self.tills.len() as u64;
        let mut selling = JoinSet::new();
        for place in 0..AT_ONCE {
            let (ledger, number) = (self.ledger.clone(), Arc::clone(&number));
            let tills: Vec<_> = self.tills.iter().map(TillInfo::ids).collect();
            selling.spawn(async move {
                loop {
                    let next = number.fetch_add(1, Ordering::Relaxed);
                    if next >= all {
                        return anyhow::Ok(());
                    }
                    let till = usize::try_from(next).unwrap_or(place) % tills.len();
                    let (draft, _) = Draft::read(sale(next).as_bytes());
                    let sale = Sale::new(tills[till], draft, None, "bench".into());
                    match ledger.issue(sale).await? {
                        SaleDone::Issued(_) => {}
                        SaleDone::Repeated(seq) => anyhow::bail!("{seq} was sold twice"),
                    }
                }
            });
        }
        bar.set_message("selling");
        while let Some(sold) = selling.join_next().await {
            sold??;
        }
        self.clock
            .skip(Duration::from_secs(u64::from(self.receipts) + 60));
        Ok(())
    }

    /// Sends everything; seconds from the first receipt's answer to the last's, and TLS handshakes.
    async fn drain(&self, bar: &indicatif::ProgressBar) -> anyhow::Result<(f64, u64)> {
        let submitter = Submitter::default();
        let connector = Arc::new(LedgerConnector::new(
            self.ledger.clone(),
            self.access.clone(),
        ));
        let handshakes = self.sandbox.handshakes();
        let (runs, ledger, stop) = (
            submitter.clone(),
            self.ledger.clone(),
            CancellationToken::new(),
        );
        let until = stop.clone();
        let running = tokio::spawn(async move { runs.run(ledger, connector, until).await });
        bar.set_message("draining");
        bar.set_length(u64::from(self.receipts) * self.tills.len() as u64);
        self.wait_for(1).await?;
        let start = SystemClock.boot();
        for till in &self.tills {
            let mut link = submitter.watch(till.id);
            while !(link.borrow_and_update().doing == Doing::Idle && self.is_drained(till.id)?) {
                link.changed().await?;
                bar.set_position(self.at_fdms());
            }
        }
        let took = SystemClock.boot().saturating_sub(start).as_secs_f64();
        let handshakes = self.sandbox.handshakes() - handshakes;
        stop.cancel();
        running.await??;
        for till in &self.tills {
            let stored = self.sandbox.receipts(till.device_id.get());
            let is_good = stored
                .iter()
                .all(|r| r.validation_errors.is_empty() && !r.is_grey);
            ensure!(
                stored.len() == self.receipts as usize && is_good,
                "FDMS does not hold what till {} sold",
                till.device_id
            );
        }
        Ok((took, handshakes))
    }

    fn is_drained(&self, till: TillId) -> anyhow::Result<bool> {
        Ok(self.ledger.reader().stream(till)?.1.is_none())
    }

    fn at_fdms(&self) -> u64 {
        let of = |till: &TillInfo| {
            self.sandbox
                .request_count(till.device_id.get(), Call::SubmitReceipt)
        };
        self.tills.iter().map(of).sum()
    }

    /// Until FDMS has got so many receipts.
    async fn wait_for(&self, receipts: u64) -> anyhow::Result<()> {
        let mut committed = self.ledger.committed();
        while self.at_fdms() < receipts {
            committed.changed().await?;
        }
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(tokio::task::spawn_blocking(move || self.ledger.stop()).await?)
    }

    /// Median time of a receipt that FDMS has already, sent once more over a kept connection.
    async fn round_trip_ms(&self) -> anyhow::Result<f64> {
        let till = self.tills.first().context("no tills")?;
        let id = till.id;
        let identity = self.ledger.write(move |core| core.identity(id)).await?;
        let (key, pem) = identity.context("the till has no certificate")?;
        let identity = Identity {
            certificate: Certificate::from_pem(&pem)?,
            key: Arc::new(key),
        };
        let client = self.access.client(till, Some(identity));
        let client = client.map_err(anyhow::Error::msg)?;
        let stored = self.sandbox.receipts(till.device_id.get());
        let body = format!(
            "{{\"receipt\":{}}}",
            stored.last().context("no receipt")?.raw
        );
        let mut times = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let start = SystemClock.boot();
            let answer = client.submit_receipt(body.as_bytes()).await;
            ensure!(matches!(answer.outcome, Outcome::Accepted(_)), "{answer:?}");
            let took = SystemClock.boot().saturating_sub(start);
            times.push(took.as_secs_f64());
        }
        #[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
        Ok(super::quantile(&mut times, 0.5) * 1e3)
    }
}

async fn join(ledger: &Ledger, access: &Access, spec: &DeviceSpec) -> anyhow::Result<()> {
    let registration = Registration {
        till: NewTill {
            environment: Environment::Test,
            device_id: DeviceId::new(spec.device_id).context("too many tills")?,
            serial_no: spec.serial_no.clone(),
            model_name: "fiscald".to_owned(),
            model_version: "1".to_owned(),
            invoice_prefix: String::new(),
        },
        activation_key: &spec.activation_key,
        kind: KeyKind::EcP256,
        again: false,
        actor: "bench",
    };
    register(ledger, access, &registration).await?;
    Ok(())
}

/// Drains one till, and then several at once.
#[expect(clippy::float_arithmetic, reason = "rates of a report, no money")]
pub(super) async fn run(args: &DrainArgs, dir: &Path) -> anyhow::Result<Drained> {
    ensure!(
        args.receipts > 1 && args.many > 0,
        "there must be receipts and tills"
    );
    let bar = indicatif::ProgressBar::new(0);
    bar.set_style(indicatif::ProgressStyle::with_template(
        "{msg} {pos} of {len} {bar:30} {elapsed}, {eta} left",
    )?);
    let mut drained = Drained {
        receipts: args.receipts,
        tills: args.many,
        ..Drained::default()
    };
    let gaps = f64::from(args.receipts - 1);
    let one = Backlog::build(args, dir, 1, &bar).await?;
    let (took, handshakes) = one.drain(&bar).await?;
    drained.one_till_per_s = gaps / took;
    drained.one_till_handshakes = handshakes;
    drained.round_trip_ms = one.round_trip_ms().await?;
    one.stop().await?;
    drained.one_till_of_bound = drained.one_till_per_s * drained.round_trip_ms / 1e3;
    let many = Backlog::build(args, dir, args.many, &bar).await?;
    let (took, handshakes) = many.drain(&bar).await?;
    drained.many_tills_per_s = gaps * f64::from(args.many) / took;
    drained.many_tills_handshakes = handshakes;
    many.stop().await?;
    drained.many_tills_of_one =
        drained.many_tills_per_s / (drained.one_till_per_s * f64::from(args.many));
    bar.finish_and_clear();
    Ok(drained)
}
