//! The ledger: whole, right and this store's own; its tills, their keys, and what waits for FDMS.

use std::path::Path;
use std::time::Duration;

use clock::Timestamp;
use fiscal::DateTime;
use sync_wire::state::{QueueState, StoreState, TillState};

use super::{Area, Finding};
use crate::config::Config;
use crate::keys::{DeviceKey, KeyError, SealingKey};
use crate::ledger::copies;
use crate::ledger::hq::HqState;
use crate::ledger::replacing::may_begin;
use crate::ledger::verify::{Verified, VerifyError, verify};
use crate::ledger::{Environment, FileDoubt, LedgerError, Reader, StorageError, TillId, TillInfo};
use crate::time::{Anchor, TimeKeeper};

/// The longest that everything is computed again here; `fiscald verify` takes as long as it takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// What waits for FDMS longer than this is worth a word: a night without internet is not.
const OLD: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

const KEEP_A_COPY: &str = "Stop the gateway, keep a copy of the whole data folder as it is, and sell on another till until it is understood; \
                           `fiscald verify` says more.";

/// What the ledger tells.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) reader: Reader,
    pub(super) tills: Vec<TillInfo>,
    pub(super) state: StoreState,
    pub(super) anchor: Option<Anchor>,
    pub(super) last_date: Option<DateTime>,
    pub(super) hq: Option<HqState>,
    pub(super) sealing: Option<SealingKey>,
    /// Key and certificate of each till that has both.
    pub(super) identities: Vec<(TillId, DeviceKey, String)>,
}

impl Store {
    /// The tills that sell or have something to send, with how they are.
    pub(super) fn living(&self) -> impl Iterator<Item = (&TillInfo, &TillState)> {
        let all = self.tills.iter().zip(&self.state.tills);
        all.filter(|(_, state)| {
            let retired = |kind: &str| kind == "retired";
            !state.hold.as_ref().is_some_and(|hold| retired(&hold.kind))
        })
    }

    /// Whether the store has a till in this environment that is not retired.
    pub(super) fn uses(&self, environment: Environment) -> bool {
        self.living()
            .any(|(info, _)| info.environment == environment)
    }
}

/// How a till is called in a report.
pub(super) fn till_name(info: &TillInfo) -> String {
    format!("till {} ({})", info.device_id, info.environment)
}

/// Looks at the ledger; none if it cannot be read.
pub(super) async fn look(
    config: &Config,
    key: Option<SealingKey>,
    found: &mut Vec<Finding>,
) -> Option<Store> {
    if !config.data_dir().is_dir() {
        found.push(Finding::skipped(Area::Ledger, "there is no data folder"));
        return None;
    }
    let path = config.ledger_path();
    if !path.exists() {
        found.push(missing(&path));
        return None;
    }
    let computed = recompute(&path).await;
    let checked = computed.is_ok();
    found.push(computed.unwrap_or_else(|finding| finding));
    if !checked && found.iter().any(|finding| finding.code == "ledger_newer") {
        return None;
    }
    match read(&path, key, found) {
        Ok(store) => Some(store),
        Err(error) => {
            if checked {
                found.push(Finding::fault(
                    Area::Ledger,
                    "ledger_unreadable",
                    error.to_string(),
                    KEEP_A_COPY,
                ));
            }
            None
        }
    }
}

fn missing(path: &Path) -> Finding {
    match may_begin(path) {
        Ok(()) => Finding::fault(
            Area::Ledger,
            "ledger_missing",
            format!("there is no ledger at {}", path.display()),
            "A new store is set up by `fiscald register`. If this store has sold before, put its ledger back: never begin anew.",
        ),
        Err(error) => Finding::fault(
            Area::Ledger,
            "ledger_set_aside",
            error.to_string(),
            "Give the same `fiscald restore` once more (/usr/share/doc/fiscald/BACKUP.md, Putting one back).",
        ),
    }
}

/// Computes everything again, as far as the time allows.
async fn recompute(path: &Path) -> Result<Finding, Finding> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let own = path.to_owned();
    // A thread of its own: it may go on for long after nobody waits for it.
    let started = std::thread::Builder::new()
        .name("doctor-verify".to_owned())
        .spawn(move || {
            let _ = sender.send(verify(&own, &mut |_, _| {}));
        });
    if let Err(error) = started {
        return Err(Finding::fault(
            Area::Ledger,
            "ledger_unreadable",
            format!("no thread can be started: {error}"),
            "Restart the machine.",
        ));
    }
    match tokio::time::timeout(PATIENCE, receiver).await {
        Ok(Ok(Ok(verified))) => Ok(agrees(path, &verified)),
        Ok(Ok(Err(error))) => Err(wrong(path, &error)),
        Ok(Err(_)) => Err(Finding::fault(
            Area::Ledger,
            "ledger_unreadable",
            "checking the ledger has failed; this is a defect",
            "Report it, with a support bundle (`fiscald doctor --bundle FILE`).",
        )),
        Err(_) => Ok(Finding::warning(
            Area::Ledger,
            "ledger_not_all_checked",
            format!(
                "it is large: not all of it could be checked within {} s",
                PATIENCE.as_secs()
            ),
            "`fiscald verify` checks all of it; it may run beside the gateway.",
        )),
    }
}

fn agrees(path: &Path, verified: &Verified) -> Finding {
    Finding::ok(
        Area::Ledger,
        format!(
            "{}: {} tills, {} days, {} receipts, {} audit rows agree",
            path.display(),
            verified.tills,
            verified.days,
            verified.receipts,
            verified.audit
        ),
    )
}

fn wrong(path: &Path, error: &VerifyError) -> Finding {
    let text = error.to_string();
    let (code, next) = match error {
        VerifyError::Wrong { place, .. } if place == "user_version" => {
            return Finding::warning(
                Area::Ledger,
                "ledger_older",
                text,
                "Start the gateway: it brings the ledger up to this version.",
            );
        }
        VerifyError::Wrong { place, .. } if place == "database file" => {
            ("ledger_damaged", KEEP_A_COPY)
        }
        VerifyError::Wrong { .. } | VerifyError::Storage(StorageError::Key(_)) => {
            ("ledger_contradicts", KEEP_A_COPY)
        }
        VerifyError::Storage(StorageError::Newer { .. }) => (
            "ledger_newer",
            "Install the version of fiscald that wrote it, or a newer one; an older one never opens it.",
        ),
        VerifyError::Storage(error) if error.is_damage() => ("ledger_damaged", KEEP_A_COPY),
        VerifyError::Storage(_) => (
            "ledger_unreadable",
            "See that this user may read the ledger and write in its folder; look at `dmesg`.",
        ),
    };
    Finding::fault(
        Area::Ledger,
        code,
        format!("{}: {text}", path.display()),
        next,
    )
}

fn read(
    path: &Path,
    sealing: Option<SealingKey>,
    found: &mut Vec<Finding>,
) -> Result<Store, LedgerError> {
    let reader = Reader::new(path);
    let mut store = Store {
        tills: reader.tills()?,
        state: reader.hq_store_state()?,
        anchor: reader.time_anchor()?,
        last_date: reader.last_date()?,
        hq: reader.hq()?,
        identities: Vec::new(),
        sealing,
        reader,
    };
    if let Some(doubt) = store.reader.file_doubt(path)? {
        found.push(copied(&doubt));
    }
    if store.tills.is_empty() {
        found.push(Finding::fault(
            Area::Ledger,
            "no_till",
            "there is no till in it",
            "Register one: `fiscald register`.",
        ));
    } else {
        found.extend(recovery(path, &store.reader)?);
    }
    let mut identities = Vec::new();
    let living: Vec<(TillInfo, TillState)> = store
        .living()
        .map(|(info, state)| (info.clone(), state.clone()))
        .collect();
    for (info, state) in &living {
        found.extend(hold(info, state));
        let Some(sealing) = &store.sealing else {
            continue;
        };
        match store.reader.identity(info.id, sealing) {
            Ok(Some((key, pem))) => identities.push((info.id, key, pem)),
            Ok(None) => {}
            Err(LedgerError::Storage(StorageError::Key(error))) => {
                found.push(no_key(&error).about(till_name(info)));
            }
            Err(error) => return Err(error),
        }
    }
    store.identities = identities;
    Ok(store)
}

/// Whether there is a passphrase that opens backups on another machine, and somebody has shown that he has it.
fn recovery(path: &Path, reader: &Reader) -> Result<Option<Finding>, LedgerError> {
    if copies::recovery(path)?.is_none() {
        return Ok(Some(Finding::warning(
            Area::Ledger,
            "recovery_missing",
            "it has no recovery passphrase: no till could sell from a backup on another machine",
            "Make one, write it down and keep it away from this machine: `fiscald recovery renew`.",
        )));
    }
    if reader.recovery_tested()?.is_none() {
        return Ok(Some(Finding::warning(
            Area::Ledger,
            "recovery_untested",
            "nobody has tested the recovery passphrase since it was made: the note may be lost or wrong",
            "Type it in from the note: `fiscald recovery test`. If the note is lost: `fiscald recovery renew`.",
        )));
    }
    Ok(None)
}

fn copied(doubt: &FileDoubt) -> Finding {
    match doubt {
        FileDoubt::Behind(why) => Finding::fault(
            Area::Ledger,
            "ledger_behind",
            format!("it is an older copy, or another store's: {why}"),
            "Stop the gateway and put the original ledger back, if it is still there. Else start it with a line to FDMS: no till \
             sells before FDMS has said what it has.",
        ),
        FileDoubt::Moved => Finding::warning(
            Area::Ledger,
            "ledger_moved",
            "its file is another one than before: it was copied, moved or put back from a backup",
            "If the original has sold since, put that back. Else start the gateway with a line to FDMS: it asks before it sells.",
        ),
    }
}

fn hold(info: &TillInfo, state: &TillState) -> Option<Finding> {
    let hold = state.hold.as_ref()?;
    let text = format!("it takes no sales: {}", hold.reason);
    let finding = match hold.kind.as_str() {
        "disabled" => Finding::warning(
            Area::Ledger,
            "till_disabled",
            text,
            "Have its environment switched on again at head office.",
        ),
        "ahead" => Finding::fault(
            Area::Ledger,
            "till_ahead",
            text,
            "Is the original ledger still there? Stop the gateway and put it back. Else `fiscald till adopt`.",
        ),
        _ => Finding::fault(
            Area::Ledger,
            "till_unchecked",
            text,
            "Connect the store to FDMS; without a line, and only if it has surely sold nothing since: `fiscald till confirm`.",
        ),
    };
    Some(finding.about(till_name(info)))
}

fn no_key(error: &KeyError) -> Finding {
    let text = error.to_string();
    match error {
        KeyError::OtherKey { .. } => Finding::fault(
            Area::Ledger,
            "sealing_key_other",
            text,
            "Put back the sealing key that belongs to this ledger.",
        ),
        _ => Finding::fault(
            Area::Ledger,
            "till_key_damaged",
            text,
            "Put the ledger back from a backup, or register the till anew: `fiscald register --again`.",
        ),
    }
}

/// What waits for FDMS, and days that have lasted too long.
pub(super) fn queues(store: &Store, keeper: &TimeKeeper, found: &mut Vec<Finding>) {
    let now = keeper.now();
    for (info, state) in store.living() {
        let mut findings: Vec<Finding> = queue(&state.queue, now).into_iter().collect();
        findings.extend(day(store, info, now));
        if findings.is_empty() {
            let text = format!("{} wait for FDMS", state.queue.waiting);
            findings.push(Finding::ok(Area::Queue, text));
        }
        found.extend(findings.into_iter().map(|f| f.about(till_name(info))));
    }
}

fn queue(queue: &QueueState, now: Timestamp) -> Option<Finding> {
    let head = queue.head.as_ref()?;
    if let Some(parked) = &head.parked {
        return Some(Finding::fault(
            Area::Queue,
            "queue_parked",
            format!(
                "{} wait, and nothing is sent: {}",
                queue.waiting, parked.reason
            ),
            "`fiscald queue head` shows what FDMS says to it; mend the reason, then `fiscald queue retry`.",
        ));
    }
    let oldest = Timestamp::from_millisecond(queue.oldest_at?).ok()?;
    let age = now.duration_since(oldest);
    if age < OLD {
        return None;
    }
    let last = head.last_error.as_deref().unwrap_or("it was not tried yet");
    Some(Finding::warning(
        Area::Queue,
        "queue_old",
        format!(
            "{} wait for FDMS, the oldest for {} h: {last}",
            queue.waiting,
            age.as_hours()
        ),
        "Connect the store, and see that the gateway runs; all of it goes by itself then.",
    ))
}

fn day(store: &Store, info: &TillInfo, now: Timestamp) -> Option<Finding> {
    // What cannot be read has been said of the ledger.
    let day = store.reader.day(info.id, None).ok()??;
    let taxpayer = store.reader.taxpayer(info.id).ok()??;
    if day.close.is_some() {
        return None;
    }
    let open = now.duration_since(clock::instant(day.opened));
    let longest = jiff::SignedDuration::from_hours(taxpayer.day_max_hours.into());
    (open > longest).then(|| {
        Finding::warning(
            Area::Queue,
            "day_overdue",
            format!(
                "its fiscal day {} is open for {} h; at most {} are allowed",
                day.fiscal_day_no,
                open.as_hours(),
                longest.as_hours()
            ),
            "Close it: `fiscald day close`; or let the gateway do it (`day_closing` in [store]).",
        )
    })
}
