//! `vprinter`: a receipt printer to try things with. Each sheet becomes a text file and a picture.

use std::fs;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use vprinter::{Dialect, Fault, LinkSetup, PrinterSetup, Sheet, VirtualPrinter};

const USAGE: &str = "\
vprinter: a receipt printer made of software

  vprinter [--tcp ADDRESS | --pty [LINK] | --unix PATH] [--columns 32|42|48] [--impact] [--clone | --mute]
           [--baud N] --out FOLDER

Each sheet is written to FOLDER as 0001.txt and 0001.png, and so on. The defaults are --tcp 127.0.0.1:9100 and
--columns 48. LINK is a name that always leads to the pty. Commands on standard input, one a line:
";

const COMMANDS: &str = "\
  paper out | paper low | paper in | cover open | cover close | cutter jam | cutter free
  head hot | head cool | power off | power on | power cycle | drawer high | drawer low | tear
  link cut | link reset | link unplug | link plug | link stall | link go | status | quit
";

/// Where a host finds the printer.
enum Place {
    Tcp(SocketAddr),
    Pty(Option<PathBuf>),
    Unix(PathBuf),
}

struct Arguments {
    place: Place,
    setup: PrinterSetup,
    baud: u32,
    out: PathBuf,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let arguments = match read_arguments(&given) {
        Ok(arguments) => arguments,
        Err(why) => {
            let _gone = write!(io::stderr(), "{why}\n\n{USAGE}{COMMANDS}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _gone = writeln!(io::stderr(), "vprinter: {e}");
            ExitCode::FAILURE
        }
    }
}

fn read_arguments(given: &[String]) -> Result<Arguments, String> {
    let mut place = Place::Tcp(SocketAddr::from(([127, 0, 0, 1], 9100)));
    let (mut columns, mut dialect, mut impact) = (48, None, false);
    let (mut baud, mut out) = (9600, None);
    let mut words = given.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let mut value = || words.next_if(|word| !word.starts_with("--"));
        let missing = || format!("{word} needs a value");
        match word {
            "--tcp" => {
                let address = value().ok_or_else(missing)?;
                place = Place::Tcp(
                    address
                        .parse()
                        .map_err(|_| format!("{address} is no ADDRESS:PORT"))?,
                );
            }
            "--pty" => place = Place::Pty(value().map(PathBuf::from)),
            "--unix" => place = Place::Unix(value().ok_or_else(missing)?.into()),
            "--columns" => columns = number(value().ok_or_else(missing)?)?,
            "--baud" => baud = number(value().ok_or_else(missing)?)?,
            "--impact" => impact = true,
            "--clone" => dialect = Some(Dialect::Clone),
            "--mute" => dialect = Some(Dialect::Mute),
            "--out" => out = Some(PathBuf::from(value().ok_or_else(missing)?)),
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(Arguments {
        place,
        setup: setup(columns, impact, dialect)?,
        baud,
        out: out.ok_or("--out FOLDER is missing")?,
    })
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn setup(columns: u32, impact: bool, dialect: Option<Dialect>) -> Result<PrinterSetup, String> {
    let clone = dialect == Some(Dialect::Clone);
    let mut setup = match (columns, impact) {
        (_, true) => PrinterSetup::impact(),
        (32, _) => PrinterSetup::clone_58(),
        (42, _) => PrinterSetup::epson_42(),
        (48, _) if clone => PrinterSetup::clone_80(),
        (48, _) => PrinterSetup::epson_80(),
        _ => return Err(format!("{columns} columns are not known: 32, 42 or 48")),
    };
    setup.dialect = dialect.unwrap_or(setup.dialect);
    Ok(setup)
}

fn run(arguments: Arguments) -> io::Result<()> {
    fs::create_dir_all(&arguments.out)?;
    let mut link = LinkSetup {
        baud: arguments.baud,
        ..LinkSetup::default()
    };
    let printer = match arguments.place {
        Place::Tcp(address) => VirtualPrinter::tcp(arguments.setup, link, address)?,
        Place::Unix(path) => VirtualPrinter::unix(arguments.setup, link, &path)?,
        Place::Pty(name) => {
            link.stable_name = name;
            VirtualPrinter::pty(arguments.setup, link)?
        }
    };
    say(&format!("printing on {}", printer.name()));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_sheets(&printer, &arguments.out));
        let told = obey(&printer);
        printer.suffer(Fault::Tear);
        STOP.store(true, std::sync::atomic::Ordering::Release);
        let written = writer
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer has failed")));
        told.and(written)
    })
}

/// Whether no more commands come.
static STOP: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Writes each sheet as it comes, until it is told to stop and all are written.
fn write_sheets(printer: &VirtualPrinter, out: &Path) -> io::Result<()> {
    let mut written = 0;
    loop {
        let stop = STOP.load(std::sync::atomic::Ordering::Acquire);
        let sheets = printer.wait_for_sheets(written + 1, Duration::from_millis(500));
        for sheet in sheets.get(written..).unwrap_or_default() {
            written += 1;
            write_sheet(sheet, &out.join(format!("{written:04}")))?;
        }
        if stop {
            return Ok(());
        }
    }
}

fn write_sheet(sheet: &Sheet, name: &Path) -> io::Result<()> {
    fs::write(name.with_extension("txt"), sheet.text())?;
    fs::write(
        name.with_extension("png"),
        sheet.to_png().map_err(io::Error::other)?,
    )?;
    let how = if sheet.complete {
        "complete"
    } else {
        "NOT COMPLETE"
    };
    say(&format!(
        "{}.png: {} lines, {how}",
        name.display(),
        sheet.lines().len()
    ));
    Ok(())
}

/// Does what is said on standard input, until `quit` or its end.
fn obey(printer: &VirtualPrinter) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.trim() {
            "" => {}
            "quit" => break,
            "status" => say(&format!("{:?}", printer.with(|p| p.condition()))),
            "link cut" => printer.disconnect(),
            "link reset" => printer.reset(),
            "link unplug" => printer.unplug(),
            "link plug" => {
                printer.plug();
                say(&format!("printing on {}", printer.name()));
            }
            "link stall" => printer.stall(true),
            "link go" => printer.stall(false),
            other => match fault(other) {
                Some(fault) => printer.suffer(fault),
                None => say(&format!("{other} is not known; commands are\n{COMMANDS}")),
            },
        }
    }
    Ok(())
}

fn fault(words: &str) -> Option<Fault> {
    Some(match words {
        "paper out" => Fault::PaperOut,
        "paper low" => Fault::PaperLow,
        "paper in" => Fault::NewPaper { mm: 80_000 },
        "cover open" => Fault::CoverOpen,
        "cover close" => Fault::CoverClose,
        "cutter jam" => Fault::CutterBlocked,
        "cutter free" => Fault::CutterFree,
        "head hot" => Fault::HeadHot,
        "head cool" => Fault::HeadCool,
        "power off" => Fault::PowerOff,
        "power on" => Fault::PowerOn,
        "power cycle" => Fault::PowerCycle,
        "drawer high" => Fault::Drawer { high: true },
        "drawer low" => Fault::Drawer { high: false },
        "tear" => Fault::Tear,
        _ => return None,
    })
}

fn say(what: &str) {
    let _gone = writeln!(io::stdout(), "{what}");
}
