//! A store's disk: what is on it outlives whoever worked with it. Each call is one transaction, as the gateway's ledger
//! has it, and any of them may be the last thing that a process of the store does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_agent::{Line, Position, Store, StoreError};
use sync_wire::chain::ChainHash;
use sync_wire::command::{Command, CommandDone, CommandOutcome, Order};
use sync_wire::entry::{Entry, Fact};
use sync_wire::exchange::Fork;
use sync_wire::state::{StoreState, Wanted};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::super::shop::{self, Dice, Shop};
use super::Planted;

/// Lines of a batch at most: real ones are longer, and would meet fewer mishaps.
const MOST_LINES: u64 = 60;

/// A ledger. A clone is a backup.
#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) shop: Shop,
    /// Commands by their numbers.
    kept: BTreeMap<i64, Command>,
    /// The numbers of those that have ended.
    ended: BTreeSet<i64>,
    /// The commands whose receipt is issued.
    issued: BTreeSet<Uuid>,
}

impl Ledger {
    pub(super) const fn new(shop: Shop) -> Self {
        Self {
            shop,
            kept: BTreeMap::new(),
            ended: BTreeSet::new(),
            issued: BTreeSet::new(),
        }
    }

    /// Built again from its lines: what is in none of them is forgotten.
    pub(super) fn built_again(&self, lines: &[String]) -> Self {
        let mut ledger = Self::new(self.shop.built_again(lines));
        for line in lines {
            match Entry::read(line.as_bytes()).unwrap().fact().unwrap() {
                Fact::ReceiptIssued(receipt) => {
                    let key = receipt.key.unwrap_or_default();
                    ledger.issued.extend(command_of(&key));
                }
                Fact::CommandDone(done) => {
                    ledger.ended.insert(done.no);
                }
                _ => {}
            }
        }
        ledger
    }

    /// The commands that were carried out, whether their end is told or not.
    pub(super) fn carried_out(&self) -> impl Iterator<Item = Uuid> {
        self.issued.iter().copied()
    }

    fn next_command(&self) -> Option<Command> {
        let mut open = self.kept.values();
        open.find(|command| !self.ended.contains(&command.no))
            .cloned()
    }

    /// Issues the receipt that a command asks for. Whoever carries it out again finds it.
    fn issue(&mut self, command: &Command, dice: &mut Dice, planted: Planted) {
        if planted != Planted::CommandTwice && self.issued.contains(&command.id) {
            return;
        }
        self.shop.sell_under(&format!("hq:{}", command.id), dice);
        self.issued.insert(command.id);
    }

    fn end(&mut self, command: &Command) {
        if !self.ended.insert(command.no) {
            return;
        }
        let done = CommandDone {
            id: command.id,
            no: command.no,
            kind: command.order.kind().to_owned(),
            outcome: CommandOutcome::Done,
            detail: "done".to_owned(),
            number: None,
            lines: None,
        };
        self.shop.tell("hq.command", &done);
    }

    fn keep(&mut self, commands: Vec<Command>) -> Result<(), StoreError> {
        for command in commands {
            let known = self.kept.get(&command.no).map(|known| known.id);
            if known.is_some_and(|known| known != command.id) {
                return Err(StoreError(format!("another command is {}", command.no)));
            }
            self.shop.commands_seen = self.shop.commands_seen.max(command.no);
            self.kept.insert(command.no, command);
        }
        Ok(())
    }

    /// Begins a new series where head office last acknowledged something to this very ledger. What it was asked before
    /// and has not ended, another ledger may have done: head office says again what is open.
    fn fork(&mut self, epoch: Uuid, reason: &str) {
        let shop = &mut self.shop;
        let pending = shop.fork.as_ref().map(|fork| fork.parent);
        shop.fork = Some(Fork {
            parent: pending.unwrap_or(shop.epoch),
            at: shop.acked,
            hash: shop.hash,
            reason: reason.to_owned(),
        });
        shop.epoch = epoch;
        shop.tell_of(None, "hq.forked", &reason);
        self.kept.retain(|no, _| self.ended.contains(no));
        self.shop.commands_seen = self.kept.keys().next_back().copied().unwrap_or(0);
    }
}

/// The command that a receipt's key names.
fn command_of(key: &str) -> Option<Uuid> {
    Uuid::parse_str(key.strip_prefix("hq:")?).ok()
}

struct Inner {
    ledger: Ledger,
    dice: Dice,
    /// So many more steps, and the process is killed.
    fuse: Option<u64>,
    /// What head office has answered to this store: series, line and hash.
    told: BTreeSet<(Uuid, i64, [u8; 32])>,
    /// What must not be and was.
    wrong: Option<String>,
}

/// The disk of a store's machine.
pub(super) struct Disk {
    inner: Mutex<Inner>,
    /// The last line, and the last one that is acknowledged.
    pub(super) marks: watch::Sender<(i64, i64)>,
    /// The process is at its end.
    pub(super) died: Notify,
    /// A command was kept.
    bell: Notify,
    planted: Planted,
}

impl Disk {
    pub(super) fn new(ledger: Ledger, dice: Dice, planted: Planted) -> Self {
        let disk = Self {
            inner: Mutex::new(Inner {
                ledger,
                dice,
                fuse: None,
                told: BTreeSet::new(),
                wrong: None,
            }),
            marks: watch::Sender::new((0, 0)),
            died: Notify::new(),
            bell: Notify::new(),
            planted,
        };
        disk.with(|_, _| ());
        disk
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with the ledger as nobody's last step.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Ledger, &mut Dice) -> T) -> T {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let done = work(&mut inner.ledger, &mut inner.dice);
        self.mark(&inner.ledger);
        done
    }

    fn mark(&self, ledger: &Ledger) {
        let marks = (ledger.shop.last_seq(), ledger.shop.acked);
        self.marks
            .send_if_modified(|known| std::mem::replace(known, marks) != marks);
    }

    /// A step of the store's process. One at which it is killed happens or does not, and never returns.
    pub(super) async fn step<T>(&self, work: impl FnOnce(&mut Ledger, &mut Dice) -> T) -> T {
        let done = {
            let mut inner = self.lock();
            let inner = &mut *inner;
            let is_last = inner.fuse == Some(0);
            inner.fuse = inner.fuse.and_then(|left| left.checked_sub(1));
            let happens = !is_last || inner.dice.below(2) == 0;
            let done = happens.then(|| work(&mut inner.ledger, &mut inner.dice));
            self.mark(&inner.ledger);
            done.filter(|_| !is_last)
        };
        match done {
            Some(done) => done,
            None => {
                self.died.notify_one();
                std::future::pending().await
            }
        }
    }

    /// The process is killed at a step from here on.
    pub(super) fn kill_within(&self, steps: u64) {
        let mut inner = self.lock();
        let steps = inner.dice.below(steps);
        inner.fuse = Some(steps);
    }

    /// The worst moment for a process to be killed is between what a command does and its end: one in three is.
    fn strike(&self) {
        let mut inner = self.lock();
        if inner.dice.below(3) == 0 {
            inner.fuse = Some(0);
        }
    }

    /// Head office has said where it stands.
    pub(super) fn hear(&self, epoch: Uuid, acked: i64, hash: ChainHash) {
        self.lock().told.insert((epoch, acked, hash.0));
    }

    /// What must not be and was.
    pub(super) fn wrong(&self) -> Option<String> {
        self.lock().wrong.clone()
    }

    /// Carries commands out, one after the other, each first done and then ended.
    pub(super) async fn carry_out(&self) {
        loop {
            let Some(command) = self.step(|ledger, _| ledger.next_command()).await else {
                self.bell.notified().await;
                continue;
            };
            let planted = self.planted;
            if matches!(command.order, Order::SubmitTest { .. }) {
                self.step(|ledger, dice| ledger.issue(&command, dice, planted))
                    .await;
                self.strike();
            }
            self.step(|ledger, _| ledger.end(&command)).await;
        }
    }
}

fn line(line: &shop::Line) -> Line {
    Line {
        seq: line.seq,
        bytes: line.text.clone().into_bytes(),
    }
}

/// The disk as the agent has it.
pub(super) struct Outbox(pub(super) Arc<Disk>);

impl Store for Outbox {
    async fn position(&self) -> Result<Option<Position>, StoreError> {
        self.0
            .step(|ledger, _| {
                let shop = &ledger.shop;
                Ok(Some(Position {
                    epoch: shop.epoch,
                    fork: shop.fork.clone(),
                    acked: shop.acked,
                    hash: shop.hash,
                    commands_seen: shop.commands_seen,
                    bytes_per_second: None,
                }))
            })
            .await
    }

    async fn lines(&self, after: i64, most: usize, bytes: usize) -> Result<Vec<Line>, StoreError> {
        self.0
            .step(|ledger, dice| {
                let some = usize::try_from(1 + dice.below(MOST_LINES)).unwrap();
                let lines = ledger.shop.after(after, most.min(some));
                let mut room = bytes;
                let fit = lines.iter().enumerate().take_while(|(index, line)| {
                    let left = room.checked_sub(line.text.len() + 1);
                    room = left.unwrap_or(0);
                    left.is_some() || *index == 0
                });
                Ok(fit.map(|(_, one)| line(one)).collect())
            })
            .await
    }

    async fn hash_at(
        &self,
        from: i64,
        hash: ChainHash,
        at: i64,
    ) -> Result<Option<ChainHash>, StoreError> {
        self.0
            .step(|ledger, _| Ok(ledger.shop.hash_from(from, hash, at)))
            .await
    }

    async fn acknowledge(
        &self,
        epoch: Uuid,
        acked: i64,
        hash: ChainHash,
    ) -> Result<(), StoreError> {
        if !self.0.lock().told.contains(&(epoch, acked, hash.0)) {
            let text = format!("line {acked} is acknowledged, and head office never said so");
            self.0.lock().wrong = Some(text);
        }
        self.0
            .step(|ledger, _| {
                let shop = &mut ledger.shop;
                let is_forward = acked > shop.acked || acked == shop.acked && hash == shop.hash;
                if epoch != shop.epoch || !is_forward || acked > shop.last_seq() {
                    return Err(StoreError("it does not fit this ledger".to_owned()));
                }
                (shop.acked, shop.hash, shop.fork) = (acked, hash, None);
                Ok(())
            })
            .await
    }

    async fn fork(&self, reason: &str) -> Result<(), StoreError> {
        self.0
            .step(|ledger, dice| {
                ledger.fork(dice.uuid(), reason);
                Ok(())
            })
            .await
    }

    async fn keep(&self, commands: Vec<Command>) -> Result<(), StoreError> {
        self.0.step(|ledger, _| ledger.keep(commands)).await?;
        self.0.bell.notify_one();
        Ok(())
    }

    async fn apply(&self, wanted: Wanted) -> Result<(), StoreError> {
        self.0
            .step(|ledger, _| {
                ledger.shop.revision = ledger.shop.revision.max(wanted.revision);
                Ok(())
            })
            .await
    }

    async fn state(&self) -> Result<StoreState, StoreError> {
        self.0.step(|ledger, _| Ok(ledger.shop.state())).await
    }

    async fn beyond(&self, seq: i64) -> bool {
        let mut marks = self.0.marks.subscribe();
        marks.wait_for(|(last, _)| *last > seq).await.is_ok()
    }
}
