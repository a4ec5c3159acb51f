//! The example programs for POS developers do what docs/INTEGRATE.md says, each against a gateway of its own.
//!
//! They run as they are, over a line that loses every other answer; ledger and FDMS then hold what was sold, once, and
//! a printer prints it. From another machine they come in by the shop's listener, while FDMS is away. And what the page
//! has a developer do with the packages leads to a till that sells.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fdms_sandbox::{DayStatus, DeviceSpec, Sandbox};
use fiscald::ledger::read::Filter;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use vprinter::{PictureKind, Printer, PrinterSetup, SheetEnd};

use crate::support::process::{Store, free_address};

/// How the gateway's machine makes itself a certificate: the command of docs/INTEGRATE.md.
const CERTIFICATE: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
     -subj /CN=gateway.shop -addext subjectAltName=DNS:gateway.shop,IP:10.77.0.1 \
     -keyout gateway.key -out gateway.pem";
/// What a till on another machine runs: strangers are turned away, and each language sells a day.
const TILL: &str = r#"set -eu
gateway=https://10.77.0.1:8488
header="Authorization: Bearer $TOKEN"
if curl -sS --cacert gateway.pem --interface 10.77.0.3 -H "$header" $gateway/v1/status; then echo 'an address that is not on the list'; exit 1; fi
if curl -sS -H "$header" $gateway/v1/status; then echo 'a certificate that is not trusted'; exit 1; fi
if curl -sS http://10.77.0.1:8487/healthz; then echo 'the loopback port'; exit 1; fi
test "$(curl -sS -o answer -w '%{http_code}' --cacert gateway.pem $gateway/v1/status)" = 401
curl -sSf --cacert gateway.pem --resolve gateway.shop:8488:10.77.0.1 -H "$header" https://gateway.shop:8488/v1/status
export GATEWAY=$gateway GATEWAY_CA=$PWD/gateway.pem NODE_EXTRA_CA_CERTS=$PWD/gateway.pem
sh "$EXAMPLES/sh/till.sh" SH-
python3 "$EXAMPLES/python/till.py" PY-
mono till.exe CS-
php "$EXAMPLES/php/till.php" PH-
node "$EXAMPLES/javascript/till.mjs" JS-
"#;

/// What stands for the machine that the packages are installed on: root's rights, apt, and the service.
const MACHINE: &str = r#"set -euo pipefail
sudo() { "$@"; }
apt() { :; }
systemctl() {
  fiscald run > gateway.log 2>&1 &
  echo $! > gateway.pid
  curl -sSf --retry 60 --retry-all-errors --retry-delay 1 "http://$LISTEN/readyz"
}
ended() {
  if [ -e gateway.pid ]; then kill "$(cat gateway.pid)" && wait || :; fi
}
trap ended EXIT
"#;
/// The till that speaks lines, where the page has them listen. And a sale that waits until FDMS has all before it.
const AND_THEN: &str = r#"
cc -o till-in-c "$EXAMPLES/c/till.c" "$EXAMPLES/c/fiscal_gateway.c"
./till-in-c C-
curl -sSf -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' "$GATEWAY/v1/receipts?wait=60000" -d '
  { "receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "LAST", "receiptLinesTaxInclusive": true,
    "receiptLines": [ { "receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090",
                        "receiptLinePrice": "1.20", "receiptLineQuantity": "2", "taxPercent": "15.5" } ],
    "receiptPayments": [ { "moneyTypeCode": "Cash", "paymentAmount": "2.40" } ] }'
"#;

/// The folder of the examples.
fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples")
}

/// What a program printed, if it is here and ends well.
fn printed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/test installs it"));
    let stdout = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(
        status.success(),
        "{command:?}: {status}\n{stdout}\n{stderr}"
    );
    stdout
}

/// A line to this address that loses every other answer, and how many it was to carry.
fn lossy(to: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&answers);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, answers) = (client.unwrap(), Arc::clone(&counted));
            std::thread::spawn(move || carry(&client, to, &answers));
        }
    });
    (address, answers)
}

/// Carries a connection's bytes until it is an answer's turn to be lost: the request has arrived, and the line breaks.
fn carry(client: &TcpStream, to: SocketAddr, answers: &AtomicUsize) {
    let server = TcpStream::connect(to).unwrap();
    let asked = Arc::new(AtomicBool::new(false));
    let (mut from, mut there) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let asking = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            asking.store(true, Ordering::SeqCst);
            if there.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        // It may be closed already.
        let _ = there.shutdown(Shutdown::Write);
    });
    let (mut from, mut there) = (&server, client);
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let begins = asked.swap(false, Ordering::SeqCst);
        let is_lost = begins && answers.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        if is_lost || there.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // Either side may have gone before.
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// Which door a program comes in by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Http,
    Lines,
    /// Lines on the Unix socket, where the kernel names the user and no token is needed.
    Socket,
}

/// One language: its till runs, over TCP on a lossy line; what it sold is there, once.
fn sells(prefix: &str, door: Door, program: impl FnOnce(&Path) -> Command) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4801);
    let (lines, socket) = (free_address(), dir.path().join("lines.sock"));
    let config = dir.path().join("fiscald.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let doors = format!("lines_listen = \"{lines}\"\nlines_socket = {socket:?}\n[fdms]");
    std::fs::write(&config, text.replace("[fdms]", &doors)).unwrap();
    store.start();
    let mut till = program(dir.path());
    till.arg(prefix)
        .env("TOKEN", &store.token)
        .env("TILL_FOLDER", dir.path().join("till"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let over_tcp = |to| {
        let (address, answers) = lossy(to);
        (address.to_string(), answers)
    };
    let (address, answers) = match door {
        Door::Http => over_tcp(store.address),
        Door::Lines => over_tcp(lines),
        Door::Socket => {
            till.env_remove("TOKEN");
            (socket.display().to_string(), Arc::default())
        }
    };
    till.env("GATEWAY", format!("http://{address}"))
        .env("LINES_ADDRESS", address);
    let story = printed(&mut till);
    is_told(&story, prefix, 1);
    let lost = answers.load(Ordering::SeqCst) / 2;
    assert!(
        lost >= 6 || door == Door::Socket,
        "only {lost} answers were lost: {story}"
    );
    store.drain();
    holds(&store, &[prefix]);
    prints(&dir.path().join("till"), prefix);
}

/// The program says what it did; it is the day of this number.
fn is_told(story: &str, prefix: &str, day: u32) {
    let (first, second, note) = (day * 3 - 2, day * 3 - 1, day * 3);
    for wanted in [
        format!("sale {prefix}1: receipt {first}, USD 4.61\n"),
        format!("sale {prefix}2: asked again: receipt {second}\n"),
        format!("sale {prefix}3: refused, RCPT023 at /receiptLines/0/receiptLineQuantity: Send"),
        format!("credit note {prefix}4: receipt {note}, USD -1.20, 3.41 left of {first}\n"),
        format!("day {day} closed, 3 receipts\n"),
        format!("Fiscal day No: {day:>27}\n"),
    ] {
        assert!(story.contains(&wanted), "{wanted}is not in\n{story}");
    }
}

/// Ledger and FDMS hold three receipts for each prefix, each day closed, and nothing else.
fn holds(store: &Store, prefixes: &[&str]) {
    let mut wanted = Vec::new();
    for (prefix, day) in prefixes.iter().zip(0..) {
        let receipt = |no: u32, kind: &str, name: u32, total: &str| {
            let no = day * 3 + no;
            format!("{no} {kind} {prefix}{name} USD {total} day {}", day + 1)
        };
        wanted.push(receipt(1, "FiscalInvoice", 1, "4.61"));
        wanted.push(receipt(2, "FiscalInvoice", 2, "2.40"));
        wanted.push(receipt(3, "CreditNote", 4, "-1.20"));
    }
    let all = Filter {
        limit: 500,
        ..Filter::default()
    };
    let rows = store.reader().list(store.till().id, &all).unwrap();
    let held = rows.iter().rev().map(|row| {
        let (kind, name, total) = (row.receipt_type.as_str(), &row.invoice_no, row.total);
        format!(
            "{} {kind} {name} {} {total} day {}",
            row.global_no, row.currency, row.fiscal_day_no
        )
    });
    assert_eq!(held.collect::<Vec<_>>(), wanted);
    fiscald::ledger::verify::verify(&store.ledger(), &mut |_, _| {}).unwrap();

    let taken = store.sandbox.receipts(store.device_id);
    assert_eq!(taken.len(), wanted.len());
    for receipt in &taken {
        assert!(
            receipt.validation_errors.is_empty() && !receipt.is_grey,
            "{receipt:?}"
        );
        let raw: Value = serde_json::from_str(&receipt.raw).unwrap();
        let original = raw.pointer("/creditDebitNote/receiptGlobalNo");
        let is_note = receipt.receipt_counter == 3;
        let wanted = is_note.then(|| Value::from(receipt.receipt_global_no - 2));
        assert_eq!(original, wanted.as_ref(), "{}", receipt.raw);
    }
    let days = store.sandbox.days(store.device_id);
    let states: Vec<_> = days.iter().map(|day| day.status).collect();
    assert_eq!(states, vec![DayStatus::FiscalDayClosed; prefixes.len()]);
}

/// What the till wrote for its printer comes out of one, with the code and the QR code of the answer it kept.
fn prints(folder: &Path, prefix: &str) {
    let mut left: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix))
        .collect();
    left.sort();
    let kept = [
        "1.prn",
        "1.receipt",
        "2.prn",
        "2.receipt",
        "4.prn",
        "4.receipt",
    ];
    assert_eq!(left, kept.map(|name| format!("{prefix}{name}")));
    for name in ["1", "2", "4"] {
        let read =
            |kind: &str| std::fs::read(folder.join(format!("{prefix}{name}.{kind}"))).unwrap();
        let answer: Value = serde_json::from_slice(&read("receipt")).unwrap();
        let answer = answer.get("body").unwrap_or(&answer);
        let mut printer = Printer::new(PrinterSetup::epson_80());
        let bytes = read("prn");
        let mut at = 0;
        while at < bytes.len() {
            let now = printer.next_event().unwrap_or_default();
            at += printer.receive(now, &bytes[at..]);
        }
        while let Some(next) = printer.next_event() {
            printer.advance(next);
        }
        let [sheet] = printer.sheets() else {
            panic!("{prefix}{name}: {} sheets", printer.sheets().len());
        };
        assert_eq!(sheet.end, SheetEnd::Cut);
        let text = |member: &str| answer[member].as_str().unwrap().to_owned();
        for line in [
            text("verificationCode"),
            text("invoiceNo"),
            text("deviceSerialNo"),
        ] {
            assert!(
                sheet.text().contains(&line),
                "{line} is not on\n{}",
                sheet.text()
            );
        }
        let codes: Vec<_> = sheet
            .rows
            .iter()
            .flat_map(|row| &row.pictures)
            .filter_map(|picture| match &picture.kind {
                PictureKind::Qr { data, .. } => Some(data.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(codes, [text("qrData").into_bytes()]);
    }
}

/// Compiles the till in C#.
fn compiled_c_sharp(dir: &Path) -> PathBuf {
    let (sources, exe) = (examples().join("csharp"), dir.join("till.exe"));
    printed(
        Command::new("mcs")
            .arg(format!("-out:{}", exe.display()))
            .args(["-warnaserror", "-r:System.Runtime.Serialization.dll"])
            .args(["Till.cs", "FiscalGateway.cs"].map(|name| sources.join(name))),
    );
    exe
}

fn run(interpreter: &str, program: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(examples().join(program));
    command
}

/// curl in a shell that knows nothing but POSIX.
#[test]
fn in_a_shell() {
    sells("SH-", Door::Http, |_| run("dash", "sh/till.sh"));
}

/// Python's standard library.
#[test]
fn in_python() {
    sells("PY-", Door::Http, |_| run("python3", "python/till.py"));
}

/// C# as Windows has it, on Mono.
#[test]
fn in_c_sharp() {
    sells("CS-", Door::Http, |dir| {
        let mut mono = Command::new("mono");
        mono.arg(compiled_c_sharp(dir));
        mono
    });
}

/// PHP's curl extension.
#[test]
fn in_php() {
    sells("PH-", Door::Http, |_| run("php", "php/till.php"));
}

/// Node's own fetch.
#[test]
fn in_javascript() {
    sells("JS-", Door::Http, |_| run("node", "javascript/till.mjs"));
}

/// Compiles the till in C, with the checks that a compiler has.
fn compiled_c(dir: &Path) -> Command {
    let (sources, till) = (examples().join("c"), dir.join("till-in-c"));
    let strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];
    let checked = ["-g", "-fsanitize=address,undefined"];
    printed(
        Command::new("cc")
            .args(strict)
            .args(checked)
            .arg("-o")
            .arg(&till)
            .args(["till.c", "fiscal_gateway.c"].map(|name| sources.join(name))),
    );
    Command::new(till)
}

/// JSON lines in C.
#[test]
fn in_c() {
    sells("C-", Door::Lines, compiled_c);
}

/// The same on the Unix socket.
#[test]
fn in_c_on_a_socket() {
    sells("U-", Door::Socket, compiled_c);
}

/// Tills on another machine come in by `[api.lan]`, with TLS, a token and an address on the list, and by nothing else; the
/// gateway's own address comes only after the gateway has started.
/// FDMS cannot be reached all the while: they sell and close as ever, and it hears of everything afterwards.
#[test]
fn on_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4802);
    let certificate = printed(
        Command::new("sh")
            .args(["-c", CERTIFICATE])
            .current_dir(&dir),
    );
    assert_eq!(certificate, "");
    let text = std::fs::read_to_string(dir.path().join("fiscald.toml")).unwrap();
    let lan = format!(
        "{text}[api.lan]\nlisten = \"10.77.0.1:8488\"\ncertificate = {:?}\nkey = {:?}\nallow = [\"10.77.0.1\", \"10.77.0.2\"]\n\
         names = [\"gateway.shop\"]\n",
        dir.path().join("gateway.pem"),
        dir.path().join("gateway.key"),
    );
    std::fs::write(dir.path().join("lan.toml"), lan).unwrap();
    compiled_c_sharp(dir.path());
    // A user who is not root is root in a network of his own.
    let is_root = printed(Command::new("id").arg("-u")).trim() == "0";
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/examples/other_machine.sh");
    let story = printed(
        Command::new("unshare")
            .arg(if is_root { "-n" } else { "-rn" })
            .arg("sh")
            .arg(script)
            .args([Path::new(env!("CARGO_BIN_EXE_fiscald")), dir.path()])
            .args(["sh", "-c", TILL])
            .current_dir(&dir)
            .env("TOKEN", &store.token)
            .env("EXAMPLES", examples())
            .env("TILL_FOLDER", dir.path().join("till"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    let prefixes = ["SH-", "PY-", "CS-", "PH-", "JS-"];
    for (prefix, day) in prefixes.iter().zip(1..) {
        is_told(&story, prefix, day);
    }
    assert!(store.sandbox.receipts(store.device_id).is_empty());
    store.start();
    store.drain();
    holds(&store, &prefixes);
    for prefix in prefixes {
        prints(&dir.path().join("till"), prefix);
    }
}

/// The commands that docs/INTEGRATE.md gives a developer who has the packages.
fn with_packages() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/INTEGRATE.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("**With the packages**").unwrap();
    let (_, block) = section.split_once("```console").unwrap();
    let (block, _) = block.split_once("\n```").unwrap();
    let commands = block.lines().filter_map(|line| line.strip_prefix("$ "));
    commands.collect::<Vec<_>>().join("\n")
}

/// The device that the package of the sandbox has from the start.
fn packed_device() -> DeviceSpec {
    let settings = include_str!("../../packaging/fdms-sandbox/fdms-sandbox.env");
    let (_, device) = settings.split_once("--device ").unwrap();
    let (device, _) = device.split_once('"').unwrap();
    let [id, serial_no, activation_key] = device.split(':').collect::<Vec<_>>()[..] else {
        panic!("{device}");
    };
    DeviceSpec {
        serial_no: serial_no.to_owned(),
        activation_key: activation_key.to_owned(),
        ..DeviceSpec::new(id.parse().unwrap())
    }
}

/// The page's way from two packages to a till that sells is gone as it is written, on the configuration that is packed
/// and to the device that the packed sandbox knows; only folders and ports are the test's own.
#[test]
fn with_the_packages() {
    let dir = tempfile::tempdir().unwrap();
    let device = packed_device();
    let device_id = device.device_id;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandbox = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let builder = Sandbox::builder().device(device);
        let started = builder.start(listener, None, CancellationToken::new());
        started.await.unwrap()
    });
    for folder in ["etc", "run", "log", "sandbox"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    std::fs::write(dir.path().join("sandbox/ca.pem"), sandbox.ca_pem()).unwrap();
    let (http, lines) = (free_address(), free_address());
    let here = |text: &str| {
        let folders = [
            ("/usr/share/doc/fiscald/examples", examples()),
            ("/var/lib/fdms-sandbox", dir.path().join("sandbox")),
            ("/var/lib/fiscald", dir.path().join("data")),
            ("/var/log/fiscald", dir.path().join("log")),
            ("/run/fiscald", dir.path().join("run")),
            ("/etc/fiscald", dir.path().join("etc")),
        ];
        let text = folders.iter().fold(text.to_owned(), |text, (from, to)| {
            text.replace(from, to.to_str().unwrap())
        });
        let text = text.replace("https://127.0.0.1:8443", &sandbox.url());
        let text = text.replace("127.0.0.1:8487", &http.to_string());
        text.replace("127.0.0.1:8486", &lines.to_string())
    };
    // The port that holds where nothing is said may be taken here.
    let packed = here(include_str!("../../packaging/fiscald/fiscald.toml"));
    let config = dir.path().join("etc/fiscald.toml");
    std::fs::write(&config, packed.replacen("#listen", "listen", 1)).unwrap();

    let script = format!("{MACHINE}{}{AND_THEN}", here(&with_packages()));
    let program = Path::new(env!("CARGO_BIN_EXE_fiscald")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let story = printed(
        Command::new("bash")
            .args(["-c", &script])
            .current_dir(&dir)
            .env("PATH", path)
            .env("FISCALD_CONFIG", &config)
            .env("LISTEN", http.to_string())
            .env("EXAMPLES", examples())
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    is_told(&story, "T1-", 1);
    is_told(&story, "C-", 2);
    assert!(story.contains("\"state\":\"accepted\""), "{story}");
    assert_eq!(sandbox.receipts(device_id).len(), 7);
}
