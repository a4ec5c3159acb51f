//! The first and only process of a virtual machine in which a USB printer is unplugged while it prints.
//!
//! The kernel of the machine is both sides of the cable: its `dummy_hcd` joins a USB host to a printer gadget.
//! On the host's side runs what the product runs, `drivers::job::run` over the link `usb:serial=…`, found anew
//! through the real sysfs after each plugging. On the other side stands `vprinter`, the printer made of software,
//! whose paper is the judge. Between the two the cable is pulled, by a seed: before the first byte of a job, at
//! any byte of it, after the last one, and just as the answer is on its way; the printer keeps what it has, or
//! loses its power with it.
//!
//! `scripts/usb-vm` builds this, starts the machine and reads what is said here on its first serial port. In the
//! machine of `scripts/install-test`, where it is not the first process, it is the printer alone (`desk`).

mod book;
mod cable;
mod day;
mod desk;
mod device;
mod judge;
mod machine;
mod plan;
mod receipt;
mod tally;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use day::Orders;

/// What the script waits for; anything else is a failure.
const PASSED: &str = "usb-vm: passed";

fn main() -> ExitCode {
    if std::process::id() != 1 {
        return beside_others();
    }
    // Nobody is there to read an exit code: what counts is the last line that was said.
    let told = machine::set_up().and_then(|mut said| {
        let verdict = orders().and_then(|orders| day::live(&orders, &mut said));
        let last = match verdict {
            Ok(()) => PASSED.to_owned(),
            Err(why) => format!("usb-vm: FAILED: {why}"),
        };
        writeln!(said, "{last}").map_err(|error| error.to_string())
    });
    if let Err(why) = told {
        eprintln!("usb-vm: {why}");
    }
    machine::switch_off();
    ExitCode::FAILURE
}

/// In a machine that is up already: `usb-vm print-into FOLDER` is a printer there.
fn beside_others() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [order, folder] = words.as_slice() else {
        return usage();
    };
    if order != "print-into" {
        return usage();
    }
    let Err(why) = desk::print_into(Path::new(folder));
    eprintln!("usb-vm: {why}");
    ExitCode::FAILURE
}

fn usage() -> ExitCode {
    eprintln!(
        "usb-vm: this is the first process of a virtual machine (scripts/usb-vm), or, in one, `usb-vm print-into FOLDER`"
    );
    ExitCode::from(2)
}

/// The orders on the kernel's command line, behind `--`.
fn orders() -> Result<Orders, String> {
    Orders::parse(std::env::args().skip(1))
}
