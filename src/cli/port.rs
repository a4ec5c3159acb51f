//! `fiscald port`: what is plugged in, and what answers. It needs no running store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use drivers::transport::{
    Found, LinkConfig, PROBE_SPEEDS, SpeedAnswer, SystemMonotonic, discover, probe_link,
    probe_serial,
};

use super::Done;

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
}

pub(super) fn port(command: &PortCommand) -> Done {
    match command {
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
