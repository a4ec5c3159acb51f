//! Random ledgers, lost and built again from their lines.

use std::time::Duration;

use drivers::job::{JobState, Level};
use fiscal::{FiscalDayNo, ReceiptGlobalNo};
use proptest::prelude::{ProptestConfig, proptest};
use sync_wire::chain::ChainHash;

use crate::keys::{DeviceKey, KeyKind, SealingKey};
use crate::ledger::adoption::{AdoptedDay, Adoption};
use crate::ledger::core::Core;
use crate::ledger::holds::HoldKind;
use crate::ledger::hq::Line;
use crate::ledger::hq::lines_tests::Life;
use crate::ledger::printing::{Heading, NewPrint};
use crate::ledger::verify::verify;
use crate::ledger::{LedgerError, Reader, Refusal, SaleDone, Seq, Settings, TillId};

/// A new machine's ledger.
struct Machine {
    dir: tempfile::TempDir,
    core: Core,
}

impl Machine {
    fn new(life: &Life) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = life.store.clock.clone();
        let key = SealingKey::random().unwrap();
        let core = Core::open(
            &dir.path().join("ledger.db"),
            key,
            clock,
            Settings::default(),
        );
        Self {
            core: core.unwrap(),
            dir,
        }
    }

    fn reader(&self) -> Reader {
        Reader::new(&self.dir.path().join("ledger.db"))
    }

    fn rebuild(&mut self, lines: &[Line]) -> Result<i64, LedgerError> {
        let lines = lines.iter().map(|line| Ok(line.bytes.clone()));
        self.core.write(|core| core.rebuild(lines, "test"))
    }

    fn verify(&self) {
        verify(&self.dir.path().join("ledger.db"), &mut |_, _| {}).unwrap();
    }

    /// As registering again and FDMS's answer do it.
    fn can_sell_again(&mut self, till: TillId) {
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let done = self.core.write(|core| {
            let row = core.add_key(till, &key, "test")?;
            core.add_certificate(till, row, &pem, "test")?;
            core.release_till(till, HoldKind::Unchecked, "test")
        });
        assert!(done.unwrap());
    }
}

/// All that a till's stream and chain stand at.
fn stands(reader: &Reader, till: TillId) -> String {
    let (stream, head) = reader.stream(till).unwrap();
    let day = reader.day(till, None).unwrap();
    let last = reader.last_receipt(till).unwrap();
    let backlog = reader.backlog(till).unwrap();
    let at = (stream.cursor, stream.last_day_no, stream.last_global_no);
    format!(
        "{at:?} {:?} {head:?} {day:?} {last:?} {backlog:?}",
        stream.parked.is_some()
    )
}

/// What a paper of this event is headed with.
fn heading(core: &mut Core, till: TillId, seq: Seq) -> Heading {
    let taken = core.write(|core| {
        core.queue_prints(&[NewPrint::receipt("front", till, seq)])?;
        core.take_print("front")
    });
    let taken = taken.unwrap().unwrap();
    let done = core.write(|core| {
        core.keep_print(taken.id, &JobState::Sending, false)?;
        core.keep_print(taken.id, &JobState::Done(Level::Processed), false)
    });
    done.unwrap();
    taken.heading
}

/// Rebuilt, compared, and sold on.
fn lost_and_rebuilt(mut life: Life) {
    let lines = life.lines();
    let mut machine = Machine::new(&life);
    let count = machine.rebuild(&lines).unwrap();
    assert_eq!(usize::try_from(count).unwrap(), lines.len());
    machine.verify();
    let (old, new) = (life.reader(), machine.reader());
    let again = new.hq_lines(0, lines.len(), usize::MAX).unwrap();
    assert_eq!(again, lines);
    for till in life.tills {
        assert_eq!(stands(&new, till), stands(&old, till));
        let hold = new.hold(till).unwrap().unwrap();
        assert_eq!(hold.kind, HoldKind::Unchecked);
        assert_eq!(new.certificate_pem(till).unwrap(), None);
    }
    // Nothing is printed once more.
    let cursor = new.print_cursor().unwrap().unwrap();
    assert_eq!(cursor.0, count);
    for till in life.tills {
        machine.can_sell_again(till);
    }
    let (last, _) = new.last_receipt(life.tills[0]).unwrap();
    let printed = new.by_number(life.tills[0], last).unwrap();
    if let Some(printed) = printed {
        let paper = heading(&mut machine.core, life.tills[0], printed.seq);
        assert_eq!(paper, Heading::Copy, "the lost machine has printed it");
    }
    std::mem::swap(&mut life.store.core, &mut machine.core);
    let (before, _) = new.last_receipt(life.tills[0]).unwrap();
    let sale = life.store.sale("AFTER-1");
    let done = life
        .store
        .core
        .issue(vec![sale])
        .unwrap()
        .remove(0)
        .unwrap();
    let SaleDone::Issued(issued) = done else {
        panic!("{done:?}");
    };
    assert_eq!(issued.receipt.global_no, before.next());
    let paper = heading(&mut life.store.core, life.tills[0], issued.seq);
    assert_eq!(paper, Heading::Original);
    // Head office's past is the new ledger's too.
    let hash = new.hq_hash_at(0, ChainHash::START, count).unwrap();
    let folded = lines
        .iter()
        .fold(ChainHash::START, |hash, line| hash.then(&line.bytes));
    assert_eq!(hash, Some(folded));
    machine.verify();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Receipts, days, closes, keys, what was sent and what was not: as before, and the chain goes on.
    #[test]
    fn random_ledgers(seed in 0_u64..1_000_000) {
        let mut life = Life::new(seed);
        for _ in 0..60 {
            life.step();
        }
        lost_and_rebuilt(life);
    }
}

/// Adoptions, with and without a day that was open then, a pause and a switch are as before.
#[test]
fn adoptions_pauses_and_switches() {
    let mut life = Life::new(5);
    for _ in 0..20 {
        life.step();
    }
    // Dates of receipts may run ahead; the day that other software opened is later than all of them.
    life.store.clock.advance(Duration::from_secs(3600));
    let [first, second] = life.tills;
    let number = |no| ReceiptGlobalNo::new(no).unwrap();
    let between = Adoption {
        last_day_no: FiscalDayNo::new(90).unwrap(),
        last_global_no: number(900),
        last_date: None,
        day: None,
    };
    let within = Adoption {
        day: Some(AdoptedDay {
            opened: life.store.core.time().local(),
            last_counter: fiscal::ReceiptCounter::new(3).unwrap(),
            last_hash: Some(fiscal::sign::hash("the last one")),
            totals: fiscal::counters::DayTotals::default(),
        }),
        ..between.clone()
    };
    let done = life.store.core.write(|core| {
        core.adopt(first, &between, "test")?;
        core.adopt(second, &within, "test")?;
        core.pause_stream(second, "the buyer asked for it", "test")?;
        core.switch_till(second, Some(first), "test")
    });
    done.unwrap();
    let switches = life.reader().switches().unwrap();
    let lines = life.lines();
    let mut machine = Machine::new(&life);
    machine.rebuild(&lines).unwrap();
    assert_eq!(machine.reader().switches().unwrap(), switches);
    let (stream, _) = machine.reader().stream(second).unwrap();
    assert_eq!(stream.parked.unwrap().reason, "the buyer asked for it");
    lost_and_rebuilt(life);
}

/// A line that is missing, another one or none leaves the ledger as empty as it was; so does one that is not empty.
#[test]
fn broken_lines_change_nothing() {
    let mut life = Life::new(9);
    for _ in 0..15 {
        life.step();
    }
    let lines = life.lines();
    let mut missing = lines.clone();
    missing.remove(3);
    let mut broken = lines.clone();
    broken[5].bytes.truncate(20);
    let mut unknown = lines.clone();
    unknown.retain(|line| !String::from_utf8_lossy(&line.bytes).contains("\"config.changed\""));
    let mut machine = Machine::new(&life);
    for wrong in [missing, broken, unknown] {
        let error = machine.rebuild(&wrong).unwrap_err();
        assert!(
            matches!(error, LedgerError::Refused(Refusal::NotNow(_))),
            "{error}"
        );
        assert!(machine.reader().is_blank().unwrap());
    }
    machine.rebuild(&lines).unwrap();
    let error = machine.rebuild(&lines).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    machine.verify();
}
