//! `fiscald bench print`: how soon a sale reaches the printer, and how soon a paper of an old POS does.
//!
//! FDMS is away. The printer is a socket that answers as a healthy one does, at once. Measured is the time from the
//! request of a sale over the API, and from the last byte of a captured paper (its cut), to the first byte of the job
//! at the printer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use clock::{Clock as _, SystemClock};
use serde::Serialize;

use super::machine;
use super::report::{Demand, Report};
use super::store::BenchStore;
use super::{progress, quantile};
use crate::api::Devices;
use crate::config::Config;
use crate::pos::PosPorts;
use crate::print::Printers;

/// How long anything may take before the measurement is called a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Options of `fiscald bench print`.
#[derive(Debug, Clone, Args)]
pub(super) struct PrintArgs {
    /// Sales over the API, and as many captured papers.
    #[arg(long, default_value_t = 500)]
    receipts: u32,
}

/// What was measured, in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Printed {
    receipts: u32,
    api_p50_ms: f64,
    api_p99_ms: f64,
    api_max_ms: f64,
    captured_p50_ms: f64,
    captured_p99_ms: f64,
    captured_max_ms: f64,
    /// One append with fdatasync: a sale's way to the printer has some of them one after the other.
    append_ms: f64,
}

pub(super) async fn run(args: &PrintArgs, dir: &Path) -> anyhow::Result<Printed> {
    let append_ms = append_ms(dir)?;
    let (sink, first_bytes) = Sink::start()?;
    let pos_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = Config::parse(
        dir,
        &format!(
            "[[printers]]\nname = \"front\"\nlink = \"tcp:{sink}\"\nprofile = \"generic-80\"\n\
             [[pos]]\nname = \"old\"\nkind = \"printer\"\nlisten = \"tcp:{pos_port}\"\ndevice_id = 1\nenvironment = \"test\"\n\
             printer = \"front\"\ntemplates = [\"one-line\"]\nhs_code = \"19059090\"\n"
        ),
    )?;
    let devices = Devices {
        printers: Printers::new(config.print_plan().map_err(anyhow::Error::msg)?),
        pos: PosPorts::new(config.pos().map_err(anyhow::Error::msg)?),
    };
    let store = BenchStore::with_devices(dir, 1, devices).await?;
    let measured = measure(args, &store, pos_port, &first_bytes).await;
    let (sold, mut api, mut captured) = measured.with_context(|| jobs(dir))?;
    store.finish(&sold).await?;
    Ok(Printed {
        receipts: args.receipts,
        api_p50_ms: quantile(&mut api, 0.5),
        api_p99_ms: quantile(&mut api, 0.99),
        api_max_ms: quantile(&mut api, 1.0),
        captured_p50_ms: quantile(&mut captured, 0.5),
        captured_p99_ms: quantile(&mut captured, 0.99),
        captured_max_ms: quantile(&mut captured, 1.0),
        append_ms,
    })
}

/// The sales, and the times of both kinds in milliseconds.
type Measured = (super::load::Sold, Vec<f64>, Vec<f64>);

async fn measure(
    args: &PrintArgs,
    store: &BenchStore,
    pos_port: SocketAddr,
    first_bytes: &Receiver<Duration>,
) -> anyhow::Result<Measured> {
    let bar = progress(args.receipts.saturating_mul(2), "receipt");
    let mut sold = super::load::Sold::default();
    let mut till = store.tills.connection(0).await?;
    let mut api = Vec::new();
    for _ in 0..args.receipts {
        let begin = SystemClock.boot();
        ensure!(till.ask().await?, "a sale was refused");
        sold.done += 1;
        api.push(since(begin, first_bytes)?);
        bar.inc(1);
    }
    let mut captured = Vec::new();
    for number in 0..args.receipts {
        // Everything else here blocks; an interruption is heard now.
        tokio::task::yield_now().await;
        let paper = paper(number);
        let mut stream = connect(pos_port)?;
        stream.write_all(&paper)?;
        let begin = SystemClock.boot();
        captured.push(since(begin, first_bytes)?);
        sold.done += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((sold, api, captured))
}

/// What the last print jobs of the ledger say, for somebody who looks for a paper.
fn jobs(dir: &Path) -> String {
    let read = || -> rusqlite::Result<Vec<String>> {
        let conn = rusqlite::Connection::open(dir.join("ledger.db"))?;
        let mut select = conn.prepare(
            "SELECT job_id || ' ' || kind || ' ' || coalesce(heading, '') || ' ' || state || ' ' || coalesce(detail, '')
               || ' ' || created_at || ' ' || changed_at
             FROM print_job ORDER BY job_id DESC LIMIT 5",
        )?;
        let rows = select.query_map([], |row| row.get(0))?;
        rows.collect()
    };
    match read() {
        Ok(rows) => format!("the last print jobs: {}", rows.join("; ")),
        Err(error) => format!("the print jobs cannot be read: {error}"),
    }
}

#[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
fn append_ms(dir: &Path) -> anyhow::Result<f64> {
    Ok(1e3 / machine::appends_per_second(dir, 16 * 1024, Duration::from_millis(500))?)
}

/// Milliseconds from a moment to the first byte of the next job.
#[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
fn since(begin: Duration, first_bytes: &Receiver<Duration>) -> anyhow::Result<f64> {
    let at = first_bytes
        .recv_timeout(PATIENCE)
        .context("nothing has reached the printer")?;
    Ok(at.saturating_sub(begin).as_secs_f64() * 1e3)
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let begin = SystemClock.boot();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) if SystemClock.boot().saturating_sub(begin) > PATIENCE => {
                return Err(error).context("the port for the old POS is not open");
            }
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn paper(number: u32) -> Vec<u8> {
    let text = format!(
        "TAX INVOICE\nReceipt No: B-{number}\nDate: 28/05/2026 07:10\nTill: 1 Cashier: Rudo\n\
         DESCRIPTION             QTY   PRICE     TOTAL\n\
         Bread                  2 x    1.20      2.40 A\n\
         TOTAL USD                              2.40\n\
         CASH                                   2.40\n"
    );
    [b"\x1b@".as_slice(), text.as_bytes(), b"\n\x1dVB\x03"].concat()
}

/// A printer that is always healthy: it tells when the first byte of each job has come.
pub(super) struct Sink {
    jobs: Sender<Duration>,
    in_job: bool,
    last: [u8; 2],
}

impl Sink {
    /// Its address, and the moment of each job's first byte.
    pub(super) fn start() -> anyhow::Result<(SocketAddr, Receiver<Duration>)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (jobs, first_bytes) = channel();
        std::thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    let mut sink = Self {
                        jobs: jobs.clone(),
                        in_job: false,
                        last: [0; 2],
                    };
                    // The gateway has hung up: the next one may connect.
                    let _ = sink.serve(stream);
                }
            })?;
        Ok((address, first_bytes))
    }

    fn serve(&mut self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer)?;
            let now = SystemClock.boot();
            if count == 0 {
                return Ok(());
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            let mut replies = Vec::new();
            for byte in bytes {
                self.byte(*byte, now, &mut replies);
            }
            stream.write_all(&replies)?;
        }
    }

    /// DLE EOT n is answered; anything else is of a job, which ends with its cut.
    fn byte(&mut self, byte: u8, now: Duration, replies: &mut Vec<u8>) {
        let [before, previous] = self.last;
        self.last = [previous, byte];
        match (before, previous, byte) {
            (0x10, 0x04, _) => {
                replies.push(0x12);
                self.last = [0, 0];
            }
            (_, _, 0x10) | (_, 0x10, 0x04) => {}
            (_, 0x1d, b'V') => self.in_job = false,
            _ if !self.in_job && self.last != [0, 0] && previous != b'V' && before != b'V' => {
                self.in_job = true;
                // The measurement is over when nobody listens.
                let _ = self.jobs.send(now);
            }
            _ => {}
        }
    }
}

impl Report for Printed {
    const COMMAND: &'static str = "bench print";

    fn print(&self) {
        println!(
            "{} receipts each, FDMS away; milliseconds to the first byte at the printer",
            self.receipts
        );
        println!("{:<44} {:>8} {:>8} {:>8}", "", "median", "99th", "longest");
        let row = |name: &str, values: [f64; 3]| {
            let [p50, p99, max] = values;
            println!("{name:<44} {p50:>8.1} {p99:>8.1} {max:>8.1}");
        };
        row(
            "sale over the API, from its request",
            [self.api_p50_ms, self.api_p99_ms, self.api_max_ms],
        );
        row(
            "paper of an old POS, from its cut",
            [
                self.captured_p50_ms,
                self.captured_p99_ms,
                self.captured_max_ms,
            ],
        );
        println!(
            "one append of 16 KiB with fdatasync: {:.2} ms",
            self.append_ms
        );
    }

    /// Nobody at a counter notices a quarter of a second.
    fn demands(&self) -> Vec<Demand> {
        vec![
            Demand::at_most("api_p99_ms", self.api_p99_ms, 250.0),
            Demand::at_most("captured_p99_ms", self.captured_p99_ms, 250.0),
        ]
    }
}
