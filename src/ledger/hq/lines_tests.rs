//! Lines of random ledgers: they say what the ledger has, they come out the same each time, and their hashes walk.

use std::collections::BTreeMap;

use fiscal::draft::Draft;
use fiscal::testing::{GenOptions, Issued as Original, Random, random_sale};
use fiscal::{Currency, FiscalDayNo, ReceiptGlobalNo};
use proptest::prelude::{ProptestConfig, proptest};
use sync_wire::chain::ChainHash;
use sync_wire::entry::{Attempt, AttemptKind, AttemptOutcome, Entry, Fact, MAX_LINE};

use super::lines::{AdoptedBody, Line};
use super::tests::{joined, uuid};
use crate::ledger::adoption::Adoption;
use crate::ledger::stream::{Proof, Submission, Tried};
use crate::ledger::tests::Store;
use crate::ledger::{Reader, Sale, SaleDone, Seq, TillId};

/// A ledger with a random life.
pub(in crate::ledger) struct Life {
    pub(in crate::ledger) store: Store,
    random: Random,
    pub(in crate::ledger) tills: [TillId; 2],
    originals: Vec<Original>,
    sold: u32,
}

impl Life {
    pub(in crate::ledger) fn new(seed: u64) -> Self {
        let (mut store, _) = joined();
        let device = fiscal::DeviceId::new(43).unwrap();
        let other = crate::testing::add_till(&mut store.core, device).unwrap();
        Self {
            tills: [store.till, other],
            store,
            random: Random::new(seed),
            originals: Vec::new(),
            sold: 0,
        }
    }

    pub(in crate::ledger) fn reader(&self) -> Reader {
        Reader::new(&self.store.path())
    }

    pub(in crate::ledger) fn step(&mut self) {
        let till = *self.random.pick(&self.tills).unwrap();
        match self.random.between(0, 13) {
            0 => drop(self.store.core.write(|core| core.close_day(till, "test"))),
            1..=3 => self.send(till),
            4 => self.fail(till),
            5 => self.odd(till),
            6 => self.config(till),
            _ => self.sell(till),
        }
    }

    fn sell(&mut self, till: TillId) {
        self.sold += 1;
        let invoice_no = format!("S{}", self.sold);
        let taxpayer = self.reader().taxpayer(till).unwrap().unwrap();
        let currencies = ["USD", "ZWG"].map(|text| Currency::parse(text).unwrap());
        // The originals are of the first till: notes on them are its own.
        let originals: &[Original] = match till == self.tills[0] {
            true => &self.originals,
            false => &[],
        };
        let options = GenOptions {
            device: None,
            invoice_no: &invoice_no,
            date: self.store.core.time().local(),
            currencies: &currencies,
            originals,
        };
        let json = random_sale(&mut self.random, &taxpayer, &options).json;
        let (mut draft, findings) = Draft::read(json.as_bytes());
        assert_eq!(findings, [], "{json}");
        if self.random.between(0, 1) == 1 {
            draft.print.cashier = Some("Rudo \"the quick\"\n".to_owned());
        }
        let key = (self.random.between(0, 2) == 0).then(|| format!("key/{}", self.sold));
        let info = self.store.core.till(till).unwrap().info.ids();
        let sale = Sale::new(info, draft, key, "test".into());
        let done = self.store.core.issue(vec![sale]).unwrap().remove(0);
        let Ok(SaleDone::Issued(issued)) = done else {
            panic!("{done:?} {json}");
        };
        if till == self.tills[0] && issued.receipt.credit_debit_note.is_none() {
            let device = issued.till.device_id;
            let original = Original::of(&issued.receipt, device, issued.fiscal_day_no);
            self.originals = vec![original];
        } else if till == self.tills[0] {
            self.originals.clear();
        }
    }

    /// FDMS takes the head, with an answer of its own.
    fn send(&mut self, till: TillId) {
        let color = [None, Some("Yellow"), Some("Grey")];
        let color = *self.random.pick(&color).unwrap();
        let answer = format!("{{\"receiptID\":{},\n \"note\":\"ä\"}}", self.sold);
        let tried = Tried {
            before: 2,
            http_status: Some(200),
            duration_ms: 31,
        };
        let done = self.store.core.write(|core| {
            let (_, Some(item)) = core.stream(till)? else {
                return Ok(());
            };
            let submission = Submission {
                operation_id: Some("0HN:1".to_owned()),
                color: color.map(str::to_owned),
                answer,
                marks: Vec::new(),
                proof: Some(Proof::Unchecked),
                tried,
            };
            core.finish_item(till, &item, &submission)
        });
        done.unwrap();
    }

    fn fail(&mut self, till: TillId) {
        let done = self.store.core.write(|core| {
            let (_, Some(item)) = core.stream(till)? else {
                return Ok(());
            };
            let (kind, number) = item.kind.named();
            core.log_attempt(
                till,
                &Attempt {
                    item: kind,
                    item_seq: item.seq.0,
                    number,
                    attempt: 1,
                    outcome: AttemptOutcome::Later,
                    http_status: None,
                    code: None,
                    operation_id: None,
                    color: None,
                    error_message: Some("no way to FDMS".to_owned()),
                    duration_ms: 10_000,
                    answer: None,
                    server_signature: None,
                },
            )
        });
        done.unwrap();
    }

    /// Details that are a word, JSON over two lines, no JSON, nothing, or far too long.
    fn odd(&mut self, till: TillId) {
        let long = format!("{{\"a\":\"{}\"}}", "\u{1}é".repeat(MAX_LINE));
        let details = [
            "word",
            "{\"a\":\n1}",
            "{\"a\":",
            "",
            "12",
            "\"x\"",
            long.as_str(),
        ];
        let detail = *self.random.pick(&details).unwrap();
        let told = self
            .store
            .core
            .write(|core| core.tell(till, "odd.thing", detail));
        told.unwrap();
    }

    fn config(&mut self, till: TillId) {
        let serial_no = format!("till-{till:?}-{}", self.sold);
        let config = crate::testing::sample_config(&serial_no);
        let kept = self
            .store
            .core
            .write(|core| core.store_config(till, &config));
        kept.unwrap();
    }

    pub(in crate::ledger) fn lines(&self) -> Vec<Line> {
        self.reader().hq_lines(0, usize::MAX, usize::MAX).unwrap()
    }
}

/// What the lines say is what the ledger has.
fn says_what_is_there(life: &Life, lines: &[Line]) {
    let reader = life.reader();
    let events = reader.events(Seq(0), None, u32::MAX).unwrap();
    assert_eq!(lines.len(), events.len());
    let tills: BTreeMap<_, _> = reader
        .tills()
        .unwrap()
        .into_iter()
        .map(|till| (till.id, till))
        .collect();
    for (line, event) in lines.iter().zip(&events) {
        assert!(line.bytes.len() <= MAX_LINE && !line.bytes.contains(&b'\n'));
        let entry = Entry::read(&line.bytes).unwrap();
        assert_eq!(entry.line().unwrap(), line.bytes);
        assert_eq!((entry.seq, line.seq), (event.seq.0, event.seq.0));
        assert_eq!((entry.at, &entry.kind), (event.at, &event.kind));
        let till = event.till.map(|till| super::till_ref(&tills[&till]));
        assert_eq!(entry.till, till);
        match entry.fact().unwrap() {
            Fact::ReceiptIssued(told) => receipt(life, event.till.unwrap(), event.seq, &told),
            Fact::DayOpened(told) => {
                let no = FiscalDayNo::new(told.fiscal_day_no);
                let day = reader.day(event.till.unwrap(), no).unwrap().unwrap();
                assert_eq!(
                    (day.day_id, day.opened.to_string()),
                    (event.seq, told.opened)
                );
            }
            Fact::DayClosed(told) => {
                let no = FiscalDayNo::new(told.fiscal_day_no);
                let day = reader.day(event.till.unwrap(), no).unwrap().unwrap();
                let close = day.close.unwrap();
                assert_eq!((close.seq, day.day_id.0), (event.seq, told.day_seq));
                assert_eq!(day.totals.to_text(), told.totals);
                assert_eq!(close.signature.hash.to_string(), told.hash);
                assert!(told.body.contains(&told.signature));
            }
            Fact::Attempt(told) if told.outcome == AttemptOutcome::Accepted => {
                let kept = reader.submission(Seq(told.item_seq)).unwrap().unwrap();
                assert_eq!(told.answer, Some(kept.answer));
                assert_eq!(
                    (told.color, told.operation_id),
                    (kept.color, kept.operation_id)
                );
                assert_eq!(told.server_signature, kept.server_signature);
                assert_eq!((told.attempt, told.duration_ms), (3, 31));
            }
            Fact::Attempt(told) => assert_eq!(told.answer, None),
            Fact::TillAdded(told) => {
                let till = &tills[&event.till.unwrap()];
                assert_eq!(told.serial_no, till.serial_no);
            }
            Fact::ConfigChanged(told) => assert_eq!(told.changes, event.detail),
            Fact::CertificateUsed(told) => {
                let pem = reader.certificate_pem(event.till.unwrap()).unwrap();
                assert_eq!(Some(told.certificate), pem);
            }
            Fact::CommandDone(_) | Fact::Other => {}
        }
    }
}

fn receipt(life: &Life, till: TillId, seq: Seq, told: &sync_wire::entry::ReceiptIssued) {
    let reader = life.reader();
    let issued = reader.by_seq(seq).unwrap().unwrap();
    let read = crate::ledger::read::receipt_of(&told.body, "the line").unwrap();
    assert_eq!(read, issued.receipt);
    assert_eq!(told.receipt_global_no, read.global_no.get());
    assert_eq!(told.receipt_total, read.total.get());
    assert_eq!(told.invoice_no, read.invoice_no);
    assert_eq!(told.fiscal_day_no, issued.fiscal_day_no.get());
    assert_eq!(told.hash, issued.signature.hash.to_string());
    assert!(told.body.contains(&told.signature));
    let print = told.print.as_ref();
    let print = print.map_or(Default::default(), |text| {
        serde_json::from_str(text).unwrap()
    });
    assert_eq!(issued.print, print);
    let by_key = told
        .key
        .as_ref()
        .map(|key| reader.by_key(till, key).unwrap());
    if let Some(found) = by_key {
        assert_eq!(found.unwrap().seq, seq);
    }
    let note = issued.original.map(|original| original.global_no);
    let named = told.original_seq.map(Seq);
    let named = named.and_then(|seq| reader.by_seq(seq).unwrap());
    assert_eq!(named.map(|named| named.receipt.global_no), note);
}

/// The hash over the first lines.
fn folded(lines: &[Line]) -> ChainHash {
    let start = ChainHash::START;
    lines
        .iter()
        .fold(start, |hash, line| hash.then(&line.bytes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// The same lines come whenever they are asked for, in whatever pieces, also after a restart and a longer life.
    #[test]
    fn lines_say_what_is_there(seed in 0_u64..1_000_000) {
        let mut life = Life::new(seed);
        for _ in 0..60 {
            life.step();
        }
        let lines = life.lines();
        says_what_is_there(&life, &lines);
        let reader = life.reader();
        let mut pieces: Vec<Line> = Vec::new();
        loop {
            let after = pieces.last().map_or(0, |line| line.seq);
            let most = usize::try_from(life.random.between(1, 9)).unwrap();
            let piece = reader.hq_lines(after, most, 6_000).unwrap();
            let bytes: usize = piece.iter().map(|line| line.bytes.len() + 1).sum();
            assert!(piece.len() == 1 || (piece.len() <= most && bytes <= 6_000));
            if piece.is_empty() {
                break;
            }
            pieces.extend(piece);
        }
        assert_eq!(pieces, lines);
        life.store.reopen();
        for _ in 0..20 {
            life.step();
        }
        let longer = life.lines();
        assert!(longer.len() >= lines.len());
        assert_eq!(&longer[..lines.len()], &lines[..]);
        let middle = lines.len() / 2;
        let (from, hash) = (lines[middle - 1].seq, folded(&lines[..middle]));
        let last = lines.last().unwrap().seq;
        let walked = |from, hash, at| reader.hq_hash_at(from, hash, at).unwrap();
        assert_eq!(walked(0, ChainHash::START, from), Some(hash));
        assert_eq!(walked(from, hash, last), Some(folded(&lines)));
        assert_eq!(walked(from, hash, from), Some(hash));
        assert_eq!(walked(from, hash, from - 1), None);
        assert_eq!(walked(from, hash, last + 10_000), None);
        // Head office has all of it: verify walks the same way.
        let acked = life.store.core.write(|core| core.hq_acknowledge(uuid(1), last, folded(&lines)));
        assert!(acked.unwrap());
        life.store.verify().unwrap();
    }
}

/// A till that goes on from other numbers says so with all that it goes on from.
#[test]
fn adoptions_are_told_whole() {
    let mut life = Life::new(1);
    life.sell(life.tills[0]);
    let to = Adoption {
        last_day_no: FiscalDayNo::new(9).unwrap(),
        last_global_no: ReceiptGlobalNo::new(90).unwrap(),
        last_date: None,
        day: None,
    };
    let till = life.tills[0];
    life.store
        .core
        .write(|core| core.adopt(till, &to, "test"))
        .unwrap();
    let lines = life.lines();
    let entries = lines.iter().map(|line| Entry::read(&line.bytes).unwrap());
    let adopted = entries
        .into_iter()
        .find(|entry| entry.kind == "till.adopted");
    let body: AdoptedBody = serde_json::from_str(adopted.unwrap().body.get()).unwrap();
    assert_eq!((body.own_day_no, body.own_global_no), (1, 1));
    assert_eq!((body.last_day_no, body.last_global_no), (9, 90));
    assert_eq!(body.totals, None);
}

/// A ledger of the version before: its tills, first certificates and keys are told too, and what FDMS took comes with
/// FDMS's answers.
#[test]
fn older_ledgers_are_told_whole() {
    let mut life = Life::new(3);
    for _ in 0..12 {
        life.sell(life.tills[0]);
    }
    life.send(life.tills[0]);
    life.send(life.tills[0]);
    let newer = life.lines();
    let conn = &life.store.core.conn;
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF;
         DELETE FROM event WHERE kind LIKE 'hq.%';
         DELETE FROM event WHERE kind IN ('till.added', 'certificate.used', 'fdms.attempt');
         UPDATE event SET detail = json_remove(detail, '$.attempt') WHERE kind LIKE 'fdms.%';
         UPDATE event SET detail = NULL WHERE kind = 'receipt.issued';
         DROP TABLE hq; DROP TABLE hq_command; DROP TABLE gate; DROP TABLE blocked; DROP TABLE archive;
         ALTER TABLE till_state DROP COLUMN controlled;
         CREATE TABLE old (config_id INTEGER PRIMARY KEY, till_id INTEGER NOT NULL REFERENCES till,
           body TEXT NOT NULL, fetched_at INTEGER NOT NULL) STRICT;
         INSERT INTO old SELECT config_id, till_id, body, fetched_at FROM config;
         DROP TABLE config; ALTER TABLE old RENAME TO config;
         PRAGMA user_version = 7;",
    )
    .unwrap();
    life.store.reopen();
    let older = life.lines();
    let facts = |lines: &[Line]| -> Vec<Fact> {
        let facts = lines
            .iter()
            .map(|line| Entry::read(&line.bytes).unwrap().fact().unwrap());
        facts.collect()
    };
    let (newer, older_facts) = (facts(&newer), facts(&older));
    let tells = |wanted: &Fact| older_facts.contains(wanted);
    for fact in &newer {
        let is_attempt = matches!(fact, Fact::Attempt(_));
        assert!(is_attempt || tells(fact), "{fact:?}");
    }
    let keyed = newer.iter().filter(|fact| match fact {
        Fact::ReceiptIssued(told) => told.key.is_some(),
        _ => false,
    });
    assert!(keyed.count() > 0);
    let attempts: Vec<&Attempt> = newer
        .iter()
        .filter_map(|fact| match fact {
            Fact::Attempt(told) => Some(told),
            _ => None,
        })
        .collect();
    assert_eq!(attempts.len(), 2);
    assert!(
        attempts
            .iter()
            .all(|told| told.item != AttemptKind::SubmitFile)
    );
    for told in attempts {
        let text = serde_json::to_string(told.answer.as_ref().unwrap()).unwrap();
        let is_told = |line: &Line| String::from_utf8_lossy(&line.bytes).contains(&text);
        assert!(older.iter().any(is_told), "{text}");
    }
}
