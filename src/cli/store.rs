//! `fiscald day`, `receipt` and `queue`: what a technician asks of the running store.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hyper::Method;

use super::client::ask;
use super::{DayCommand, Done, QueueCommand, ReceiptCommand, TillArg};
use crate::config::Config;

/// A path with its query; the till is named only where one is.
pub(super) fn path(path: &str, till: TillArg, query: &[(&str, String)]) -> String {
    let mut pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if let Some(device) = till.device_id {
        pairs.push(format!("deviceID={device}"));
    }
    if let Some(environment) = till.environment {
        let environment: crate::ledger::Environment = environment.into();
        pairs.push(format!("environment={environment}"));
    }
    if pairs.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", pairs.join("&"))
    }
}

fn show(config: &Config, method: Method, path: &str, body: Vec<u8>) -> Done {
    let text = ask(config, method, path, body)?.success()?;
    println!("{}", super::terminal::printable(text.trim_end()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn day(config: &Config, command: &DayCommand) -> Done {
    let text = || vec![("format", "text".to_owned())];
    let (method, path) = match command {
        DayCommand::Open(till) => (Method::POST, path("/v1/days/open", *till, &[])),
        DayCommand::Close(till) => (Method::POST, path("/v1/days/close", *till, &[])),
        DayCommand::Show { no, till } => {
            let no = no.map_or("current".to_owned(), |no| no.to_string());
            (Method::GET, path(&format!("/v1/days/{no}"), *till, &[]))
        }
        DayCommand::Export { no, to, till } => return export(config, *no, to, *till),
        DayCommand::ImportResult { file, till } => {
            let path = path("/v1/days/files/result", *till, &[]);
            return show(config, Method::POST, &path, read(file)?);
        }
        DayCommand::Print { no, printer, till } => {
            let no = no.map_or("current".to_owned(), |no| no.to_string());
            let place = format!("/v1/days/{no}/print");
            return super::printer::print(config, &place, printer.as_deref(), *till);
        }
        DayCommand::Pdf { no, to, till } => {
            let no = no.map_or("current".to_owned(), |no| no.to_string());
            return pdf(config, &path(&format!("/v1/days/{no}/pdf"), *till, &[]), to);
        }
        DayCommand::X(till) => (Method::GET, path("/v1/days/current/x", *till, &text())),
        DayCommand::Z { no, till } => {
            let no = no.map_or("current".to_owned(), |no| no.to_string());
            (
                Method::GET,
                path(&format!("/v1/days/{no}/z"), *till, &text()),
            )
        }
    };
    show(config, method, &path, Vec::new())
}

/// A file, or standard input.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut body)?;
        return Ok(body);
    }
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Writes a document into a file.
fn pdf(config: &Config, path: &str, to: &Path) -> Done {
    let document = ask(config, Method::GET, path, Vec::new())?.document()?;
    if to.as_os_str() == "-" {
        std::io::stdout().write_all(&document)?;
        return Ok(ExitCode::SUCCESS);
    }
    std::fs::write(to, document).with_context(|| format!("{} cannot be written", to.display()))?;
    println!("{}", to.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes a day's files into a folder, and says what to do with them.
fn export(config: &Config, no: u32, to: &Path, till: TillArg) -> Done {
    let place = path(&format!("/v1/days/{no}/files"), till, &[]);
    let text = ask(config, Method::GET, &place, Vec::new())?.success()?;
    let answer: serde_json::Value = serde_json::from_str(&text)?;
    std::fs::create_dir_all(to)
        .with_context(|| format!("the folder {} cannot be made", to.display()))?;
    let files = answer.get("files").and_then(|files| files.as_array());
    for file in files.into_iter().flatten() {
        let text = |name: &str| {
            file.get(name)
                .and_then(|text| text.as_str())
                .unwrap_or_default()
        };
        let path = to.join(text("name"));
        std::fs::write(&path, text("body"))
            .with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    println!(
        "Upload them in this order in the authority's portal; then take its list over with `fiscald day import-result FILE`."
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) fn receipt(config: &Config, command: &ReceiptCommand) -> Done {
    match command {
        ReceiptCommand::Show { no, json, till } => {
            let form = if *json { "" } else { "/text" };
            let path = path(&format!("/v1/receipts/{no}{form}"), *till, &[]);
            show(config, Method::GET, &path, Vec::new())
        }
        ReceiptCommand::Print { no, printer, till } => {
            let place = format!("/v1/receipts/{no}/print");
            super::printer::print(config, &place, printer.as_deref(), *till)
        }
        ReceiptCommand::Pdf { no, to, copy, till } => {
            let copy: Vec<_> = copy
                .then(|| ("copy", "true".to_owned()))
                .into_iter()
                .collect();
            pdf(
                config,
                &path(&format!("/v1/receipts/{no}/pdf"), *till, &copy),
                to,
            )
        }
        ReceiptCommand::List { limit, till } => {
            let path = path("/v1/receipts", *till, &[("limit", limit.to_string())]);
            show(config, Method::GET, &path, Vec::new())
        }
        ReceiptCommand::Post {
            file,
            wait,
            preview,
            till,
        } => {
            let body = read(file)?;
            let wait: Vec<_> = wait
                .map(|ms| ("wait", ms.to_string()))
                .into_iter()
                .collect();
            let place = if *preview {
                "/v1/receipts/preview"
            } else {
                "/v1/receipts"
            };
            show(config, Method::POST, &path(place, *till, &wait), body)
        }
    }
}

pub(super) fn queue(config: &Config, command: &QueueCommand) -> Done {
    let (method, path) = match command {
        QueueCommand::Show(till) => (Method::GET, path("/v1/queue", *till, &[])),
        QueueCommand::Head(till) => (Method::GET, path("/v1/queue/head", *till, &[])),
        QueueCommand::Retry { all, till } => {
            let all = all.then(|| ("all", "true".to_owned()));
            let query: Vec<_> = all.into_iter().collect();
            (Method::POST, path("/v1/queue/retry", *till, &query))
        }
        QueueCommand::Pause { reason, till } => {
            let body = serde_json::json!({ "reason": reason }).to_string();
            let path = path("/v1/queue/pause", *till, &[]);
            return show(config, Method::POST, &path, body.into_bytes());
        }
    };
    show(config, method, &path, Vec::new())
}
