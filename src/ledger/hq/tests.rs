//! Joining, acknowledging, forking, commands and wishes, each with the ledger opened again in between.

use secrecy::{ExposeSecret as _, SecretString};
use sync_wire::chain::ChainHash;
use sync_wire::command::{Command, CommandDone, CommandOutcome, Order};
use sync_wire::enrol::Past;
use sync_wire::seal::{SealKey, seal};
use sync_wire::{Environment as Env, TillRef};
use uuid::Uuid;

use super::wanted_tests::apply;
use super::*;
use crate::keys::SealingKey;
use crate::ledger::tests::Store;
use crate::ledger::{Refusal, Seq};

pub(super) const TILL: TillRef = TillRef {
    environment: Env::Test,
    device_id: 42,
};

pub(super) fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A store that has joined, in the series 1; and HQ's half of its sealing key.
pub(in crate::ledger) fn joined() -> (Store, String) {
    let mut store = Store::new();
    let (hq, public) = hq(uuid(1), None);
    store.core.write(|core| core.hq_join(&hq, "test")).unwrap();
    (store, public)
}

fn hq(epoch: Uuid, past: Option<Past>) -> (JoinedHq, String) {
    let (seal_key, public) = SealKey::new().unwrap();
    let hq = JoinedHq {
        url: "https://hq.example".to_owned(),
        ca: None,
        store_id: uuid(100),
        tenant_id: uuid(200),
        tenant: "Example Traders".to_owned(),
        store: "Harare 1".to_owned(),
        secret: SecretString::from("the store's secret"),
        seal_key,
        epoch,
        past,
    };
    (hq, public)
}

pub(super) fn state(store: &Store) -> HqState {
    Reader::new(&store.path()).hq().unwrap().unwrap()
}

pub(super) fn events(store: &Store, kind: &str) -> Vec<String> {
    let all = Reader::new(&store.path())
        .events(Seq(0), None, 10_000)
        .unwrap();
    let found = all.into_iter().filter(|event| event.kind == kind);
    found
        .map(|event| event.detail.unwrap_or_default())
        .collect()
}

/// The hash over the store's own lines up to one of them.
fn hash_of(store: &Store, at: i64) -> ChainHash {
    let reader = Reader::new(&store.path());
    reader.hq_hash_at(0, ChainHash::START, at).unwrap().unwrap()
}

fn command(no: i64, order: Order) -> Command {
    Command {
        id: uuid(1_000 + u128::try_from(no).unwrap()),
        no,
        actor: "hq:Rudo".to_owned(),
        expires: i64::MAX,
        order,
    }
}

fn done(command: &Command, lines: Option<Vec<String>>) -> CommandDone {
    CommandDone {
        id: command.id,
        no: command.no,
        kind: command.order.kind().to_owned(),
        outcome: CommandOutcome::Done,
        detail: "done".to_owned(),
        number: None,
        lines,
    }
}

/// What was joined is there after a restart; the secrets open with the store's key alone, and in their place.
#[test]
fn joining_is_kept() {
    let (mut store, public) = joined();
    store.reopen();
    let hq = state(&store);
    assert_eq!(
        (hq.epoch, hq.acked, hq.hash),
        (uuid(1), 0, ChainHash::START)
    );
    assert_eq!((hq.store_id, hq.fork), (uuid(100), None));
    assert_eq!(hq.waiting, store.core.next_seq - 1);
    let reader = Reader::new(&store.path());
    let (secret, key) = reader.hq_secret(&store.core.sealing).unwrap().unwrap();
    assert_eq!(secret.expose_secret(), "the store's secret");
    let sealed = seal(&public, "a", b"key").unwrap();
    assert_eq!(key.open(&sealed, "a").unwrap().as_slice(), b"key");
    assert!(reader.hq_secret(&SealingKey::random().unwrap()).is_err());
    let swap = "UPDATE hq SET secret = seal_key, seal_key = secret";
    store.core.conn.execute(swap, []).unwrap();
    assert!(reader.hq_secret(&store.core.sealing).is_err());
    let told = format!("{:?}", events(&store, "hq.joined"));
    assert!(
        told.contains("Harare 1") && !told.contains("secret"),
        "{told}"
    );
    store.verify().unwrap();
}

/// A store that leaves is on its own again: gates are open, and what HQ had asked for is forgotten.
#[test]
fn leaving_opens_what_was_closed() {
    let (mut store, _) = joined();
    apply(&mut store, 1, &[Env::Test], &[]);
    let asked = command(1, Order::UploadLog { lines: 9 });
    store
        .core
        .write(|core| core.hq_keep_commands(std::slice::from_ref(&asked)))
        .unwrap();
    assert!(store.issue(store.sale("A1")).is_err());
    store.core.write(|core| core.hq_leave("test")).unwrap();
    store.reopen();
    let reader = Reader::new(&store.path());
    assert_eq!(reader.hq().unwrap(), None);
    assert_eq!(reader.hq_next_command().unwrap(), None);
    store.issue(store.sale("A1")).unwrap();
    store.verify().unwrap();
    let again = store.core.write(|core| core.hq_leave("test"));
    assert!(matches!(
        again,
        Err(LedgerError::Refused(Refusal::Missing(_)))
    ));
}

/// Only forward, only in the own series, and never beyond what there is.
#[test]
fn acknowledged_forward_only() {
    let (mut store, _) = joined();
    let (three, four) = (hash_of(&store, 3), hash_of(&store, 4));
    let mut ack = |epoch, acked, hash| {
        store
            .core
            .write(|core| core.hq_acknowledge(epoch, acked, hash))
            .unwrap()
    };
    assert!(ack(uuid(1), 3, three));
    assert!(!ack(uuid(2), 4, four), "another series");
    assert!(!ack(uuid(1), 2, three), "back");
    assert!(!ack(uuid(1), 3, four), "another past");
    assert!(!ack(uuid(1), 99, four), "beyond the end");
    assert!(ack(uuid(1), 3, three), "once more");
    assert!(ack(uuid(1), 4, four));
    store.reopen();
    let hq = state(&store);
    assert_eq!((hq.acked, hq.hash), (4, four));
    assert!(hq.last_contact.is_some());
    store.verify().unwrap();
    // A hash that is not that of these lines is found.
    store
        .core
        .conn
        .execute("UPDATE hq SET hash = ?1", [three.0])
        .unwrap();
    let error = store.verify().unwrap_err().to_string();
    assert!(error.contains("head office"), "{error}");
}

/// A fork leaves the old series where HQ last acknowledged it, and is told until it is acknowledged itself. Another
/// one before that leaves from the same series: HQ may know no other.
#[test]
fn forks_leave_from_what_was_acknowledged() {
    let (mut store, _) = joined();
    let three = hash_of(&store, 3);
    store
        .core
        .write(|core| core.hq_acknowledge(uuid(1), 3, three))
        .unwrap();
    for epoch in [uuid(2), uuid(3)] {
        let fork = store
            .core
            .write(|core| core.hq_fork(epoch, "the ledger was put back"))
            .unwrap();
        assert_eq!((fork.parent, fork.at, fork.hash), (uuid(1), 3, three));
        store.reopen();
        let hq = state(&store);
        assert_eq!((hq.epoch, hq.acked, hq.fork), (epoch, 3, Some(fork)));
    }
    assert_eq!(events(&store, "hq.forked").len(), 2);
    let four = hash_of(&store, 4);
    store
        .core
        .write(|core| core.hq_acknowledge(uuid(3), 4, four))
        .unwrap();
    assert_eq!(state(&store).fork, None);
    store.verify().unwrap();
}

/// A store that joins again goes on where HQ is with it: in a new series, or in the same one.
#[test]
fn joining_again_goes_on() {
    let (mut store, _) = joined();
    let past = Past {
        epoch: uuid(1),
        acked: 4,
        hash: hash_of(&store, 4),
    };
    let mut join = |epoch, past| {
        let (hq, _) = hq(epoch, Some(past));
        store.core.write(|core| core.hq_join(&hq, "test"))
    };
    let beyond = Past {
        acked: 99,
        ..past.clone()
    };
    let refused = join(uuid(2), beyond).unwrap_err().to_string();
    assert!(refused.contains("up to 99"), "{refused}");
    join(uuid(1), past.clone()).unwrap();
    assert_eq!(state(&store).fork, None);
    let mut store = store;
    let (hq, _) = hq(uuid(2), Some(past));
    store.core.write(|core| core.hq_join(&hq, "test")).unwrap();
    let fork = state(&store).fork.unwrap();
    assert_eq!((fork.parent, fork.at), (uuid(1), 4));
    store.verify().unwrap();
}

/// A command is kept once, begun again after a crash, and ended once.
#[test]
fn commands_are_ended_once() {
    let (mut store, _) = joined();
    let first = command(1, Order::Retry { till: TILL });
    let second = command(2, Order::UploadLog { lines: 100 });
    let both = [first.clone(), second.clone()];
    let mut keep = |commands: &[Command]| store.core.write(|core| core.hq_keep_commands(commands));
    assert_eq!(keep(&both[..1]).unwrap(), 1);
    assert_eq!(keep(&both).unwrap(), 1);
    assert_eq!(keep(&both).unwrap(), 0);
    let other = Command {
        id: uuid(9),
        ..second.clone()
    };
    assert!(keep(&[other]).is_err());
    store.reopen();
    assert_eq!(state(&store).commands_seen, 2);
    let reader = Reader::new(&store.path());
    assert_eq!(reader.hq_next_command().unwrap().as_ref(), Some(&first));
    // Begun, and the power goes: it is begun again.
    for _ in 0..2 {
        let begun = store.core.write(|core| core.hq_begin_command(1)).unwrap();
        assert_eq!(begun.as_ref(), Some(&first));
        store.reopen();
        assert_eq!(reader.hq_next_command().unwrap().as_ref(), Some(&first));
    }
    let end = done(&first, None);
    store.core.write(|core| core.hq_end_command(&end)).unwrap();
    store.reopen();
    assert!(store.core.write(|core| core.hq_end_command(&end)).is_err());
    assert_eq!(
        store.core.write(|core| core.hq_begin_command(1)).unwrap(),
        None
    );
    assert!(store.core.write(|core| core.hq_begin_command(3)).is_err());
    assert_eq!(reader.hq_next_command().unwrap().as_ref(), Some(&second));
    // What came too late ends without having been begun. A log that is too long loses its oldest lines.
    let lines: Vec<String> = (0..20_000).map(|n| format!("line {n:>60}")).collect();
    let end = done(&second, Some(lines));
    store.core.write(|core| core.hq_end_command(&end)).unwrap();
    let told = events(&store, "hq.command");
    assert_eq!(told.len(), 2);
    let kept: CommandDone = serde_json::from_str(&told[1]).unwrap();
    let kept = kept.lines.unwrap();
    assert!(kept.len() > 1_000 && kept.last().unwrap().ends_with(" 19999"));
    assert!(told[1].len() < sync_wire::entry::MAX_LINE);
    store.verify().unwrap();
    let changed = "UPDATE hq_command SET outcome = '{}' WHERE no = 1";
    store.core.conn.execute(changed, []).unwrap();
    let error = store.verify().unwrap_err().to_string();
    assert!(error.contains("command 1"), "{error}");
}

/// A ledger that was put back has commands that another one may have carried out since: it forgets those that have not
/// ended, and takes what HQ hands down again.
#[test]
fn a_fork_forgets_what_is_open() {
    let (mut store, _) = joined();
    let asked = [1, 2, 3].map(|no| command(no, Order::UploadLog { lines: 100 }));
    store
        .core
        .write(|core| core.hq_keep_commands(&asked))
        .unwrap();
    let end = done(&asked[0], None);
    store.core.write(|core| core.hq_end_command(&end)).unwrap();
    store.core.write(|core| core.hq_begin_command(2)).unwrap();
    let forked = store.core.write(|core| core.hq_fork(uuid(2), "put back"));
    forked.unwrap();
    store.reopen();
    assert_eq!(state(&store).commands_seen, 1);
    let reader = Reader::new(&store.path());
    assert_eq!(reader.hq_next_command().unwrap(), None);
    assert!(store.core.write(|core| core.hq_end_command(&end)).is_err());
    // The second was done; only the third is open at HQ.
    let kept = store.core.write(|core| core.hq_keep_commands(&asked[2..]));
    assert_eq!(kept.unwrap(), 1);
    assert_eq!(reader.hq_next_command().unwrap().as_ref(), Some(&asked[2]));
}
