//! Ten thousand connections, idle or with half a head, at each door in turn: a till sells all the while over its own,
//! the handles come back, memory does not grow with them. `ATTACK_CONNECTIONS` says how many; `scripts/attack` takes ten
//! thousand.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use fdms_sandbox::DeviceSpec;
use fiscal_hq::serve;
use fiscal_hq::testing::Test;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use vprinter::VirtualPrinter;

use super::wire::Till;
use crate::support::api::PATIENCE;
use crate::support::counter::paper;
use crate::support::printer::{front, printer};
use crate::support::process::{Http, Store, free_address};

/// Connections where nobody says how many.
const USUALLY: usize = 1_000;
/// Connections that are made at the same time.
const AT_ONCE: usize = 200;
/// For one of them to be made.
const TO_CONNECT: Duration = Duration::from_secs(10);
/// The same at a port that takes one at a time: where its queue is full it is given up.
const TO_QUEUE: Duration = Duration::from_millis(300);
/// What the gateway's memory may grow by in all floods together, in KiB.
const MEMORY_KIB: u64 = 64 * 1024;

/// How many connections a flood has, and room for so many handles in this process.
fn connections() -> usize {
    let wished = std::env::var("ATTACK_CONNECTIONS");
    let wished = wished.map_or(USUALLY, |text| text.parse().unwrap());
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(wished + 1_000).unwrap();
    let has_room = limit.maximum.is_none_or(|most| most >= needed);
    assert!(has_room, "ulimit -Hn is {limit:?}: {needed} are needed");
    if limit.current.is_some_and(|now| now < needed) {
        let current = Some(needed);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
    }
    wished
}

/// One end of a connection, whatever it is.
enum Held {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Which door.
#[derive(Debug, Clone)]
enum Door {
    Tcp(SocketAddr),
    /// One that takes one connection at a time.
    Queue(SocketAddr),
    /// From this address of our own.
    TcpFrom(SocketAddr, SocketAddr),
    Unix(std::path::PathBuf),
}

impl Door {
    async fn connect(&self) -> std::io::Result<Held> {
        Ok(match self {
            Self::Tcp(address) | Self::Queue(address) => {
                Held::Tcp(TcpStream::connect(address).await?)
            }
            Self::TcpFrom(address, own) => {
                let socket = TcpSocket::new_v4()?;
                socket.bind(*own)?;
                Held::Tcp(socket.connect(*address).await?)
            }
            Self::Unix(path) => Held::Unix(UnixStream::connect(path).await?),
        })
    }
}

/// Opens so many, and says this on each; those that were made, at least for a moment.
async fn flood(door: Door, count: usize, says: &'static [u8]) -> Vec<Held> {
    let is_queue = matches!(door, Door::Queue(_));
    let to_connect = if is_queue { TO_QUEUE } else { TO_CONNECT };
    let (mut making, mut held) = (JoinSet::new(), Vec::with_capacity(count));
    for _ in 0..count {
        let door = door.clone();
        making.spawn(async move {
            let made = timeout(to_connect, door.connect()).await.ok()?.ok()?;
            // Whoever was turned away cannot say anything.
            match made {
                Held::Tcp(mut stream) => {
                    let _ = stream.write_all(says).await;
                    Some(Held::Tcp(stream))
                }
                Held::Unix(mut stream) => {
                    let _ = stream.write_all(says).await;
                    Some(Held::Unix(stream))
                }
            }
        });
        if making.len() >= AT_ONCE {
            held.extend(making.join_next().await.unwrap().unwrap());
        }
    }
    while let Some(made) = making.join_next().await {
        held.extend(made.unwrap());
    }
    held
}

/// A number of `/proc/PID/status`, in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().trim_end_matches(" kB").trim();
    number.parse().unwrap()
}

/// Open handles of a process.
fn handles(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

/// Waits until a process has no more handles than this.
fn handles_come_back(pid: u32, to: usize, what: &str) {
    let started = SystemClock.boot();
    while handles(pid) > to {
        assert!(
            SystemClock.boot() - started < PATIENCE,
            "{what}: {} handles, there were {to}",
            handles(pid)
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The doors of a gateway, beside the one over which the till sells.
struct Doors {
    lines: SocketAddr,
    lan: SocketAddr,
    pos: SocketAddr,
}

/// Has the store open all kinds of doors.
fn open_all_doors(store: &Store, printer: &VirtualPrinter) -> Doors {
    let doors = Doors {
        lines: free_address(),
        lan: free_address(),
        pos: free_address(),
    };
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str| store.dir.join(name);
    std::fs::write(file("lan.pem"), own.cert.pem()).unwrap();
    std::fs::write(file("lan.key"), own.signing_key.serialize_pem()).unwrap();
    let api = format!(
        "lines_listen = \"{}\"\nlines_socket = {:?}\n[api.lan]\nlisten = \"{}\"\ncertificate = {:?}\nkey = {:?}\nallow = [\"127.0.0.0/8\"]\n[fdms]\n",
        doors.lines,
        file("lines.sock"),
        doors.lan,
        file("lan.pem"),
        file("lan.key"),
    );
    let pos = format!(
        "[[pos]]\nname = \"old\"\nkind = \"printer\"\nlisten = \"tcp:{}\"\ndevice_id = {}\nenvironment = \"test\"\n\
         printer = \"front\"\ntemplates = [\"one-line\"]\nhs_code = \"19059090\"\n",
        doors.pos, store.device_id,
    );
    let devices = front(printer.name(), &pos);
    let config = file("fiscald.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[fdms]\n", &api) + &devices).unwrap();
    doors
}

/// How the daemon's handles and memory were before a flood.
fn quiet(store: &Store) -> (usize, u64) {
    (handles(store.pid()), memory(store.pid()))
}

/// Waits until so many receipts are in the ledger.
fn sold(store: &Store, wanted: u32) {
    let (reader, till, started) = (store.reader(), store.till().id, SystemClock.boot());
    while reader.last_receipt(till).unwrap().0.get() < wanted {
        assert!(SystemClock.boot() - started < PATIENCE, "{wanted} receipts");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Each door of a running gateway in turn, idle and with half a head: the till sells all the while, and once they are gone
/// the handles are those of before, and each door takes somebody in again.
#[test]
fn floods_of_connections_stop_no_sale() {
    let count = connections();
    let dir = tempfile::tempdir().unwrap();
    let printer = printer();
    // What FDMS takes meanwhile is not looked at.
    let mut store = Store::set_up_with(dir.path(), DeviceSpec::new(4715), "");
    let doors = open_all_doors(&store, &printer);
    store.start();
    let http = store.address;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut till = runtime.block_on(async {
        let mut till = Till::at(http, &store.token, "T1").await;
        till.sell().await;
        till
    });
    let (before, memory_before) = quiet(&store);
    let half: &[u8] = b"GET /v1/status HTTP/1.1\r\nHost: lo";
    let begun: &[u8] = b"{\"id\": 1, ";
    let socket = dir.path().join("data/fiscald.sock");
    for (what, door, says) in [
        ("idle at the port", Door::Tcp(http), &b""[..]),
        ("half a head at the port", Door::Tcp(http), half),
        ("idle at the socket", Door::Unix(socket.clone()), b""),
        ("half a head at the socket", Door::Unix(socket), half),
        ("idle at the lines", Door::Tcp(doors.lines), b""),
        ("half a line", Door::Tcp(doors.lines), begun),
        (
            "half a line at the socket",
            Door::Unix(dir.path().join("lines.sock")),
            begun,
        ),
        ("idle for other machines", Door::Tcp(doors.lan), b""),
        (
            "half a greeting of TLS",
            Door::Tcp(doors.lan),
            b"\x16\x03\x01\x02\x00\x01",
        ),
        ("idle at old software's port", Door::Queue(doors.pos), b""),
        ("half a paper", Door::Queue(doors.pos), b"\x1b@TAX IN"),
    ] {
        let already = till.sold;
        let at_least = if matches!(door, Door::Queue(_)) {
            1
        } else {
            count
        };
        let held = runtime.block_on(async {
            let held = till.sell_until(flood(door, count, says)).await;
            // All of them are there still.
            for _ in 0..20 {
                till.sell().await;
            }
            held
        });
        assert!(till.sold >= already + 20, "{what}");
        assert!(held.len() >= at_least, "{what}: {} were made", held.len());
        assert!(
            handles(store.pid()) < 1_000,
            "{what}: {}",
            handles(store.pid())
        );
        drop(held);
        handles_come_back(store.pid(), before + 8, what);
        runtime.block_on(till.sell());
    }
    let grown = memory(store.pid()).saturating_sub(memory_before);
    assert!(grown < MEMORY_KIB, "memory has grown by {grown} KiB");
    every_door_is_open(&store, &doors, till.sold);
    store.stop();
    report(&format!(
        "{{\"door\":\"gateway\",\"connections\":{},\"sales\":{}}}",
        count * 11,
        till.sold
    ));
}

/// Somebody comes in at each door.
fn every_door_is_open(store: &Store, doors: &Doors, sales: usize) {
    use std::io::{BufRead as _, BufReader, Write as _};
    let mut http = Http::open(store.address).unwrap();
    assert_eq!(http.get("/v1/status", &store.token).unwrap().status, 200);
    let mut lines = std::net::TcpStream::connect(doors.lines).unwrap();
    lines.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = format!(
        "{{\"method\": \"GET\", \"path\": \"/v1/status\", \"headers\": {{\"authorization\": \"Bearer {}\"}}}}\n",
        store.token
    );
    lines.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(lines).read_line(&mut answer).unwrap();
    assert!(answer.contains("\"status\":200"), "{answer}");
    over_tls(store, doors.lan);
    // The port for old software has worked off who stood before it; what it could not read is put aside.
    let mut pos = std::net::TcpStream::connect(doors.pos).unwrap();
    pos.write_all(&paper("OLD-1", "TAX INVOICE", "3.40"))
        .unwrap();
    drop(pos);
    sold(store, u32::try_from(sales + 1).unwrap());
}

/// Somebody on another machine, who trusts the certificate.
fn over_tls(store: &Store, address: SocketAddr) {
    let pem = std::fs::read(store.dir.join("lan.pem")).unwrap();
    let (url, token) = (format!("https://{address}/v1/status"), store.token.clone());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let status = runtime.block_on(async {
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .build()
            .unwrap();
        let answer = client.get(url).bearer_auth(token).send().await.unwrap();
        answer.status().as_u16()
    });
    assert_eq!(status, 200);
}

/// Head office, flooded from one address: others are answered all the while, and when the flood is over so is that
/// address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_connections_shut_no_store_out() {
    let count = connections();
    let test = Test::start().await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let running = serve::start(Arc::clone(&test.hq), listener).unwrap();
    let address: SocketAddr = format!("127.0.0.1:{}", running.address.port())
        .parse()
        .unwrap();
    let theirs: SocketAddr = "127.0.0.2:0".parse().unwrap();
    let url = format!("http://{address}/readyz");
    let mut answered = 0;
    for says in [&b""[..], b"GET /readyz HTTP/1.1\r\nHost: lo"] {
        let attack = tokio::spawn(flood(Door::TcpFrom(address, theirs), count, says));
        let mut beside = 0;
        while !attack.is_finished() || beside < 20 {
            // A client of its own each time: a new connection must be let in too.
            let answer = reqwest::Client::new().get(&url).send();
            let answer = timeout(PATIENCE, answer).await.expect("it is held up");
            assert_eq!(answer.unwrap().status(), 200);
            beside += 1;
        }
        let held = attack.await.unwrap();
        assert!(held.len() >= count, "{} were made", held.len());
        drop(held);
        let back = async {
            while !is_answered(Door::TcpFrom(address, theirs)).await {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, back)
            .await
            .expect("the address is let in again");
        answered += beside;
    }
    report(&format!(
        "{{\"door\":\"head office\",\"connections\":{},\"sales\":{answered}}}",
        count * 2
    ));
    running.stop().await;
}

/// Whether a request from there is answered.
async fn is_answered(door: Door) -> bool {
    let Ok(Held::Tcp(mut stream)) = door.connect().await else {
        return false;
    };
    let ask = b"GET /healthz HTTP/1.1\r\nHost: hq.test\r\nConnection: close\r\n\r\n";
    let _ = stream.write_all(ask).await;
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    heard.starts_with(b"HTTP/1.1 200")
}

/// Adds a line to the book of `scripts/attack`, if it asks for one.
fn report(line: &str) {
    use std::io::Write as _;
    if let Ok(path) = std::env::var("ATTACK_REPORT") {
        let book = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(Path::new(&path));
        writeln!(book.unwrap(), "{line}").unwrap();
    }
}
