//! How a link is written in the configuration: one line, the kind and then where.
//!
//! `tcp:192.168.1.50:9100`, `serial:/dev/serial/by-id/usb-FTDI-if00?baud=9600&flow=rtscts`,
//! `usb:serial=J8KF012345`, `usb:port=1-1.2`, `usb:/dev/usb/lp0`, `usb:any`, `unix:/run/printer.sock`,
//! `file:/dev/lp0`.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// A link as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LinkConfig {
    /// A TCP connection, as a rule to port 9100.
    Tcp {
        /// A name or an address; an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A serial port.
    Serial(SerialConfig),
    /// A USB printer.
    Usb(UsbName),
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A file or a device that is written to and never read.
    File(PathBuf),
}

/// By what a USB printer is found again after it was unplugged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsbName {
    /// Its serial number.
    Serial(String),
    /// The place it is plugged in, such as `1-1.2`.
    Port(String),
    /// Its device node; the kernel may give another one after the next plugging.
    Node(PathBuf),
    /// The only USB printer there is.
    Any,
}

/// A serial port and how it speaks. What is left out has the usual value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialConfig {
    /// The port, best by a name that stays: `/dev/serial/by-id/…`.
    pub path: PathBuf,
    /// Bits per second; 9600.
    pub baud: Option<u32>,
    /// Bits in a byte, 7 or 8; 8.
    pub data_bits: Option<u8>,
    /// The parity bit; none.
    pub parity: Option<Parity>,
    /// Stop bits, 1 or 2; 1.
    pub stop_bits: Option<u8>,
    /// Who may say "not now", and how; nobody.
    pub flow: Option<Flow>,
}

impl SerialConfig {
    /// The usual values for this port.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            baud: None,
            data_bits: None,
            parity: None,
            stop_bits: None,
            flow: None,
        }
    }

    /// Bits per second.
    #[must_use]
    pub fn speed(&self) -> u32 {
        self.baud.unwrap_or(9600)
    }
}

/// A parity bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// None.
    None,
    /// Odd.
    Odd,
    /// Even.
    Even,
}

/// Flow control of a serial port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// None.
    None,
    /// By the lines RTS and CTS, in the kernel.
    RtsCts,
    /// By the bytes 11 and 13, in the kernel, which takes them out of what we read. Not for ports on which
    /// those bytes mean something else.
    XonXoff,
    /// By the line DSR, which we look at before each chunk of 64 bytes.
    DtrDsr,
}

/// A link's name that cannot be read, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{link}` names no link: {why}")]
pub struct LinkSyntax {
    /// The name.
    pub link: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl LinkConfig {
    /// Reads a link's name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, LinkSyntax> {
        read(text).map_err(|why| LinkSyntax {
            link: text.to_owned(),
            why,
        })
    }
}

impl FromStr for LinkConfig {
    type Err = LinkSyntax;

    fn from_str(text: &str) -> Result<Self, LinkSyntax> {
        Self::parse(text)
    }
}

impl TryFrom<String> for LinkConfig {
    type Error = LinkSyntax;

    fn try_from(text: String) -> Result<Self, LinkSyntax> {
        Self::parse(&text)
    }
}

fn read(text: &str) -> Result<LinkConfig, String> {
    let (kind, rest) = text
        .split_once(':')
        .ok_or("it begins with tcp:, serial:, usb:, unix: or file:")?;
    match kind {
        "tcp" => read_tcp(rest),
        "serial" => read_serial(rest).map(LinkConfig::Serial),
        "usb" => read_usb(rest).map(LinkConfig::Usb),
        "unix" => Ok(LinkConfig::Unix(read_path(rest)?)),
        "file" => Ok(LinkConfig::File(read_path(rest)?)),
        other => Err(format!(
            "`{other}` is no kind of link; there are tcp, serial, usb, unix and file"
        )),
    }
}

fn read_tcp(rest: &str) -> Result<LinkConfig, String> {
    let (host, port) = rest
        .rsplit_once(':')
        .ok_or("the port is missing, as in tcp:192.168.1.50:9100")?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    if bracketed.is_none() && host.contains(':') {
        return Err("an IPv6 address is written in brackets, as in tcp:[fe80::1]:9100".to_owned());
    }
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("the host is missing, as in tcp:192.168.1.50:9100".to_owned());
    }
    let port = port
        .parse()
        .map_err(|_| format!("`{port}` is no port: 0 to 65535"))?;
    Ok(LinkConfig::Tcp {
        host: host.to_owned(),
        port,
    })
}

fn read_usb(rest: &str) -> Result<UsbName, String> {
    if rest == "any" {
        return Ok(UsbName::Any);
    }
    if rest.starts_with('/') {
        return Ok(UsbName::Node(read_path(rest)?));
    }
    match rest.split_once('=') {
        Some(("serial", serial)) if !serial.is_empty() => Ok(UsbName::Serial(serial.to_owned())),
        Some(("port", port)) if !port.is_empty() => Ok(UsbName::Port(port.to_owned())),
        _ => Err(
            "it goes on as usb:serial=…, usb:port=1-1.2, usb:/dev/usb/lp0 or usb:any".to_owned(),
        ),
    }
}

fn read_path(rest: &str) -> Result<PathBuf, String> {
    if rest.starts_with('/') && !rest.contains('\0') {
        Ok(PathBuf::from(rest))
    } else {
        Err("the path begins with /".to_owned())
    }
}

fn read_serial(rest: &str) -> Result<SerialConfig, String> {
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let mut serial = SerialConfig::new(read_path(path)?);
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| format!("`{option}` lacks a value, as in baud=9600"))?;
        let twice = match key {
            "baud" => serial.baud.replace(read_baud(value)?).is_some(),
            "data" => serial
                .data_bits
                .replace(read_small(key, value, [7, 8])?)
                .is_some(),
            "stop" => serial
                .stop_bits
                .replace(read_small(key, value, [1, 2])?)
                .is_some(),
            "parity" => serial
                .parity
                .replace(read_word(key, value, &PARITIES)?)
                .is_some(),
            "flow" => serial
                .flow
                .replace(read_word(key, value, &FLOWS)?)
                .is_some(),
            _ => {
                return Err(format!(
                    "`{key}` is no option of a serial port; there are baud, data, parity, stop and flow"
                ));
            }
        };
        if twice {
            return Err(format!("`{key}` stands there twice"));
        }
    }
    Ok(serial)
}

fn read_baud(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(baud) if (50..=4_000_000).contains(&baud) => Ok(baud),
        _ => Err(format!("`{value}` is no speed, as in baud=9600")),
    }
}

fn read_small(key: &str, value: &str, allowed: [u8; 2]) -> Result<u8, String> {
    match value.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => Err(format!(
            "{key}={value}: it is {} or {}",
            allowed[0], allowed[1]
        )),
    }
}

const PARITIES: [(&str, Parity); 3] = [
    ("none", Parity::None),
    ("odd", Parity::Odd),
    ("even", Parity::Even),
];

const FLOWS: [(&str, Flow); 4] = [
    ("none", Flow::None),
    ("rtscts", Flow::RtsCts),
    ("xonxoff", Flow::XonXoff),
    ("dtrdsr", Flow::DtrDsr),
];

fn read_word<T: Copy>(key: &str, value: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == value);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("{key}={value}: it is one of {}", known.join(", "))
    })
}

fn word<T: PartialEq>(meaning: &T, words: &[(&'static str, T)]) -> &'static str {
    let found = words.iter().find(|(_, known)| known == meaning);
    found.map_or("", |(word, _)| word)
}

impl Display for LinkConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            Self::Serial(serial) => write!(f, "serial:{serial}"),
            Self::Usb(UsbName::Serial(serial)) => write!(f, "usb:serial={serial}"),
            Self::Usb(UsbName::Port(port)) => write!(f, "usb:port={port}"),
            Self::Usb(UsbName::Node(path)) => write!(f, "usb:{}", path.display()),
            Self::Usb(UsbName::Any) => f.write_str("usb:any"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Display for SerialConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let options: Vec<String> = [
            self.baud.map(|baud| format!("baud={baud}")),
            self.data_bits.map(|bits| format!("data={bits}")),
            self.parity
                .map(|parity| format!("parity={}", word(&parity, &PARITIES))),
            self.stop_bits.map(|bits| format!("stop={bits}")),
            self.flow
                .map(|flow| format!("flow={}", word(&flow, &FLOWS))),
        ]
        .into_iter()
        .flatten()
        .collect();
        write!(f, "{}", self.path.display())?;
        if !options.is_empty() {
            write!(f, "?{}", options.join("&"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read is written back the same.
    #[test]
    fn names_survive() {
        for name in [
            "tcp:192.168.1.50:9100",
            "tcp:printer.shop:9100",
            "tcp:[fe80::1]:9100",
            "serial:/dev/ttyS0",
            "serial:/dev/serial/by-id/usb-FTDI-if00-port0?baud=9600&parity=none&flow=rtscts",
            "serial:/dev/ttyUSB0?baud=115200&data=7&parity=even&stop=2&flow=dtrdsr",
            "usb:serial=J8KF012345",
            "usb:port=1-1.2",
            "usb:/dev/usb/lp0",
            "usb:any",
            "unix:/run/printer.sock",
            "file:/dev/lp0",
        ] {
            let link = LinkConfig::parse(name).expect(name);
            assert_eq!(link.to_string(), name);
        }
    }

    /// A name that is wrong says what would be right.
    #[test]
    fn bad_names_are_explained() {
        for (name, why) in [
            ("", "begins with tcp:"),
            ("/dev/ttyS0", "begins with tcp:"),
            ("com:1", "`com` is no kind of link"),
            ("tcp:192.168.1.50", "the port is missing"),
            ("tcp::9100", "the host is missing"),
            ("tcp:fe80::1:9100", "in brackets"),
            ("tcp:printer:99999", "`99999` is no port"),
            ("serial:ttyS0", "the path begins with /"),
            ("serial:/dev/ttyS0?baud=fast", "`fast` is no speed"),
            ("serial:/dev/ttyS0?baud", "lacks a value"),
            ("serial:/dev/ttyS0?bits=8", "`bits` is no option"),
            ("serial:/dev/ttyS0?data=9", "it is 7 or 8"),
            (
                "serial:/dev/ttyS0?flow=hard",
                "none, rtscts, xonxoff, dtrdsr",
            ),
            ("serial:/dev/ttyS0?baud=9600&baud=9600", "twice"),
            ("usb:lp0", "usb:serial="),
            ("usb:serial=", "usb:serial="),
            ("unix:printer.sock", "the path begins with /"),
        ] {
            let error = LinkConfig::parse(name).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
    }

    /// The configuration file gives it as a string, and a wrong one is an error of that file.
    #[test]
    fn is_read_from_toml() {
        #[derive(Debug, Deserialize)]
        struct Printer {
            link: LinkConfig,
        }
        let printer: Printer = toml::from_str("link = \"usb:any\"").expect("it is right");
        assert_eq!(printer.link, LinkConfig::Usb(UsbName::Any));
        let error = toml::from_str::<Printer>("link = \"usb:lp0\"").expect_err("it is wrong");
        assert!(error.to_string().contains("usb:/dev/usb/lp0"), "{error}");
    }
}
