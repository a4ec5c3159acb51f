//! How many events head office takes: simulated stores over HTTP on loopback, into a Postgres that keeps what it has
//! acknowledged. Then the same rows, in the same order, go into empty copies of the same tables by COPY: what Postgres
//! alone can do here. `scripts/hq-load` runs this. What is not as it must be makes it fail.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use clock::{Clock as _, SystemClock, Timestamp};
use figures::Figures;
use fiscal_hq::Hq;
use fiscal_hq::db::{self, APP_ROLE, Address, Limits, TenantId};
use fiscal_hq::keys::MasterKeys;
use fiscal_hq::sync::enrol;
use fiscal_hq::{migrate, serve, tenants};
use futures_util::StreamExt as _;
use secrecy::ExposeSecret as _;
use shop::{Dice, Shop};
use sync_wire::enrol::{Enrol, Enrolled};
use sync_wire::exchange::Down;
use sync_wire::seal::SealKey;
use uuid::Uuid;

#[path = "load/copying.rs"]
mod copying;
#[path = "load/figures.rs"]
mod figures;
#[path = "load/overview.rs"]
mod overview;
#[path = "../tests/it/sync/shop.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
#[expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be set up may end"
)]
mod shop;

/// What this must show (docs/SCALING.md): events a second,
const EVENTS_A_SECOND: u64 = 10_000;
/// hundredths of what COPY takes,
const OF_COPY: u64 = 40;
/// hundredths by which an event may become dearer as the tables grow,
const DEARER: u64 = 20;
/// and for how long the page of all stores may take.
const OVERVIEW: Duration = Duration::from_millis(200);
/// Events of a store's first exchange, which is told by itself.
const FIRST: u32 = 10;
/// Level of compression, as the stores' agent has it.
const LEVEL: i32 = 3;
/// What seals nothing here.
const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// Measures how many events head office takes.
#[derive(Debug, Parser)]
struct Args {
    /// The superuser's URL of a Postgres that may be filled and thrown away.
    #[arg(long)]
    postgres: String,
    /// Simulated stores.
    #[arg(long, default_value_t = 1_000)]
    stores: u32,
    /// Events of each store.
    #[arg(long, default_value_t = 300)]
    events: u32,
    /// Lines of a batch.
    #[arg(long, default_value_t = 300)]
    batch: usize,
    /// Exchanges at once.
    #[arg(long, default_value_t = 32)]
    at_once: usize,
    /// Connections to Postgres.
    #[arg(long, default_value_t = 6)]
    connections: usize,
    /// Tenants that they belong to.
    #[arg(long, default_value_t = 20)]
    tenants: u32,
    /// Then grow the tables to so many rows, and measure again: `1000000,10000000`.
    #[arg(long, value_delimiter = ',')]
    grow: Vec<i64>,
    /// Then grow the submissions alone to so many rows, and measure the first tenant's page of all stores: `10000000`.
    #[arg(long)]
    overview: Option<i64>,
    /// A file for the figures as JSON, with what is demanded of them.
    #[arg(long)]
    figures: Option<PathBuf>,
}

/// A store with the batches that it will send.
struct Sender {
    shop: Shop,
    dice: Dice,
    secret: String,
    batches: Vec<Vec<u8>>,
}

impl Sender {
    /// The next events of its life, packed beforehand, so that the measurement is head office's.
    fn prepare(&mut self, events: u32, batch: usize) -> anyhow::Result<()> {
        let until = self.shop.lines.len() + usize::try_from(events)?;
        while self.shop.lines.len() < until {
            self.shop.live(&mut self.dice);
        }
        self.shop.lines.truncate(until);
        while self.shop.acked < self.shop.last_seq() {
            let text = self.shop.batch(batch);
            self.batches
                .push(zstd::bulk::compress(text.as_bytes(), LEVEL)?);
            let sent = self.shop.after(self.shop.acked, batch);
            let hash = sent
                .iter()
                .fold(self.shop.hash, |hash, line| hash.then(line.text.as_bytes()));
            let last = sent.last().map(|line| line.seq);
            (self.shop.acked, self.shop.hash) = (last.context("a batch is empty")?, hash);
        }
        // What was sent is needed no more.
        self.shop.lines.drain(..self.shop.lines.len() - 1);
        self.shop.receipts.clear();
        Ok(())
    }

    async fn send(&mut self, http: &reqwest::Client, url: &str) -> anyhow::Result<u64> {
        let mut taken = 0;
        for batch in std::mem::take(&mut self.batches) {
            let request = http
                .post(url)
                .bearer_auth(&self.secret)
                .header("content-encoding", "zstd")
                .body(batch);
            let answer = request.send().await?;
            let status = answer.status();
            let body = answer.bytes().await?;
            ensure!(
                status.is_success(),
                "{status}: {}",
                String::from_utf8_lossy(&body)
            );
            let down: Down = serde_json::from_slice(&body)?;
            ensure!(down.taken > 0, "a batch was not taken");
            taken += u64::from(down.taken);
        }
        Ok(taken)
    }
}

/// What a round took.
struct Round {
    events: u64,
    took: Duration,
}

impl Round {
    fn per_second(&self) -> u64 {
        self.events * 1_000_000 / u64::try_from(self.took.as_micros().max(1)).unwrap_or(u64::MAX)
    }

    fn nanos_each(&self) -> u64 {
        u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX) / self.events.max(1)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = runtime
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(Box::pin(measure(&args))));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hq-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let hq = head_office(args).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let running = serve::start(Arc::clone(&hq), listener)?;
    let base = format!("http://{}", running.address);
    let http = reqwest::Client::builder().no_proxy().build()?;
    eprintln!("{} stores join", args.stores);
    let (mut senders, tenant) = join(args, &hq, &http, &base).await?;
    // A store's first exchange makes its tills, which stores of one tenant do one after the other.
    let joining = round(args, FIRST, &http, &base, &mut senders).await?;
    let first = round(args, args.events, &http, &base, &mut senders).await?;
    let copied = copying::measure(&args.postgres, "hq_load", "hq_load_copy").await?;
    let mut figures = print(args, [&joining, &first], &copied);
    let mut cheapest = u64::MAX;
    for rows in &args.grow {
        eprintln!("growing to {rows} rows");
        let rows = copying::grow(&args.postgres, "hq_load", *rows).await?;
        let grown = round(args, args.events, &http, &base, &mut senders).await?;
        let nanos = grown.nanos_each();
        println!(
            "at {rows:>10} rows          {:>8} events/s   {:>5}.{:01} us each",
            grown.per_second(),
            nanos / 1_000,
            nanos % 1_000 / 100
        );
        let rows = u64::try_from(rows)?;
        figures.grown(rows, grown.per_second());
        figures.at_most(
            &format!("percent_of_cheapest_at_{rows}"),
            nanos
                .saturating_mul(100)
                .div_ceil(cheapest.min(nanos).max(1)),
            100 + DEARER,
            format!("an event is more than {DEARER} % dearer at {rows} rows"),
        );
        cheapest = cheapest.min(nanos);
    }
    if let Some(rows) = args.overview {
        eprintln!("growing the submissions to {rows} rows");
        let rows = copying::grow_logs(&args.postgres, "hq_load", rows).await?;
        let seen = overview::measure(&hq, tenant, &http, &base).await?;
        println!(
            "overview                   {:>10} ms         at {rows} submissions, {} stores; slowest {} ms",
            seen.median.as_millis(),
            args.stores / args.tenants.max(1),
            seen.slowest.as_millis()
        );
        let millis = OVERVIEW.as_millis();
        figures.at_most(
            "overview_ms",
            u64::try_from(seen.median.as_micros().div_ceil(1000))?,
            u64::try_from(millis)?,
            format!("the page of all stores takes longer than {millis} ms"),
        );
    }
    running.stop().await;
    figures.end(args.figures.as_deref())
}

/// What was measured, and what is demanded of it.
fn print(args: &Args, [joining, first]: [&Round; 2], copied: &copying::Copied) -> Figures {
    let (events, took) = (first.per_second(), first.took.as_millis());
    let copy = copied.rows * 1_000_000 / u64::try_from(copied.took.as_micros().max(1)).unwrap_or(1);
    let ratio = events * 100 / copy.max(1);
    println!("stores                     {:>10}", args.stores);
    println!("lines of a batch           {:>10}", args.batch);
    println!("receipts                   {:>10}", copied.receipts);
    println!("attempts                   {:>10}", copied.attempts);
    println!("other events               {:>10}", copied.events);
    println!(
        "bytes of a row, on average {:>10}",
        copied.bytes / copied.rows.max(1)
    );
    println!(
        "first exchanges            {:>10} ms         ({FIRST} events each)",
        joining.took.as_millis()
    );
    println!("head office                {events:>10} events/s   in {took} ms");
    println!(
        "COPY of the same rows      {copy:>10} rows/s     in {} ms",
        copied.took.as_millis()
    );
    println!(
        "ratio                      {:>7}.{:02}",
        ratio / 100,
        ratio % 100
    );
    let mut figures = Figures::default();
    figures.set("stores", args.stores.into());
    figures.set("events", first.events);
    figures.set("copy_rows_per_s", copy);
    figures.grown(copied.rows, events);
    figures.at_least(
        "events_per_s",
        events,
        EVENTS_A_SECOND,
        format!("fewer than {EVENTS_A_SECOND} events a second"),
    );
    figures.at_least(
        "percent_of_copy",
        ratio,
        OF_COPY,
        format!("less than {OF_COPY} % of what COPY takes"),
    );
    figures
}

/// All stores send what they have prepared.
async fn round(
    args: &Args,
    events: u32,
    http: &reqwest::Client,
    base: &str,
    senders: &mut Vec<Sender>,
) -> anyhow::Result<Round> {
    eprintln!("{events} events of each store are made");
    let batch = args.batch;
    let (made, failed): (Vec<_>, Vec<_>) = futures_util::stream::iter(std::mem::take(senders))
        .map(|mut sender| {
            tokio::task::spawn_blocking(move || sender.prepare(events, batch).map(|()| sender))
        })
        .buffered(2)
        .map(|made| made.map_err(anyhow::Error::from).flatten())
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .partition(Result::is_ok);
    if let Some(Err(error)) = failed.into_iter().next() {
        return Err(error);
    }
    eprintln!("they are sent");
    let url = format!("{base}{}", sync_wire::exchange::PATH);
    let url = url.as_str();
    let began = SystemClock.boot();
    let sent: Vec<anyhow::Result<(Sender, u64)>> =
        futures_util::stream::iter(made.into_iter().flatten())
            .map(|mut sender| async move {
                let taken = sender.send(http, url).await?;
                Ok((sender, taken))
            })
            .buffer_unordered(args.at_once)
            .collect()
            .await;
    let took = SystemClock.boot().saturating_sub(began);
    let mut events = 0;
    for sent in sent {
        let (sender, taken) = sent?;
        events += taken;
        senders.push(sender);
    }
    Ok(Round { events, took })
}

/// The service over an empty, migrated database.
async fn head_office(args: &Args) -> anyhow::Result<Arc<Hq>> {
    copying::database(&args.postgres, "hq_load").await?;
    let address = Address::parse(&copying::url(&args.postgres, "hq_load", APP_ROLE)?)?;
    let limits = Limits {
        connections: args.connections,
        wait: Duration::from_secs(60),
        ..Limits::default()
    };
    Ok(Arc::new(Hq {
        db: address.pool(limits)?,
        clock: Arc::new(SystemClock),
        ceiling: sync_wire::Environment::Test,
        keys: MasterKeys::parse(MASTER_KEY, None)?,
        worker_secret: None,
        secure_cookies: false,
        public_url: String::new(),
        outbound: fiscal_hq::outbound::Outbound::default(),
    }))
}

/// When the simulated stores' events are: partitions are made for then.
fn then() -> anyhow::Result<Timestamp> {
    Ok("2026-05-28T06:00:00Z".parse()?)
}

async fn join(
    args: &Args,
    hq: &Hq,
    http: &reqwest::Client,
    base: &str,
) -> anyhow::Result<(Vec<Sender>, TenantId)> {
    let mut senders = Vec::new();
    let of_a_tenant = args.stores.div_ceil(args.tenants.max(1)).max(1);
    let (mut tenant, mut first) = (TenantId::OPERATOR, None);
    for number in 0..args.stores {
        if number % of_a_tenant == 0 {
            tenant = tenants::create(&hq.db, &format!("Tenant {number}"), "load", hq.now()).await?;
            first.get_or_insert(tenant);
        }
        let mut dice = Dice::new(u64::from(number) + 1);
        senders.push(Sender {
            shop: Shop::new(number + 1, &mut dice),
            dice,
            secret: one(hq, http, base, tenant, number).await?,
            batches: Vec::new(),
        });
    }
    Ok((senders, first.context("there is no store")?))
}

async fn one(
    hq: &Hq,
    http: &reqwest::Client,
    base: &str,
    tenant: TenantId,
    number: u32,
) -> anyhow::Result<String> {
    let store = Uuid::new_v4();
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let insert = tx
        .prepare_cached(
            "INSERT INTO stores (tenant_id, store_id, name, created_at) VALUES ($1, $2, $3, $4)",
        )
        .await?;
    let name = format!("Store {number}");
    tx.execute(&insert, &[&tenant.0, &store, &name, &hq.now()])
        .await?;
    let code = enrol::new_code(&tx, tenant, store, "load", hq.now()).await;
    let code = code.map_err(|problem| anyhow::anyhow!(problem.detail))?;
    tx.commit().await?;
    drop(client);
    let enrol = Enrol {
        protocol: sync_wire::VERSION,
        code: code.expose_secret().to_owned(),
        seal_key: SealKey::new()?.1,
        version: "0.1.0".to_owned(),
        tills: Vec::new(),
    };
    let answer = http
        .post(format!("{base}/sync/enrol"))
        .json(&enrol)
        .send()
        .await?;
    let joined: Enrolled = answer.error_for_status()?.json().await?;
    Ok(joined.secret)
}

/// Migrates as the owner, who is no superuser.
async fn migrated(url: &str) -> anyhow::Result<()> {
    let mut owner = Address::parse(url)?.connect().await?;
    migrate::migrate(&mut owner, then()?).await?;
    Ok(())
}
