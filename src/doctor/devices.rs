//! Printers and the ports for old POS software. A running gateway holds them, so it is asked; without it they are
//! looked at directly, with questions that print nothing.

use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::time::Duration;

use drivers::escpos::request::{RealTime, Request};
use drivers::escpos::status::{Facts, Parser, Reply};
use drivers::job::Condition;
use drivers::profile::Ack;
use drivers::transport::{
    Link, LinkConfig, LinkError, Monotonic as _, SystemMonotonic, UsbName, discover,
};
use rustix::fs::Access as May;
use rustix::io::Errno;
use serde_json::Value;

use super::gateway::{Running, ask};
use super::ports::free;
use super::{Area, Finding};
use crate::config::{Config, Listen, PosSetup, PrinterSetup};
use crate::ledger::TillInfo;
use crate::print::words;

/// The longest that a printer's answer is waited for.
const ANSWER: Duration = Duration::from_millis(1500);
/// The longest for one printer, opening it included.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looks at the store's devices.
pub(super) async fn look(
    config: &Config,
    running: Running,
    tills: &[TillInfo],
    found: &mut Vec<Finding>,
) {
    // They were read before, or the configuration would not stand.
    let printers = config.print_plan().unwrap_or_default().printers;
    let ports = config.pos().unwrap_or_default();
    if printers.is_empty() {
        found.push(Finding::ok(Area::Printers, "none is configured"));
    }
    match running {
        Running::Yes => {
            told_printers(config, &printers, found).await;
            told_ports(config, &ports, found).await;
        }
        Running::Silent => {
            let why = "the gateway holds them and does not answer";
            for printer in &printers {
                found.push(Finding::skipped(Area::Printers, why).about(&printer.name));
            }
            for port in &ports {
                found.push(Finding::skipped(Area::Ports, why).about(&port.name));
            }
        }
        Running::No => {
            for printer in printers {
                found.push(directly(printer).await);
            }
            for port in &ports {
                found.push(port_directly(port).about(format!("[[pos]] {}", port.name)));
            }
        }
    }
    for port in &ports {
        let known = |till: &TillInfo| (till.environment, till.device_id) == port.till;
        if !tills.is_empty() && !tills.iter().any(known) {
            let (environment, device) = port.till;
            let finding = Finding::fault(
                Area::Ports,
                "pos_till_unknown",
                format!("it sells on till {device} ({environment}), which this store has not"),
                "Correct `device_id` and `environment` in [[pos]], or register that till.",
            );
            found.push(finding.about(format!("[[pos]] {}", port.name)));
        }
    }
}

/// What the running gateway tells of its printers.
async fn told_printers(config: &Config, printers: &[PrinterSetup], found: &mut Vec<Finding>) {
    if printers.is_empty() {
        return;
    }
    let answer = match ask(config, "/v1/printers").await {
        Ok(answer) => answer,
        Err(why) => {
            let why = format!("the gateway does not tell: {why}");
            found.push(Finding::skipped(Area::Printers, &why));
            return;
        }
    };
    for printer in printers {
        let told = rows(&answer, "printers").find(|row| text(row, "name") == printer.name);
        let finding = match told {
            None => Finding::fault(
                Area::Printers,
                "printer_not_loaded",
                "the running gateway does not know it",
                "Restart the gateway: its configuration was changed since.",
            ),
            Some(row) => told_printer(row),
        };
        found.push(finding.about(&printer.name));
    }
}

fn told_printer(row: &Value) -> Finding {
    let (state, link) = (text(row, "state"), text(row, "link"));
    let action = match text(row, "action") {
        "" => "See `fiscald printer status`.",
        action => action,
    };
    let code = match state {
        "ready" | "starting" if row.get("inDoubt").and_then(Value::as_u64) > Some(0) => {
            let text = format!("{link}: papers of which nobody knows whether they came out");
            return Finding::warning(Area::Printers, "printer_in_doubt", text, action);
        }
        "ready" | "starting" => return Finding::ok(Area::Printers, format!("{link}: {state}")),
        "paper_low" => {
            let text = format!("{link}: the paper is near its end");
            return Finding::warning(Area::Printers, "printer_paper_low", text, action);
        }
        "paper_out" => "printer_no_paper",
        "cover_open" => "printer_cover_open",
        "unreachable" => "printer_unreachable",
        _ => "printer_fault",
    };
    let error = match text(row, "linkError") {
        "" => String::new(),
        error => format!(": {error}"),
    };
    Finding::fault(
        Area::Printers,
        code,
        format!("{link}: {state}{error}"),
        action,
    )
}

async fn told_ports(config: &Config, ports: &[PosSetup], found: &mut Vec<Finding>) {
    if ports.is_empty() {
        return;
    }
    let answer = match ask(config, "/v1/pos/ports").await {
        Ok(answer) => answer,
        Err(why) => {
            let why = format!("the gateway does not tell: {why}");
            found.push(Finding::skipped(Area::Ports, &why).about("[[pos]]"));
            return;
        }
    };
    for row in rows(&answer, "ports") {
        let listen = text(row, "listen");
        let finding = match text(row, "state") {
            "open" | "starting" => Finding::ok(Area::Ports, format!("{listen}: open")),
            _ => Finding::fault(
                Area::Ports,
                "pos_port_shut",
                format!("{listen}: {}", text(row, "error")),
                text(row, "action"),
            ),
        };
        found.push(finding.about(format!("[[pos]] {}", text(row, "name"))));
    }
}

fn rows<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    let rows = value.get(name).and_then(Value::as_array);
    rows.into_iter().flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Looks at a printer that nobody uses.
async fn directly(printer: PrinterSetup) -> Finding {
    let name = printer.name.clone();
    let looked = tokio::task::spawn_blocking(move || judge(&printer));
    let finding = match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(_)) | Err(_) => Finding::fault(
            Area::Printers,
            "printer_silent",
            format!("its link hangs for {} s", PATIENCE.as_secs()),
            "Switch the printer off and on, and check its cable.",
        ),
    };
    finding.about(name)
}

fn judge(printer: &PrinterSetup) -> Finding {
    let link = &printer.link;
    if let Some(finding) = node(link) {
        return finding;
    }
    if matches!(link, LinkConfig::File(_)) {
        return Finding::ok(Area::Printers, format!("{link}: can be written"));
    }
    let mut open = match link.opener().open() {
        Ok(open) => open,
        Err(error) => {
            return Finding::fault(
                Area::Printers,
                "printer_unreachable",
                error.to_string(),
                "Switch the printer on and check its cable and address; `fiscald port list` shows what is plugged in.",
            );
        }
    };
    if printer.profile.ack == Ack::OneWay {
        return Finding::ok(Area::Printers, format!("{link}: opens (it never answers)"));
    }
    match questioned(open.as_mut()) {
        Ok(Some(facts)) => told_itself(link, &facts),
        Ok(None) => Finding::fault(
            Area::Printers,
            "printer_silent",
            format!("{link}: opens, and no printer answers"),
            "Check that it is on, its cable, and its speed (`fiscald port probe`); one that never answers has the profile \
             `ack = \"one_way\"`.",
        ),
        Err(error) => Finding::fault(
            Area::Printers,
            "printer_unreachable",
            error.to_string(),
            "Switch the printer off and on, and check its cable.",
        ),
    }
}

/// What is wrong with the device itself, where the link is one of this machine.
fn node(link: &LinkConfig) -> Option<Finding> {
    let (path, may) = match link {
        LinkConfig::Tcp { .. } => return None,
        LinkConfig::Serial(serial) => (serial.path.clone(), May::READ_OK | May::WRITE_OK),
        LinkConfig::Unix(path) => (path.clone(), May::READ_OK | May::WRITE_OK),
        LinkConfig::Usb(UsbName::Node(path)) => (path.clone(), May::READ_OK | May::WRITE_OK),
        LinkConfig::Usb(_) => {
            let there = discover(Path::new("/"));
            let is_usb = |found: &drivers::transport::Found| {
                matches!(found, drivers::transport::Found::Usb(_))
            };
            return (!there.iter().any(is_usb)).then(|| absent(link));
        }
        // A file is made when it is first written; a device is there.
        LinkConfig::File(path) if !path.exists() && !path.starts_with("/dev") => {
            let folder = path.parent().unwrap_or(path);
            (folder.to_owned(), May::WRITE_OK)
        }
        LinkConfig::File(path) => (path.clone(), May::WRITE_OK),
    };
    match rustix::fs::access(&path, may) {
        Ok(()) => None,
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Some(Finding::fault(
            Area::Printers,
            "printer_no_permission",
            format!("{} may not be used by this user", path.display()),
            "Put the gateway's user into the group that owns it (`ls -l`; as a rule lp or dialout), and restart the gateway.",
        )),
        Err(_) => Some(absent(link)),
    }
}

fn absent(link: &LinkConfig) -> Finding {
    Finding::fault(
        Area::Printers,
        "printer_absent",
        format!("{link} is not there"),
        "Plug it in and switch it on; `fiscald port list` shows what is there and how to name it.",
    )
}

/// Asks for the real-time status, which prints nothing. None: nobody answered.
fn questioned(link: &mut dyn Link) -> Result<Option<Facts>, LinkError> {
    let time = SystemMonotonic::new();
    let end = time.now().saturating_add(ANSWER);
    let (mut parser, mut facts) = (Parser::new(), Facts::default());
    for what in RealTime::ALL {
        let request = Request::RealTime(what);
        let bytes = request.bytes();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() && time.now() < end {
            let count = link.write(rest, end.saturating_sub(time.now()))?;
            rest = rest.get(count..).unwrap_or_default();
        }
        parser.asked(request);
    }
    let mut heard = false;
    let mut buffer = [0; 64];
    while parser.awaits_real_time() && time.now() < end {
        let count = link.read(&mut buffer, end.saturating_sub(time.now()))?;
        for reply in parser.read(buffer.get(..count).unwrap_or_default()) {
            heard |= matches!(reply, Reply::RealTime(..));
            facts.take(&reply);
        }
    }
    Ok(heard.then_some(facts))
}

fn told_itself(link: &LinkConfig, facts: &Facts) -> Finding {
    use drivers::job::HeldReason as Held;
    let mut condition = Condition {
        connected: true,
        answers: Some(true),
        ..Condition::default()
    };
    facts.tell(&mut condition);
    let state = words::state(Some(&condition));
    let action = words::action(Some(&condition), 0).unwrap_or_default();
    let text = format!("{link}: {state}");
    let code = match condition.fault {
        None if condition.paper_low => {
            return Finding::warning(Area::Printers, "printer_paper_low", text, action);
        }
        None => return Finding::ok(Area::Printers, text),
        Some(Held::PaperOut) => "printer_no_paper",
        Some(Held::CoverOpen) => "printer_cover_open",
        Some(_) => "printer_fault",
    };
    Finding::fault(Area::Printers, code, text, action)
}

/// Whether the gateway will be able to open a port for old POS software.
fn port_directly(port: &PosSetup) -> Finding {
    let gone = |text: String| {
        Finding::fault(
            Area::Ports,
            "pos_port_shut",
            text,
            "Plug the cable in, make the folder, or correct `listen` in [[pos]]; `fiscald port list` shows what is there.",
        )
    };
    let link = match &port.listen {
        Listen::Folder(path) => {
            return match rustix::fs::access(path, May::READ_OK | May::WRITE_OK | May::EXEC_OK) {
                Ok(()) => Finding::ok(Area::Ports, format!("{}: there", path.display())),
                Err(error) => gone(format!("{}: {error}", path.display())),
            };
        }
        Listen::Link(link) => link,
    };
    match link {
        LinkConfig::Tcp { host, port } => {
            let address = (host.as_str(), *port).to_socket_addrs();
            match address.map(|mut all| all.next()) {
                Ok(Some(address)) => free(address, "pos_port_taken"),
                Ok(None) | Err(_) => gone(format!("{host} is no address of this machine")),
            }
        }
        LinkConfig::Serial(serial) => {
            match rustix::fs::access(&serial.path, May::READ_OK | May::WRITE_OK) {
                Ok(()) => Finding::ok(Area::Ports, format!("{}: there", serial.path.display())),
                Err(error) => gone(format!("{}: {error}", serial.path.display())),
            }
        }
        other => Finding::ok(Area::Ports, format!("{other}: opened by the gateway")),
    }
}
