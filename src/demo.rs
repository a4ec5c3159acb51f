//! `fiscald demo`: the whole way of a sale in one process and a temporary folder.
//!
//! A sandbox of FDMS, a till that registers with it, and the gateway, driven over HTTP as a POS drives it.
//! The internet goes away and comes back, the day closes, and everything is verified. Any surprise is exit
//! code 1. With `--serve` it stays up, on the machine's own clock, for a developer with curl; with `--hq` it is
//! several stores of a head office.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use clock::{Clock as _, SharedClock, SystemClock, TestClock};
use fdms_sandbox::{DeviceSpec, RunningSandbox, Sandbox};
use fiscal::DeviceId;
use hyper::Method;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vprinter::{LinkSetup, PrinterSetup, VirtualPrinter};

use crate::config::Config;
use crate::daemon::{ConfiguredConnector, Daemon, DaemonError, Listeners, api_settings};
use crate::join::{Registration, register};
use crate::keys::KeyKind;
use crate::ledger::tills::{NewTill, new_token};
use crate::ledger::verify::verify;
use crate::ledger::{Environment, Ledger, TillId};
use crate::pos::PosPorts;
use crate::print::Printers;
use crate::submit::Access;

mod chain;
mod pos;
mod sales;

use pos::Pos;

/// The till's number at the sandbox.
const DEVICE: u32 = 42;
/// What a developer may type first.
const EXAMPLE: &str = r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"T1-000124","receiptLinesTaxInclusive":true,"receiptLines":[{"receiptLineType":"Sale","receiptLineName":"Bread","receiptLineHSCode":"19059090","receiptLinePrice":1.20,"receiptLineQuantity":2,"taxID":517}],"receiptPayments":[{"moneyTypeCode":"Cash","paymentAmount":2.40}]}"#;
/// How long the demonstration waits for anything before it calls it a surprise.
const PATIENCE: Duration = Duration::from_secs(30);

/// Options of `fiscald demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Stay up for curl, and say what to type.
    #[arg(long)]
    serve: bool,
    /// With --serve: listen on this loopback port.
    #[arg(long, default_value_t = 8487)]
    port: u16,
    /// Join head office at this address with a store for each code on standard input, and sell there until Ctrl-C.
    #[arg(long, value_name = "URL", conflicts_with = "serve")]
    hq: Option<String>,
    /// The certificate authority of head office's certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "hq")]
    hq_ca: Option<PathBuf>,
}

/// Runs the demonstration.
///
/// # Errors
/// Any surprise.
pub fn main(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let dir = std::env::temp_dir().join(format!("fiscald-demo-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        match &args.hq {
            Some(url) => chain::serve(&dir, url, args.hq_ca.as_deref()).await,
            None if args.serve => serve(dir.clone(), args.port).await,
            None => show(dir.clone()).await,
        }
    });
    let removed = std::fs::remove_dir_all(&dir);
    result?;
    removed?;
    Ok(ExitCode::SUCCESS)
}

/// The store of the demonstration: sandbox, gateway, one till.
struct DemoStore {
    dir: PathBuf,
    sandbox: RunningSandbox,
    ledger: Ledger,
    till: TillId,
    token: String,
    address: SocketAddr,
    lines_port: u16,
    stop: CancellationToken,
    daemon: JoinHandle<Result<(), DaemonError>>,
    printer: VirtualPrinter,
    devices: String,
}

/// The demonstration's device as the sandbox knows it.
fn device() -> DeviceSpec {
    DeviceSpec {
        tax_payer_name: "Mbare Superette (Pvt) Ltd".to_owned(),
        branch_name: "Mbare Superette".to_owned(),
        ..DeviceSpec::new(DEVICE)
    }
}

impl DemoStore {
    async fn start(dir: PathBuf, clock: SharedClock, port: u16) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let device = device();
        let sandbox = Sandbox::builder()
            .clock(Arc::clone(&clock))
            .device(device.clone())
            .start(TcpListener::bind("127.0.0.1:0").await?, None, stop.clone())
            .await?;
        let ca = dir.join("ca.pem");
        std::fs::write(&ca, sandbox.ca_pem())?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let printer = VirtualPrinter::tcp(PrinterSetup::epson_80(), LinkSetup::default(), any)?;
        // Free now, and the gateway's in a moment.
        let pos_port = TcpListener::bind(any).await?.local_addr()?;
        let devices = devices(&printer, pos_port);
        let mut config = Config::parse(&dir, &devices)?;
        config.store.data_dir = Some(dir.clone());
        config.fdms.test_url = sandbox.url();
        config.fdms.extra_ca = Some(ca);

        let set_up = crate::join::set_up(&config, Arc::clone(&clock))?;
        let ledger = Ledger::start(set_up.core, &config.ledger_path())?;
        let access = Access::from_config(&config.fdms, clock).map_err(anyhow::Error::msg)?;
        let registration = Registration {
            till: NewTill {
                environment: Environment::Test,
                device_id: DeviceId::new(DEVICE).context("the till's number")?,
                serial_no: device.serial_no.clone(),
                model_name: "fiscald".to_owned(),
                model_version: "1".to_owned(),
                invoice_prefix: String::new(),
            },
            activation_key: &device.activation_key,
            kind: KeyKind::EcP256,
            again: false,
            actor: "demo",
        };
        let till = register(&ledger, &access, &registration).await?.till;
        let token = new_token()?;
        let kept = token.clone();
        ledger
            .write(move |core| core.add_token("demo", Some(till), &kept, "demo"))
            .await?;

        let http = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("port {port} is taken; choose another one with --port"))?;
        let address = http.local_addr()?;
        let lines = TcpListener::bind("127.0.0.1:0").await?;
        let lines_port = lines.local_addr()?.port();
        let daemon = Daemon {
            backups: crate::backup::Backups::default(),
            devices: opened(&config)?,
            ledger: ledger.clone(),
            api: api_settings(&config)?,
            listeners: Some(Listeners {
                unix: Some(UnixListener::bind(config.socket_path())?),
                lines: Some(lines),
                ..Listeners::http_only(http)
            }),
            connector: Some(Arc::new(ConfiguredConnector::new(&config, &ledger))),
            submitter: crate::submit::Submitter::default(),
            hq: None,
            ledger_path: Some(config.ledger_path()),
            stop: stop.clone(),
        };
        Ok(Self {
            dir,
            sandbox,
            ledger,
            till,
            token,
            address,
            lines_port,
            stop,
            daemon: tokio::spawn(daemon.run()),
            printer,
            devices,
        })
    }

    async fn finish(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.daemon.await??;
        self.sandbox.stopped().await;
        Ok(())
    }
}

/// The devices of a configuration.
fn opened(config: &Config) -> anyhow::Result<crate::api::Devices> {
    Ok(crate::api::Devices {
        printers: Printers::new(config.print_plan().map_err(anyhow::Error::msg)?),
        pos: PosPorts::new(config.pos().map_err(anyhow::Error::msg)?),
    })
}

/// A printer made of software, and a port where old POS software finds it.
fn devices(printer: &VirtualPrinter, pos_port: SocketAddr) -> String {
    format!(
        "[[printers]]\nname = \"front\"\nlink = \"tcp:{}\"\nprofile = \"epson-tm-t20\"\ndrawer = true\n\
         [[pos]]\nname = \"old-till\"\nkind = \"printer\"\nlisten = \"tcp:{pos_port}\"\ndevice_id = {DEVICE}\n\
         environment = \"test\"\nprinter = \"front\"\ntemplates = [\"slips\", \"one-line\"]\nhs_code = \"19059090\"\n",
        printer.name()
    )
}

/// Writes each sheet that comes out of the software printer as a picture, until the program ends.
async fn keep_sheets(store: &DemoStore, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut count = 0;
    loop {
        let sheets = store.printer.sheets();
        for (place, sheet) in sheets.iter().enumerate().skip(count) {
            std::fs::write(
                folder.join(format!("{:04}.png", place + 1)),
                sheet.to_png()?,
            )?;
        }
        count = sheets.len();
        SystemClock.sleep(Duration::from_millis(200)).await;
    }
}

/// Shows everything once, on a test clock.
async fn show(dir: PathBuf) -> anyhow::Result<()> {
    let clock = TestClock::new(SystemClock.wall());
    let shared: SharedClock = clock.clone();
    heading("FDMS (a sandbox) and the gateway start; a till registers");
    let store = DemoStore::start(dir, shared, 0).await?;
    println!(
        "till {DEVICE} is registered; API on http://{}",
        store.address
    );
    let mut pos = Pos::connect(store.address, store.token.clone()).await?;

    for sale in sales::online() {
        heading(sale.title);
        sell(&mut pos, sale.json).await?;
    }
    drain(&store, &clock).await?;
    println!("\nFDMS has taken everything so far.");

    heading("The internet goes away");
    store.sandbox.set_offline(true);
    for number in 7..=9 {
        let sale = sales::offline(number);
        println!("{}", sale.title);
        sell(&mut pos, sale.json).await?;
    }
    let waiting = backlog(&store).await?;
    ensure!(waiting > 0, "sales reached FDMS although it is offline");
    println!("{waiting} receipts wait for FDMS; selling never stopped.");

    heading("The internet comes back");
    store.sandbox.set_offline(false);
    drain(&store, &clock).await?;
    println!("The queue has drained, in order.");

    heading("The day closes");
    pos.ask(Method::POST, "/v1/days/close", String::new())
        .await?;
    drain(&store, &clock).await?;
    println!(
        "{}",
        pos.ask(Method::GET, "/v1/days/1/z?format=text", String::new())
            .await?
    );
    finish_show(store).await
}

/// Compares what FDMS holds with the ledger, and verifies the ledger.
async fn finish_show(store: DemoStore) -> anyhow::Result<()> {
    let receipts = store.sandbox.receipts(DEVICE);
    let marked = receipts
        .iter()
        .filter(|receipt| receipt.is_grey || !receipt.validation_errors.is_empty())
        .count();
    let days = store.sandbox.days(DEVICE);
    let closed = days
        .iter()
        .filter(|day| day.status == fdms_sandbox::DayStatus::FiscalDayClosed)
        .count();
    let path = store.dir.join("ledger.db");
    let (held, all_days) = (receipts.len(), days.len());
    store.finish().await?;
    let verified = tokio::task::spawn_blocking(move || verify(&path, &mut |_, _| {})).await??;
    ensure!(marked == 0, "FDMS has marked {marked} receipts");
    ensure!(
        closed == all_days,
        "FDMS has closed {closed} of {all_days} days"
    );
    ensure!(
        held as u64 == verified.receipts,
        "FDMS holds {held} receipts, the ledger {}",
        verified.receipts
    );
    println!(
        "{} receipts, {} fiscal day, all at FDMS without a remark; the ledger verifies; 0 errors",
        verified.receipts, verified.days
    );
    Ok(())
}

/// Sells, and shows the receipt as a shop would see it.
async fn sell(pos: &mut Pos, json: String) -> anyhow::Result<()> {
    let answer = pos.json(Method::POST, "/v1/receipts", json).await?;
    let number = &answer["receiptGlobalNo"];
    let path = format!("/v1/receipts/{number}/text");
    println!("{}", pos.ask(Method::GET, &path, String::new()).await?);
    let content = answer["qrData"]
        .as_str()
        .context("the answer has no qrData")?;
    let code = qrcode::QrCode::new(content)?;
    let picture = code
        .render::<qrcode::render::unicode::Dense1x2>()
        .quiet_zone(true)
        .build();
    println!("{picture}");
    Ok(())
}

async fn backlog(store: &DemoStore) -> anyhow::Result<u32> {
    let till = store.till;
    let backlog = store.ledger.ask(move |reader| reader.backlog(till)).await?;
    Ok(backlog.total())
}

/// Lets simulated time pass until FDMS has taken everything.
async fn drain(store: &DemoStore, clock: &TestClock) -> anyhow::Result<()> {
    let start = SystemClock.boot();
    while backlog(store).await? > 0 {
        clock.advance(Duration::from_secs(1));
        if SystemClock.boot().saturating_sub(start) > PATIENCE {
            let till = store.till;
            let (state, item) = store.ledger.ask(move |reader| reader.stream(till)).await?;
            bail!("the queue does not drain: {state:?}, at {item:?}");
        }
        SystemClock.sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Stays up for a developer with curl.
async fn serve(dir: PathBuf, port: u16) -> anyhow::Result<()> {
    let store = DemoStore::start(dir, Arc::new(SystemClock), port).await?;
    let (address, token) = (store.address, &store.token);
    let (config, sheets) = (write_config(&store)?, store.dir.join("sheets"));
    println!(
        "The gateway is up, with a sandbox of FDMS behind it. Read and try the API: http://{address}/docs\n\
         The operator's page: http://{address}/operator (set its PIN with `fiscald pin set`)\n\n\
         In another terminal:\n\n\
         export GATEWAY=http://{address}\n\
         export TOKEN={token}\n\
         export LINES_PORT={}\n\
         export FISCALD_CONFIG={}\n\
         export SHEETS={}\n\n\
         curl -sS \"$GATEWAY/v1/receipts\" -H \"Authorization: Bearer $TOKEN\" \\\n  \
         -H 'Content-Type: application/json' -d '{EXAMPLE}'\n\n\
         What is printed lies in $SHEETS as pictures. End it with Ctrl-C.",
        store.lines_port,
        config.display(),
        sheets.display()
    );
    tokio::select! {
        kept = keep_sheets(&store, &sheets) => kept?,
        signal = crate::daemon::stop_signal() => signal?,
    }
    store.finish().await
}

fn heading(text: &str) {
    println!("\n=== {text} ===\n");
}

/// A configuration with which the command line finds this store.
fn write_config(store: &DemoStore) -> anyhow::Result<PathBuf> {
    let path = store.dir.join("fiscald.toml");
    let text = format!(
        "[store]\ndata_dir = {:?}\n[api]\nlisten = \"{}\"\n[fdms]\ntest_url = \"{}\"\nextra_ca = {:?}\n{}",
        store.dir,
        store.address,
        store.sandbox.url(),
        store.dir.join("ca.pem"),
        store.devices
    );
    std::fs::write(&path, text)?;
    Ok(path)
}
