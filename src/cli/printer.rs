//! `fiscald printer`: what a technician asks of the running store's printers.

use std::process::ExitCode;

use clap::Subcommand;
use hyper::Method;
use serde_json::Value;

use super::client::ask;
use super::till::text;
use super::{Done, TillArg};
use crate::config::Config;

/// How often a test page is looked after, and how long it may take.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);
const LOOKS: u32 = 150;

#[derive(Debug, Subcommand)]
pub(super) enum PrinterCommand {
    /// List the printers, what each tells of itself, and what to do.
    List,
    /// The same, with the jobs that wait or are in doubt.
    Status {
        /// Only this printer.
        name: Option<String>,
    },
    /// Print a test page, and say how sure it is that it came out.
    Test {
        /// The printer's name in the configuration.
        name: String,
    },
    /// List the last print jobs.
    Jobs {
        /// Only this printer's.
        #[arg(long)]
        printer: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Say what became of a paper that is in doubt.
    Settle {
        /// The job's number.
        job: i64,
        /// `yes`: it came out. `no`: it did not; a copy is printed.
        #[arg(long, value_parser = ["yes", "no"])]
        came_out: String,
    },
    /// Take a job out of the queue that has not been sent.
    Cancel {
        /// The job's number.
        job: i64,
    },
    /// Open the cash drawer at a printer.
    Drawer {
        /// The printer's name in the configuration.
        name: String,
    },
}

pub(super) fn printer(config: &Config, command: &PrinterCommand) -> Done {
    match command {
        PrinterCommand::List => {
            show_printers(&get(config, "/v1/printers")?, None);
        }
        PrinterCommand::Status { name } => {
            show_printers(&get(config, "/v1/printers")?, name.as_deref());
            let of = name
                .as_ref()
                .map(|name| format!("&printer={}", encoded(name)));
            let path = format!("/v1/prints?open=true{}", of.unwrap_or_default());
            show_jobs(&get(config, &path)?);
        }
        PrinterCommand::Test { name } => return test(config, name),
        PrinterCommand::Jobs { printer, limit } => {
            let of = printer
                .as_ref()
                .map(|name| format!("&printer={}", encoded(name)));
            let path = format!("/v1/prints?limit={limit}{}", of.unwrap_or_default());
            show_jobs(&get(config, &path)?);
        }
        PrinterCommand::Settle { job, came_out } => {
            let body = serde_json::json!({ "cameOut": came_out == "yes" }).to_string();
            let path = format!("/v1/prints/{job}/settle");
            show_job(&post(config, &path, body)?);
        }
        PrinterCommand::Cancel { job } => {
            let path = format!("/v1/prints/{job}/cancel");
            show_job(&post(config, &path, String::new())?);
        }
        PrinterCommand::Drawer { name } => {
            let path = format!("/v1/printers/{}/drawer", encoded(name));
            show_job(&post(config, &path, String::new())?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `fiscald receipt print` and `fiscald day print`.
pub(super) fn print(config: &Config, place: &str, printer: Option<&str>, till: TillArg) -> Done {
    let query: Vec<_> = printer
        .map(|name| ("printer", encoded(name)))
        .into_iter()
        .collect();
    let path = super::store::path(place, till, &query);
    show_job(&post(config, &path, String::new())?);
    Ok(ExitCode::SUCCESS)
}

fn encoded(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

fn get(config: &Config, path: &str) -> anyhow::Result<Value> {
    let text = ask(config, Method::GET, path, Vec::new())?.success()?;
    Ok(serde_json::from_str(&text)?)
}

fn post(config: &Config, path: &str, body: String) -> anyhow::Result<Value> {
    let text = ask(config, Method::POST, path, body.into_bytes())?.success()?;
    Ok(serde_json::from_str(&text)?)
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    let rows = value.get(name).and_then(Value::as_array);
    rows.into_iter().flatten()
}

fn show_printers(answer: &Value, only: Option<&str>) {
    let mut any = false;
    println!(
        "{:<16}  {:<12}  {:>7}  {:>8}  link",
        "printer", "state", "waiting", "in doubt"
    );
    for printer in list(answer, "printers") {
        if only.is_some_and(|name| text(printer, "/name") != name) {
            continue;
        }
        any = true;
        println!(
            "{:<16}  {:<12}  {:>7}  {:>8}  {}",
            text(printer, "/name"),
            text(printer, "/state"),
            text(printer, "/waiting"),
            text(printer, "/inDoubt"),
            text(printer, "/link"),
        );
        for pointer in ["/linkError", "/action"] {
            if printer.pointer(pointer).is_some_and(Value::is_string) {
                println!("    {}", text(printer, pointer));
            }
        }
    }
    if let (false, Some(name)) = (any, only) {
        println!("there is no printer \"{name}\"; `fiscald printer list` shows them");
    } else if !any {
        println!(
            "none; add [[printers]] to the configuration (/usr/share/doc/fiscald/PRINTING.md)"
        );
    }
}

fn show_jobs(answer: &Value) {
    for job in list(answer, "prints") {
        show_job(job);
    }
}

fn show_job(job: &Value) {
    println!(
        "job {}  {}  {}  receipt {}  {}  {} {}  {}",
        text(job, "/job"),
        text(job, "/printer"),
        text(job, "/kind"),
        text(job, "/receiptGlobalNo"),
        text(job, "/heading"),
        text(job, "/state"),
        text(job, "/detail"),
        text(job, "/changedAt"),
    );
}

/// Queues a test page and follows it to its end.
fn test(config: &Config, name: &str) -> Done {
    let path = format!("/v1/printers/{}/test", encoded(name));
    let mut job = post(config, &path, String::new())?;
    let path = format!("/v1/prints/{}", text(&job, "/job"));
    let is_open =
        |job: &Value| ["queued", "sending", "await_ack"].contains(&text(job, "/state").as_str());
    for _ in 0..LOOKS {
        if !is_open(&job) {
            break;
        }
        pause();
        job = get(config, &path)?;
    }
    show_job(&job);
    let (words, code) = verdict(&text(&job, "/state"), &text(&job, "/detail"));
    println!("{words}");
    show_printers(&get(config, "/v1/printers")?, Some(name));
    Ok(code)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command on a terminal looks again after a moment; nothing else waits"
)]
fn pause() {
    std::thread::sleep(LOOK);
}

/// What a technician reads out of a test page's end.
fn verdict(state: &str, detail: &str) -> (&'static str, ExitCode) {
    let good = ExitCode::SUCCESS;
    match (state, detail) {
        ("done", "printed") => ("The printer says that the page has been printed.", good),
        ("done", "processed") => (
            "The printer has worked through the page. Compare it with what it says on itself: one line of digits, a code that scans.",
            good,
        ),
        ("done", "sent_healthy") => (
            "The page was sent, and the printer has no fault to tell. Look whether it came out; a printer that can acknowledge more has a profile with `ack`.",
            good,
        ),
        ("done", _) => (
            "The page was sent; this link tells nothing back. Look whether it came out.",
            good,
        ),
        ("held", _) => (
            "Nothing has been sent: the printer cannot print now. The page waits; see below what to do.",
            ExitCode::FAILURE,
        ),
        ("unknown", _) => (
            "The page was sent, and nobody knows whether it came out. If it did: the profile's `ack` asks for an answer that this printer does not give; take a lower one (`status`, `real_time`, `one_way`). If it did not: check cable and speed with `fiscald port probe`.",
            ExitCode::FAILURE,
        ),
        ("failed", _) => (
            "The page cannot be printed at all; see the reason above.",
            ExitCode::FAILURE,
        ),
        _ => (
            "The page has not come out yet: it waits behind other papers, or the printer cannot print now. See below what to do; it goes on by itself.",
            ExitCode::FAILURE,
        ),
    }
}
