//! The command line: one program for the daemon and for the technician.
//!
//! Commands about a running store go through the daemon's Unix socket, as any POS does; those that set a
//! store up (`register`, `token`) write to the ledger themselves, also beside a running daemon. Secrets
//! never stand on the command line: they are asked for, or read from a file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::config::Config;
use owner::Needs;

mod archive;
mod backup;
mod capture;
mod client;
mod doctor;
mod export;
mod hq;
mod inspect;
mod owner;
mod pin;
mod port;
mod printer;
mod reload;
mod run;
mod setup;
mod store;
mod terminal;
mod till;
mod token;
mod upkeep;
mod verify;

/// Exit code of a configuration that cannot be used (`EX_CONFIG` of sysexits).
const EX_CONFIG: u8 = 78;

/// Point-of-sale fiscal gateway: signs, keeps and reports every sale to FDMS.
#[derive(Debug, Parser)]
#[command(name = "fiscald", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file; without it /etc/fiscald/fiscald.toml, and without that the defaults hold.
    #[arg(long, global = true, value_name = "FILE", env = "FISCALD_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Run(RunArgs),
    /// Check the configuration and say what it comes to.
    CheckConfig,
    /// Register a till at FDMS and set this store up; what is not given is asked for.
    Register(RegisterArgs),
    /// Make, list and revoke tokens of tills.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// List the tills; adopt, confirm, switch and retire them; configuration and certificate.
    #[command(subcommand)]
    Till(TillCommand),
    /// Open, close and report fiscal days of the running store.
    #[command(subcommand)]
    Day(DayCommand),
    /// Show, list and post receipts of the running store.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Show what waits for FDMS, and let a parked queue try again.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Join head office, show how the store gets on with it, leave it.
    #[command(subcommand)]
    Hq(hq::HqCommand),
    /// Make, list and check backups of the ledger.
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Put a backup back, here or on another machine; no till sells before FDMS was asked.
    Restore(backup::RestoreArgs),
    /// The recovery passphrase: test it, make a new one.
    #[command(subcommand)]
    Recovery(backup::RecoveryCommand),
    /// Look at everything that the store rests on, and say what is wrong and what to do; changes nothing.
    Doctor(doctor::DoctorArgs),
    /// Write fiscal days for auditors, verifiable without this software (docs/AUDIT.md).
    Export(export::ExportArgs),
    /// Move old years out of the ledger into verified, read-only files beside it.
    Archive(archive::ArchiveArgs),
    /// Compute everything in a ledger again and name the first thing that is wrong.
    Verify(verify::VerifyArgs),
    /// Bring the ledger of a gateway that does not run to this version, a copy of it first. `run` does so too.
    Migrate,
    /// Say what FDMS has not been told yet, also of a gateway that does not run; exit code 3 if there is anything, 4 if
    /// there is no ledger.
    Unsent,
    /// Compute what FDMS computes of a receipt, a day or a QR code (JSON in, JSON out).
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// Printers: list, test, print again, say what became of a paper.
    #[command(subcommand)]
    Printer(printer::PrinterCommand),
    /// Old POS software at our ports: what it printed, the templates that read it, what could not be sold.
    #[command(subcommand)]
    Capture(capture::CaptureCommand),
    /// Serial and USB ports: list them, and find out what answers.
    #[command(subcommand)]
    Port(port::PortCommand),
    /// The PIN of the operator's page: without one nothing can be changed there.
    #[command(subcommand)]
    Pin(pin::PinCommand),
    /// Write manual pages and shell completions into a folder.
    #[command(hide = true)]
    Manual {
        /// The folder.
        folder: PathBuf,
    },
    /// Measure this machine and the gateway on it.
    #[cfg(feature = "demo")]
    Bench(crate::bench::BenchArgs),
    /// Show the whole way of a sale in one process, against a sandbox of FDMS.
    #[cfg(feature = "demo")]
    Demo(crate::demo::DemoArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Read the time from this socket instead of the machine's clock.
    #[cfg(feature = "test-clock")]
    #[arg(long, value_name = "SOCKET", hide = true)]
    test_clock: Option<PathBuf>,
}

/// An environment of FDMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EnvironmentArg {
    /// The authority's test server.
    Test,
    /// The real one.
    Production,
}

impl From<EnvironmentArg> for crate::ledger::Environment {
    fn from(value: EnvironmentArg) -> Self {
        match value {
            EnvironmentArg::Test => Self::Test,
            EnvironmentArg::Production => Self::Production,
        }
    }
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// Which FDMS. A till keeps its environment for life.
    #[arg(long, value_enum)]
    environment: Option<EnvironmentArg>,
    /// Device ID that the authority gave.
    #[arg(long)]
    device_id: Option<u32>,
    /// Serial number of the device, as the authority has it.
    #[arg(long)]
    serial_no: Option<String>,
    /// File with the activation key; without it the key is asked for.
    #[arg(long, value_name = "FILE")]
    activation_key_file: Option<PathBuf>,
    /// `DeviceModelName` as registered with the authority.
    #[arg(long, default_value = "fiscald")]
    model_name: String,
    /// `DeviceModelVersion` as registered with the authority.
    #[arg(long, default_value = "1")]
    model_version: String,
    /// Put in front of every invoiceNo, so that it is unique in the whole taxpayer.
    #[arg(long, default_value = "")]
    invoice_prefix: String,
    /// Kind of key.
    #[arg(long, default_value = "ec-p256", value_parser = ["ec-p256", "rsa-2048"])]
    key_kind: String,
    /// Do not ask whether the taxpayer shown is the right one.
    #[arg(long)]
    yes: bool,
    /// Take the till in with a certificate that was issued already (PEM), and --key; nothing is registered.
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "pkcs12")]
    certificate: Option<PathBuf>,
    /// The private key of --certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Take the till in with a PKCS#12 file that holds certificate and key.
    #[arg(long, value_name = "FILE")]
    pkcs12: Option<PathBuf>,
    /// File with the passphrase of --pkcs12; without it the passphrase is asked for.
    #[arg(long, value_name = "FILE", requires = "pkcs12")]
    pkcs12_passphrase_file: Option<PathBuf>,
    /// Register a till anew whose certificate has ended or was revoked, with a new activation key; the old
    /// certificate ends at once.
    #[arg(long)]
    again: bool,
}

/// Which till of the store; needed only where there are several.
#[derive(Debug, Clone, Copy, Args)]
struct TillArg {
    /// Device ID of the till, where the store has several.
    #[arg(long)]
    device_id: Option<u32>,
    /// Its environment, where a device is in both.
    #[arg(long, value_enum)]
    environment: Option<EnvironmentArg>,
}

/// Which till, and once more its device ID: for what cannot be undone.
#[derive(Debug, Clone, Copy, Args)]
struct Guard {
    /// The till's device ID once more, where nobody can be asked.
    #[arg(long, value_name = "DEVICE_ID")]
    confirm: Option<u32>,
    #[command(flatten)]
    till: TillArg,
}

#[derive(Debug, Subcommand)]
enum TillCommand {
    /// List the tills, and what a person must know of them.
    List,
    /// Show what FDMS has configured and changed.
    Config {
        /// Ask FDMS first.
        #[arg(long)]
        fetch: bool,
        #[command(flatten)]
        till: TillArg,
    },
    /// Show the certificate.
    Certificate {
        /// Have FDMS renew it now.
        #[arg(long)]
        renew: bool,
        #[command(flatten)]
        till: TillArg,
    },
    /// Go on from FDMS's numbers: a device is taken over, or FDMS has more of it than this ledger.
    Adopt {
        /// The highest receiptGlobalNo, if you know of a higher one than FDMS names; one that is too high leaves a gap
        /// at FDMS that never heals.
        #[arg(long, value_name = "NO")]
        last_receipt: Option<u32>,
        /// The last day that is over, of a device that reports by file.
        #[arg(long, value_name = "NO")]
        last_day: Option<u32>,
        /// JSON file about the day that other software has opened: {"fiscalDayNo", "fiscalDayOpened",
        /// "receiptCounter", "receiptGlobalNo", "receiptDate", "previousReceiptHash", "fiscalDayCounters"}.
        #[arg(long, value_name = "FILE")]
        open_day: Option<PathBuf>,
        #[command(flatten)]
        guard: Guard,
    },
    /// Vouch that the till has sold nothing since this copy of its ledger was made.
    Confirm {
        #[command(flatten)]
        guard: Guard,
    },
    /// Point new sales of the till at another one, for example from test to production; at itself ends that.
    Switch {
        /// Device ID of the till that new sales go to.
        #[arg(long)]
        to: u32,
        /// Its environment, where a device is in both.
        #[arg(long, value_enum)]
        to_environment: Option<EnvironmentArg>,
        #[command(flatten)]
        till: TillArg,
    },
    /// Retire the till for good; refused while anything is unsent.
    Retire {
        #[command(flatten)]
        guard: Guard,
    },
}

#[derive(Debug, Subcommand)]
enum DayCommand {
    /// Open a fiscal day.
    Open(TillArg),
    /// Close the open fiscal day.
    Close(TillArg),
    /// Show the present day, or another one with what FDMS has of it.
    Show {
        /// The day's number.
        no: Option<u32>,
        #[command(flatten)]
        till: TillArg,
    },
    /// Write a closed day as files, for upload by hand.
    Export {
        /// The day's number.
        no: u32,
        /// The folder.
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
        #[command(flatten)]
        till: TillArg,
    },
    /// Take over what came of files that were uploaded by hand: FDMS's list of them, as JSON.
    ImportResult {
        /// The file with the list (`-` is standard input).
        file: PathBuf,
        #[command(flatten)]
        till: TillArg,
    },
    /// Print a day's report on a printer of the store: X while it is open, Z once it is closed.
    Print {
        /// The day's number; left out: the latest.
        no: Option<u32>,
        /// The printer; left out: the till's own.
        #[arg(long)]
        printer: Option<String>,
        #[command(flatten)]
        till: TillArg,
    },
    /// Write a day's report as PDF (`-` is standard output).
    Pdf {
        /// The day's number; left out: the latest.
        no: Option<u32>,
        /// The file.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        till: TillArg,
    },
    /// Show the X report of the open day.
    X(TillArg),
    /// Show the Z report of a closed day.
    Z {
        /// The day's number; may be left out right after a close, while no day is open.
        no: Option<u32>,
        #[command(flatten)]
        till: TillArg,
    },
}

#[derive(Debug, Subcommand)]
enum ReceiptCommand {
    /// Show a receipt as it is printed.
    Show {
        /// Its receiptGlobalNo.
        no: u32,
        /// As JSON instead.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        till: TillArg,
    },
    /// Print a receipt on a printer of the store: the original if there is none yet, else a copy.
    Print {
        /// Its receiptGlobalNo.
        no: u32,
        /// The printer; left out: the till's own.
        #[arg(long)]
        printer: Option<String>,
        #[command(flatten)]
        till: TillArg,
    },
    /// Write a receipt as PDF, InvoiceA4 (`-` is standard output).
    Pdf {
        /// Its receiptGlobalNo.
        no: u32,
        /// The file.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Head it COPY.
        #[arg(long)]
        copy: bool,
        #[command(flatten)]
        till: TillArg,
    },
    /// List the last receipts.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        till: TillArg,
    },
    /// Sell what a JSON file says (`-` is standard input).
    Post {
        /// The file.
        file: PathBuf,
        /// Wait so many milliseconds for FDMS.
        #[arg(long)]
        wait: Option<u32>,
        /// Everything but issuing.
        #[arg(long)]
        preview: bool,
        #[command(flatten)]
        till: TillArg,
    },
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// Show what waits.
    Show(TillArg),
    /// Show what is sent next, with what FDMS answered last.
    Head(TillArg),
    /// Let a parked or paused queue try again.
    Retry {
        /// Every queue of the store.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        till: TillArg,
    },
    /// Pause a queue: nothing of it is sent until it is let go on; selling goes on.
    Pause {
        /// Why, for whoever finds it paused.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        till: TillArg,
    },
}

#[derive(Debug, Subcommand)]
enum InspectCommand {
    /// A receipt: canonical string, hash, taxes, total, findings.
    ///
    /// In: {"deviceID": 42, "previousReceiptHash": "…" or null, "receipt": {…}}, the receipt as FDMS is sent
    /// it. Optional: "config" (a GetConfig answer) to judge taxes and HS codes, "certificate" (PEM) to check
    /// the signature, "previousServerHash" if a server hash may have been chained by mistake.
    ///
    /// Out: {"canonical", "hash", "signature" with --key, "receiptTaxes", "receiptTotal", "findings"}.
    #[command(verbatim_doc_comment)]
    Receipt {
        /// Sign with the private key in this file (PKCS#8, PEM).
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// A fiscal day's close: canonical string and hash.
    ///
    /// In: {"deviceID": 42, "fiscalDayNo": 7, "fiscalDayDate": "2026-05-28", "fiscalDayCounters": [{…}]}; the
    /// date is the one on which the day was opened. Optional: "fiscalDayDeviceSignature", "certificate".
    ///
    /// Out: {"canonical", "hash", "signature" with --key}.
    #[command(verbatim_doc_comment)]
    Day {
        /// Sign with the private key in this file (PKCS#8, PEM).
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// QR content and verification code.
    ///
    /// In: {"qrUrl", "deviceID", "receiptDate", "receiptGlobalNo", "signature"}; out: {"qrData",
    /// "verificationCode"}.
    #[command(verbatim_doc_comment)]
    Qr,
}

/// A failure with the exit code it ends in.
#[derive(Debug)]
struct Failure {
    error: anyhow::Error,
    code: u8,
}

impl Failure {
    /// The configuration names something that cannot be used: to start again would not mend it.
    fn configured(error: impl Into<anyhow::Error>) -> Self {
        Self {
            error: error.into(),
            code: EX_CONFIG,
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        match error.is::<crate::config::ConfigError>() {
            true => Self::configured(error),
            false => Self { error, code: 1 },
        }
    }
}

type Done = Result<ExitCode, Failure>;

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    crate::memory::begin();
    end_quietly_on_broken_pipe();
    let cli = Cli::parse();
    #[cfg(feature = "crash-points")]
    if let Err(wrong) = crate::crash::check() {
        eprintln!("fiscald: {wrong}");
        return ExitCode::from(EX_CONFIG);
    }
    match dispatch(&cli) {
        Ok(code) => code,
        Err(failure) => {
            let words = format!("{:#}", failure.error);
            eprintln!("fiscald: {}", terminal::printable(&words));
            ExitCode::from(failure.code)
        }
    }
}

/// `fiscald receipt list | head` ends when head has seen enough, as other commands do; Rust's own `println`
/// would call that a panic.
fn end_quietly_on_broken_pipe() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload().downcast_ref::<String>();
        if message.is_some_and(|m| m.starts_with("failed printing") && m.contains("os error 32")) {
            std::process::exit(0);
        }
        usual(panic);
    }));
}

fn dispatch(cli: &Cli) -> Done {
    let file = cli.config.clone().or_else(Config::installed);
    let config = || Config::load(file.as_deref());
    // What opens the ledger itself does so as the user whose it is.
    let own = |needs| owner::become_owner(config()?, needs);
    match &cli.command {
        Command::Run(args) => run::run(&own(Needs::Key)?, file.as_deref(), args),
        Command::CheckConfig => run::check(&own(Needs::Key)?, file.as_deref()),
        Command::Register(args) => setup::register(&own(Needs::Key)?, args),
        Command::Token(command) => token::token(&own(Needs::Key)?, command),
        Command::Till(command) => till::till(&config()?, command),
        Command::Day(command) => store::day(&config()?, command),
        Command::Receipt(command) => store::receipt(&config()?, command),
        Command::Queue(command) => store::queue(&config()?, command),
        Command::Hq(command) => hq::hq(&own(Needs::Key)?, command),
        Command::Printer(command) => printer::printer(&config()?, command),
        Command::Capture(command) => capture::capture(&config()?, command),
        Command::Port(command) => port::port(config, command),
        Command::Backup(command @ backup::BackupCommand::Take { .. }) => {
            backup::backup(&own(Needs::Ledger)?, command)
        }
        // Other files may be such as the store's user must not read.
        Command::Backup(command) => backup::backup(&config()?, command),
        Command::Restore(args) => backup::restore(&own(Needs::Key)?, args),
        Command::Recovery(command) => backup::recovery(&own(Needs::Key)?, command),
        Command::Doctor(args) => doctor::doctor(file.clone(), args),
        Command::Export(args) if args.ledger.is_some() => export::export_days(&config()?, args),
        Command::Export(args) => export::export_days(&own(Needs::Ledger)?, args),
        Command::Archive(args) => archive::archive_years(&own(Needs::Key)?, args),
        Command::Pin(command) => pin::pin(&own(Needs::Key)?, command),
        Command::Verify(args) if args.ledger.is_some() => verify::verify_ledger(&config()?, args),
        Command::Verify(args) => verify::verify_ledger(&own(Needs::Ledger)?, args),
        Command::Migrate => upkeep::migrate(&own(Needs::Key)?),
        Command::Unsent => upkeep::unsent(&own(Needs::Ledger)?),
        Command::Inspect(command) => inspect::inspect(command),
        Command::Manual { folder } => {
            manual::write(&Cli::command(), folder)?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "demo")]
        Command::Bench(args) => Ok(crate::bench::main(args)?),
        #[cfg(feature = "demo")]
        Command::Demo(args) => Ok(crate::demo::main(args)?),
    }
}

/// Threads for work that blocks: the ledger's readers, and a few more for names and keys.
const BLOCKING_THREADS: usize = 8;

/// A runtime for commands that speak over a network.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
}
