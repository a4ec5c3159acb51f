//! `fiscald port`: what is plugged in, and what answers, without a running store; and how the running store's ports
//! for old POS software are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use drivers::transport::{
    Found, LinkConfig, PROBE_SPEEDS, SpeedAnswer, SystemMonotonic, discover, probe_link,
    probe_serial,
};

use hyper::Method;
use serde_json::Value;

use super::Done;
use super::client::ask;
use super::till::text;
use crate::config::{Config, ConfigError};

/// How long an answer is waited for at each speed.
const ANSWER: Duration = Duration::from_millis(700);
/// Where the system tells of its devices.
const ROOT: &str = "/";

#[derive(Debug, Subcommand)]
pub(super) enum PortCommand {
    /// List USB printers and serial ports, with the link to put into the configuration.
    List,
    /// Ask what is there whether it is a receipt printer: at every usual speed, on a serial port.
    Probe {
        /// A serial port such as /dev/ttyUSB0, or a link as in the configuration (`usb:any`, `tcp:192.168.1.50:9100`).
        /// Stop the gateway first if it uses it.
        port: String,
    },
    /// Show the running store's ports for old POS software: open or not and why, what to do, what came in last.
    Status {
        /// Only this port.
        name: Option<String>,
    },
}

pub(super) fn port(
    config: impl FnOnce() -> Result<Config, ConfigError>,
    command: &PortCommand,
) -> Done {
    match command {
        PortCommand::Status { name } => status(&config()?, name.as_deref()),
        PortCommand::List => {
            list(&discover(Path::new(ROOT)));
            Ok(ExitCode::SUCCESS)
        }
        PortCommand::Probe { port } => {
            let link = match port.starts_with('/') {
                true => LinkConfig::parse(&format!("serial:{port}"))?,
                false => LinkConfig::parse(port)?,
            };
            let (words, good) = probe(&link)?;
            println!("{words}");
            Ok(match good {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
    }
}

fn status(config: &Config, only: Option<&str>) -> Done {
    let answer = ask(config, Method::GET, "/v1/pos/ports", Vec::new())?.success()?;
    let answer: Value = serde_json::from_str(&answer)?;
    let ports = answer.get("ports").and_then(Value::as_array);
    let mut any = false;
    for port in ports.into_iter().flatten() {
        if only.is_some_and(|name| text(port, "/name") != name) {
            continue;
        }
        any = true;
        for line in port_lines(port) {
            println!("{line}");
        }
    }
    match only {
        _ if any => {}
        Some(name) => {
            println!("there is no port \"{name}\"; `fiscald port status` shows them");
            return Ok(ExitCode::FAILURE);
        }
        None => println!("none; add [[pos]] to the configuration (/usr/share/doc/fiscald/POS.md)"),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a technician reads of a port.
fn port_lines(port: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}  {}  {}  till {}  printer {}",
        text(port, "/name"),
        text(port, "/state"),
        text(port, "/kind"),
        text(port, "/listen"),
        text(port, "/deviceID"),
        text(port, "/printer"),
    )];
    for pointer in ["/error", "/action"] {
        if port.pointer(pointer).is_some_and(Value::is_string) {
            lines.push(format!("    {}", text(port, pointer)));
        }
    }
    let warnings = port.get("warnings").and_then(Value::as_array);
    for warning in warnings.into_iter().flatten() {
        lines.push(format!(
            "    warning: {}",
            warning.as_str().unwrap_or_default()
        ));
    }
    if let Some(last) = port.get("lastPaper") {
        let (what, number) = match last.get("capture") {
            Some(_) => ("paper", text(last, "/capture")),
            None => ("print job", text(last, "/job")),
        };
        lines.push(format!(
            "    last: {what} {number} at {}, {}, receipt {}",
            text(last, "/at"),
            text(last, "/state"),
            text(last, "/receiptGlobalNo"),
        ));
    }
    if port.get("quarantined").and_then(Value::as_u64) > Some(0) {
        lines.push(format!(
            "    {} put aside: `fiscald capture list --state quarantined` says why",
            text(port, "/quarantined"),
        ));
    }
    lines
}

fn list(found: &[Found]) {
    for device in found {
        println!("{}", device.link());
        match device {
            Found::Usb(printer) => {
                println!("    {printer}");
                match &printer.node {
                    Some(node) => println!("    {node}"),
                    None => println!(
                        "    the kernel's printer driver does not hold it: `modprobe usblp`, and see that CUPS or ipp-usb leave it alone"
                    ),
                }
            }
            Found::Serial(serial) => println!("    {}", serial.node.display()),
        }
    }
    if found.is_empty() {
        println!(
            "no USB printer and no serial port is plugged in; a printer in the network has the link tcp:ADDRESS:9100"
        );
    } else {
        println!(
            "Put a link into [[printers]] in the configuration; `fiscald port probe LINK` asks what is there."
        );
    }
}

/// What a technician reads, and whether a printer answered.
fn probe(link: &LinkConfig) -> anyhow::Result<(String, bool)> {
    let time = SystemMonotonic::new();
    if let LinkConfig::Serial(serial) = link {
        let answers = probe_serial(serial, &PROBE_SPEEDS, ANSWER, &time);
        return Ok(serial_words(&serial.path, &answers));
    }
    let mut open = link.opener().open()?;
    let received = probe_link(open.as_mut(), ANSWER, &time)?;
    let answer = SpeedAnswer {
        speed: 0,
        received: Ok(received),
    };
    Ok(match answer.is_printer() {
        true => (format!("{link}: a receipt printer answers."), true),
        false => (
            format!(
                "{link}: opened, {} bytes: nothing that a receipt printer says. The gateway may be using it (stop it first), it may be one that never \
                 answers (profile with `ack = \"one_way\"`), or no receipt printer.",
                answer.received.map_or(0, |bytes| bytes.len())
            ),
            false,
        ),
    })
}

fn serial_words(path: &Path, answers: &[SpeedAnswer]) -> (String, bool) {
    let port: PathBuf = path.to_owned();
    if let Some(found) = answers.iter().find(|answer| answer.is_printer()) {
        let words = format!(
            "{}: a receipt printer answers at {} baud. Its link: serial:{}?baud={}",
            port.display(),
            found.speed,
            port.display(),
            found.speed
        );
        return (words, true);
    }
    let speeds: Vec<String> = answers
        .iter()
        .map(|answer| answer.speed.to_string())
        .collect();
    if let Some(error) = answers
        .iter()
        .find_map(|answer| answer.received.as_ref().err())
    {
        return (format!("{error}"), false);
    }
    let bytes: usize = answers
        .iter()
        .filter_map(|answer| answer.received.as_ref().ok())
        .map(Vec::len)
        .sum();
    let words = if bytes == 0 {
        format!(
            "{}: port opened, 0 bytes at {}: cable or speed. Check that the printer is on and the cable is the printer's own (a null-modem where it \
             needs one), print the printer's self-test (feed button held while it is switched on) and compare its speed; or it is a printer that never answers.",
            port.display(),
            speeds.join(", ")
        )
    } else {
        format!(
            "{}: port opened, {bytes} bytes at {}, and none of them is a receipt printer's answer: parity or data bits differ, or something else is on this cable.",
            port.display(),
            speeds.join(", ")
        )
    };
    (words, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(speed: u32, bytes: &[u8]) -> SpeedAnswer {
        SpeedAnswer {
            speed,
            received: Ok(bytes.to_vec()),
        }
    }

    /// What a technician is told of silence, of noise, of a printer.
    #[test]
    fn words_of_a_serial_port() {
        let path = Path::new("/dev/ttyUSB0");
        let (words, good) = serial_words(path, &[answer(9600, &[]), answer(19200, &[])]);
        assert!(
            !good && words.contains("port opened, 0 bytes at 9600, 19200: cable or speed"),
            "{words}"
        );
        let (words, good) = serial_words(path, &[answer(9600, &[0xff, 0x00]), answer(19200, &[])]);
        assert!(!good && words.contains("2 bytes"), "{words}");
        let (words, good) = serial_words(path, &[answer(9600, &[0xff]), answer(19200, &[0x16])]);
        assert!(
            good && words.contains("serial:/dev/ttyUSB0?baud=19200"),
            "{words}"
        );
    }
}
