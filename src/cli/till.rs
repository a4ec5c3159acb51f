//! `fiscald till`: what a technician does to a till of the running store.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hyper::Method;
use serde_json::Value;

use super::client::ask;
use super::setup::ask as ask_person;
use super::store::path;
use super::terminal::printable;
use super::{Done, TillArg, TillCommand};
use crate::config::Config;

pub(super) fn till(config: &Config, command: &TillCommand) -> Done {
    match command {
        TillCommand::List => list(config),
        TillCommand::Config { fetch, till } => {
            let method = if *fetch { Method::POST } else { Method::GET };
            let text = ask(
                config,
                method,
                &path("/v1/tills/config", *till, &[]),
                Vec::new(),
            )?;
            show_configs(&serde_json::from_str(&text.success()?)?);
            Ok(ExitCode::SUCCESS)
        }
        TillCommand::Certificate { renew, till } => {
            let (method, place) = match renew {
                true => (Method::POST, "/v1/tills/certificate"),
                false => (Method::GET, "/v1/status"),
            };
            let text = ask(config, method, &path(place, *till, &[]), Vec::new())?.success()?;
            show_certificates(&serde_json::from_str(&text)?);
            Ok(ExitCode::SUCCESS)
        }
        TillCommand::Adopt {
            last_receipt,
            last_day,
            open_day,
            guard,
        } => {
            let mut body = serde_json::Map::new();
            if let Some(number) = last_receipt {
                body.insert("lastReceiptGlobalNo".to_owned(), (*number).into());
            }
            if let Some(number) = last_day {
                body.insert("lastFiscalDayNo".to_owned(), (*number).into());
            }
            if let Some(file) = open_day {
                body.insert("openDay".to_owned(), read_json(file)?);
            }
            let question = "The till goes on from FDMS's numbers. What this ledger has not sent by now is never sent. Type the device ID to go on: ";
            guarded(config, "/v1/tills/adopt", guard, body, question)
        }
        TillCommand::Confirm { guard } => {
            let question = "Are you sure that this till has sold nothing since this copy of its ledger was made? Else numbers are used twice. Type the device ID: ";
            guarded(
                config,
                "/v1/tills/confirm",
                guard,
                serde_json::Map::new(),
                question,
            )
        }
        TillCommand::Retire { guard } => {
            let question = "The till never sells again. Type the device ID to retire it: ";
            guarded(
                config,
                "/v1/tills/retire",
                guard,
                serde_json::Map::new(),
                question,
            )
        }
        TillCommand::Switch {
            to,
            to_environment,
            till,
        } => {
            let mut body = serde_json::Map::new();
            body.insert("deviceID".to_owned(), (*to).into());
            if let Some(environment) = to_environment {
                let environment: crate::ledger::Environment = (*environment).into();
                body.insert("environment".to_owned(), environment.as_str().into());
            }
            post(config, &path("/v1/tills/switch", *till, &[]), body)
        }
    }
}

/// A command that asks for the device ID once more.
fn guarded(
    config: &Config,
    place: &str,
    guard: &super::Guard,
    mut body: serde_json::Map<String, Value>,
    question: &str,
) -> Done {
    let confirm = match guard.confirm {
        Some(device) => device,
        None if std::io::stdin().is_terminal() => {
            let typed = ask_person(question)?;
            typed
                .parse()
                .with_context(|| format!("\"{typed}\" is no device ID; nothing was changed"))?
        }
        None => {
            return Err(anyhow::anyhow!(
                "nobody can be asked; repeat the device ID with --confirm"
            )
            .into());
        }
    };
    body.insert("confirm".to_owned(), confirm.into());
    post(config, &path(place, guard.till, &[]), body)
}

fn post(config: &Config, path: &str, body: serde_json::Map<String, Value>) -> Done {
    let body = Value::Object(body).to_string().into_bytes();
    let text = ask(config, Method::POST, path, body)?.success()?;
    show_tills(&serde_json::from_str(&text)?);
    Ok(ExitCode::SUCCESS)
}

fn read_json(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    if !matches!(value, Value::Object(_)) {
        bail!("{} must hold one JSON object", file.display());
    }
    Ok(value)
}

fn list(config: &Config) -> Done {
    let nobody = TillArg {
        device_id: None,
        environment: None,
    };
    let text = ask(
        config,
        Method::GET,
        &path("/v1/status", nobody, &[]),
        Vec::new(),
    )?;
    show_tills(&serde_json::from_str(&text.success()?)?);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text).into_owned(),
        Some(other) => other.to_string(),
    }
}

fn tills(status: &Value) -> impl Iterator<Item = &Value> {
    let tills = status.get("tills").and_then(Value::as_array);
    tills.into_iter().flatten()
}

/// A line for each till, and beneath it what a person must know.
fn show_tills(status: &Value) {
    println!(
        "{:>10}  {:<10}  {:<16}  {:<10}  {:<9}  {:>6}  link",
        "device", "FDMS", "serial no", "day", "queue", "unsent"
    );
    for till in tills(status) {
        let day = format!(
            "{} {}",
            text(till, "/day/fiscalDayNo"),
            text(till, "/day/state")
        );
        println!(
            "{:>10}  {:<10}  {:<16}  {:<10}  {:<9}  {:>6}  {}",
            text(till, "/deviceID"),
            text(till, "/environment"),
            text(till, "/deviceSerialNo"),
            day,
            text(till, "/fdms/state"),
            text(till, "/fdms/unsent"),
            text(till, "/link/state"),
        );
        for (what, pointer) in [
            ("held", "/hold/reason"),
            ("parked", "/fdms/parked/reason"),
            ("new sales go to", "/newSalesGoTo/deviceID"),
            ("offline", "/link/error"),
            ("certificate", "/certificate/alarm"),
            ("day", "/day/notClosable"),
        ] {
            if till.pointer(pointer).is_some_and(|value| !value.is_null()) {
                println!("            {what}: {}", text(till, pointer));
            }
        }
    }
    if let Some(hq) = status.get("headOffice") {
        super::hq::show(hq);
    }
}

fn show_configs(configs: &Value) {
    let rows = configs.get("configs").and_then(Value::as_array);
    for config in rows.into_iter().flatten() {
        println!("{}", text(config, "/fetchedAt"));
        let changes = config.get("changes").and_then(Value::as_array);
        let changes = changes.map(Vec::as_slice).unwrap_or_default();
        if changes.is_empty() {
            println!("  the first one");
        }
        for change in changes {
            println!(
                "  {}: {} -> {}",
                text(change, "/what"),
                text(change, "/before"),
                text(change, "/after")
            );
        }
    }
}

fn show_certificates(status: &Value) {
    for till in tills(status) {
        println!(
            "{} ({}): valid till {}, {} days left, thumbprint {}",
            text(till, "/deviceID"),
            text(till, "/environment"),
            text(till, "/certificate/validTill"),
            text(till, "/certificate/daysLeft"),
            text(till, "/certificate/thumbprint"),
        );
        if till.pointer("/certificate/alarm").is_some() {
            println!("  {}", text(till, "/certificate/alarm"));
        }
    }
}
