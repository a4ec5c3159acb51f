//! A till: a thread with one connection that is kept, which does what it is told, one thing after the other.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use clock::{Clock as _, SystemClock, TestClock};
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::{GenOptions, Issued, Random, Sale, random_sale};
use fiscal::{
    Cents, Currency, DeviceId, FiscalDayNo, Percent, ReceiptGlobalNo, ReceiptType, TaxId,
};

use super::shop::Kind;
use crate::crash;
use crate::support::process::{Http, HttpAnswer, PATIENCE};

/// So many invoices are remembered to write notes on, and so many sales to be sent again.
const REMEMBERED: usize = 40;
/// A note of the wished kind is drawn after so many draws, or never.
const DRAWS: usize = 60;
/// A connection that was silent for so long may have been closed by the gateway (docs/API.md): it is opened anew. Real
/// time, as the gateway's.
const SILENT: Duration = Duration::from_secs(60);
/// Jobs that may wait for a till; the time stands still for one with more.
const WAITING: usize = 2;

/// What the till was told of a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) number: String,
    pub(super) hash: String,
}

/// A till's way to the gateway.
enum Line {
    Http(Http),
    /// JSON lines.
    Lines(BufReader<TcpStream>),
}

/// Where and as whom a till sells.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) device: u32,
    pub(super) token: String,
    pub(super) address: SocketAddr,
    pub(super) is_lines: bool,
}

/// A job that is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// A receipt that was not there before.
    pub(super) is_new: bool,
    /// From sending to the answer.
    pub(super) took: Duration,
}

pub(super) struct Till {
    place: Place,
    line: Line,
    used: Duration,
    clock: Arc<TestClock>,
    random: Random,
    taxpayer: Arc<Taxpayer>,
    originals: VecDeque<Issued>,
    recent: VecDeque<(String, String)>,
    book: Book,
}

/// What a till was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) device: u32,
    /// Sales that were answered, by key.
    pub(super) told: BTreeMap<String, Told>,
    /// Notes among them.
    pub(super) notes: u64,
    /// Answers to sales that were sent again.
    pub(super) repeats: u64,
}

impl Line {
    fn open(place: &Place) -> std::io::Result<Self> {
        if !place.is_lines {
            return Ok(Self::Http(Http::open(place.address)?));
        }
        let stream = TcpStream::connect(place.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self::Lines(BufReader::new(stream)))
    }

    fn post(&mut self, path: &str, token: &str, body: &str) -> std::io::Result<HttpAnswer> {
        match self {
            Self::Http(http) => http.post(path, token, body),
            Self::Lines(stream) => {
                let body = if body.is_empty() { "null" } else { body };
                let request = format!(
                    r#"{{"id":1,"method":"POST","path":"{path}","headers":{{"Authorization":"Bearer {token}"}},"body":{}}}"#,
                    body.replace('\n', " ")
                );
                stream.get_mut().write_all((request + "\n").as_bytes())?;
                let mut line = String::new();
                if stream.read_line(&mut line)? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                let answer: serde_json::Value = serde_json::from_str(&line)?;
                Ok(HttpAnswer {
                    status: answer["status"].to_string().parse().unwrap(),
                    body: answer["body"].to_string(),
                })
            }
        }
    }
}

impl Till {
    pub(super) fn new(
        place: Place,
        taxpayer: Arc<Taxpayer>,
        clock: Arc<TestClock>,
        seed: u64,
    ) -> Self {
        let line = Line::open(&place).unwrap();
        let device = place.device;
        Self {
            random: Random::new(seed ^ (u64::from(device) << 32)),
            place,
            line,
            used: SystemClock.boot(),
            clock,
            taxpayer,
            originals: VecDeque::new(),
            recent: VecDeque::new(),
            book: Book {
                device,
                ..Book::default()
            },
        }
    }

    /// Ends the connection; the till's book is left.
    pub(super) fn hang_up(self) -> Book {
        self.book
    }

    /// Does what it is told until nobody tells it any more; what is done goes to `done`.
    pub(super) fn start(mut self, done: Sender<Done>) -> (SyncSender<Kind>, JoinHandle<Self>) {
        let (jobs, told): (_, Receiver<Kind>) = sync_channel(WAITING);
        let thread = std::thread::spawn(move || {
            while let Ok(kind) = told.recv() {
                if done.send(self.work(kind)).is_err() {
                    break;
                }
            }
            self
        });
        (jobs, thread)
    }

    fn work(&mut self, kind: Kind) -> Done {
        let (is_new, took) = match kind {
            Kind::Invoice | Kind::Credit | Kind::Debit => self.sell(kind),
            Kind::Probe => {
                let key = self.next_key("P");
                let body = crash::sale(&key);
                let (answer, took) = self.post("/v1/receipts", &body);
                self.remember(key, body, &answer, 201);
                (true, took)
            }
            Kind::Repeat => match self.random.pick(self.recent.make_contiguous()).cloned() {
                None => self.sell(Kind::Invoice),
                Some((key, body)) => {
                    let (answer, took) = self.post("/v1/receipts", &body);
                    self.remember(key, body, &answer, 200);
                    self.book.repeats += 1;
                    (false, took)
                }
            },
            Kind::Close => {
                let (answer, took) = self.post("/v1/days/close", "");
                assert_eq!(answer.status / 100, 2, "{}", answer.body);
                (false, took)
            }
        };
        Done { is_new, took }
    }

    /// Nothing but silence may end a connection to a gateway that runs.
    fn post(&mut self, path: &str, body: &str) -> (HttpAnswer, Duration) {
        if SystemClock.boot() - self.used > SILENT {
            self.line = Line::open(&self.place).unwrap();
        }
        let sent = SystemClock.boot();
        let answer = self.line.post(path, &self.place.token, body);
        self.used = SystemClock.boot();
        let answer = answer.unwrap_or_else(|error| panic!("no answer to {path}: {error}: {body}"));
        (answer, self.used - sent)
    }

    fn next_key(&self, prefix: &str) -> String {
        format!("{prefix}{}-{}", self.place.device, self.book.told.len() + 1)
    }

    fn sell(&mut self, kind: Kind) -> (bool, Duration) {
        let key = self.next_key("S");
        let sale = self.draw(kind, &key);
        let (answer, took) = self.post("/v1/receipts", &sale.json);
        let body = sale.json.clone();
        self.remember(key, body, &answer, 201);
        match sale.original {
            Some(place) => {
                self.originals[place].noted(Cents::new(sale.total));
                self.book.notes += 1;
            }
            None => {
                self.originals.push_back(self.issued(&sale, &answer));
                if self.originals.len() > REMEMBERED {
                    self.originals.pop_front();
                }
            }
        }
        (true, took)
    }

    fn draw(&mut self, kind: Kind, key: &str) -> Sale {
        let wished = match kind {
            Kind::Credit => ReceiptType::CreditNote,
            Kind::Debit => ReceiptType::DebitNote,
            Kind::Invoice | Kind::Repeat | Kind::Probe | Kind::Close => ReceiptType::FiscalInvoice,
        };
        let originals: &[Issued] = if wished == ReceiptType::FiscalInvoice {
            &[]
        } else {
            self.originals.make_contiguous()
        };
        let options = GenOptions {
            device: None,
            invoice_no: key,
            date: clock::local(self.clock.wall()),
            currencies: &[Currency::USD],
            originals,
        };
        let mut draw = || random_sale(&mut self.random, &self.taxpayer, &options);
        let mut drawn = draw();
        for _ in 0..DRAWS {
            if drawn.receipt_type == wished {
                break;
            }
            drawn = draw();
        }
        drawn
    }

    /// What notes must know of an invoice.
    fn issued(&self, sale: &Sale, answer: &HttpAnswer) -> Issued {
        let number = |name: &str| answer.member(name).parse().unwrap();
        let mut taxes: Vec<_> = sale
            .taxes
            .iter()
            .map(|tax| {
                let percent = tax.percent.and_then(Percent::from_hundredths);
                (TaxId::new(tax.id).unwrap(), percent)
            })
            .collect();
        taxes.dedup();
        Issued {
            device_id: DeviceId::new(self.place.device).unwrap(),
            receipt_global_no: ReceiptGlobalNo::new(number("receiptGlobalNo")).unwrap(),
            fiscal_day_no: FiscalDayNo::new(number("fiscalDayNo")).unwrap(),
            date: answer.member("receiptDate").parse().unwrap(),
            currency: sale.currency,
            taxes,
            remaining: Cents::new(sale.total),
        }
    }

    /// Each answer to a key is the first one; `status` says whether this is it.
    fn remember(&mut self, key: String, body: String, answer: &HttpAnswer, status: u16) {
        assert_eq!(answer.status, status, "{key}: {}", answer.body);
        let told = Told {
            number: answer.member("receiptGlobalNo"),
            hash: answer.member("hash"),
        };
        let before = self.book.told.insert(key.clone(), told.clone());
        let is_first = before.is_none();
        assert_eq!(is_first, status == 201, "{key}");
        assert!(
            before.is_none_or(|before| before == told),
            "{key} has two receipts"
        );
        if is_first {
            self.recent.push_back((key, body));
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
        }
    }
}
