//! Joining HQ, and joining again on a new machine: the ledger is then built from what HQ has of the store.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::SharedClock;
use secrecy::SecretString;
use sync_agent::LinkError;
use sync_agent::entrance::Entrance;
use sync_agent::http::AddressError;
use sync_wire::VERSION;
use sync_wire::chain::ChainHash;
use sync_wire::enrol::{Enrol, Enrolled, ExpectedTill, KnownTill, Past};
use sync_wire::entry::Entry;
use sync_wire::seal::{SealError, SealKey};

use super::store::new_uuid;
use crate::fdms::{TlsError, TrustRoots, server_only};
use crate::ledger::core::Core;
use crate::ledger::hq::{HqState, JoinedHq};
use crate::ledger::verify::{VerifyError, verify};
use crate::ledger::{LedgerError, Reader};

/// Pages of a past are asked for so often before it is given up.
const TRIES: u32 = 6;
/// The pause between.
const PAUSE: Duration = Duration::from_secs(5);

/// Why the store has not joined; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum JoinHqError {
    /// The address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Whom to trust.
    #[error("{0}")]
    Trust(#[from] TlsError),
    /// HQ does not take the code, or is not reached.
    #[error(
        "{0}. Nothing was changed here; a code is good once, so if this one was used have a new one made"
    )]
    Hq(#[from] LinkError),
    /// No randomness.
    #[error("the store's keys cannot be made: {0}")]
    Key(#[from] SealError),
    /// No randomness.
    #[error("{0}")]
    Name(#[from] sync_agent::StoreError),
    /// A prefix of this ledger's is another one at HQ.
    #[error("{0}. Nothing was changed here. Correct it at head office, and have a new code made")]
    Prefix(String),
    /// HQ has a past of the store that is not this ledger's.
    #[error(
        "head office has {acked} events of this store, and they are not this ledger's. If the code is for another store, \
         take the right one. If this store has lost its machine, join from an empty data folder: the ledger is then built \
         again from head office's events. Nothing was changed here; have a new code made"
    )]
    OthersPast {
        /// So many.
        acked: i64,
    },
    /// The past cannot be fetched whole.
    #[error("{0}. Nothing was changed here; have a new code made and join again")]
    Past(String),
    /// A file beside the ledger.
    #[error("{path} cannot be used: {why}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The rebuilt ledger is not right.
    #[error(
        "the ledger that was built from head office's events does not verify: {0}. It must not be used: move the data \
         folder away, and report this"
    )]
    Verify(#[from] VerifyError),
}

/// What joining is given.
pub struct Joining<'a> {
    /// HQ's address.
    pub url: &'a str,
    /// The certificate authority of HQ's certificate, PEM.
    pub ca: Option<String>,
    /// The one-time code.
    pub code: &'a str,
    /// Who does it, for the audit.
    pub actor: &'a str,
    /// Where the ledger is.
    pub ledger: &'a Path,
    /// The time.
    pub clock: SharedClock,
}

impl std::fmt::Debug for Joining<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The code is a secret until it is used.
        formatter
            .debug_struct("Joining")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A till that HQ expects here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TillToDo {
    /// As HQ has it.
    pub expected: ExpectedTill,
    /// What is to be done about it: a sentence.
    pub next: String,
}

/// A store that has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The tenant.
    pub tenant: String,
    /// The store.
    pub store: String,
    /// From so many events the ledger was built again.
    pub rebuilt: Option<i64>,
    /// The tills that HQ expects here.
    pub tills: Vec<TillToDo>,
}

/// Joins HQ. A ledger without a single event is first built from what HQ has of the store.
///
/// # Errors
/// See [`JoinHqError`].
pub async fn join(core: &mut Core, joining: &Joining<'_>) -> Result<Joined, JoinHqError> {
    let reader = Reader::new(joining.ledger);
    let roots = TrustRoots::load(joining.ca.as_deref())?;
    let tls = server_only(&roots, &joining.clock)?;
    let entrance = Entrance::new(joining.url, tls)?;
    let (seal_key, public) = SealKey::new()?;
    let epoch = new_uuid()?;
    let known = reader.known_tills()?;
    let enrol = Enrol {
        protocol: VERSION,
        code: joining.code.to_owned(),
        seal_key: public,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        tills: known.clone(),
    };
    let enrolled = entrance.enrol(&enrol).await?;
    prefixes(&known, &enrolled.tills).map_err(JoinHqError::Prefix)?;
    let secret = SecretString::from(enrolled.secret.clone());
    let (past, rebuilt) = match &enrolled.past {
        None => (None, None),
        Some(past) if reader.is_blank()? => {
            let file = fetch(&entrance, &secret, past, joining).await?;
            rebuild(core, &file, joining)?;
            (Some(past.clone()), Some(past.acked))
        }
        Some(past) => (Some(own_past(&reader, past, &enrolled)?), None),
    };
    let known = reader.known_tills()?;
    let hq = JoinedHq {
        url: joining.url.to_owned(),
        ca: joining.ca.clone(),
        store_id: enrolled.store_id,
        tenant_id: enrolled.tenant_id,
        tenant: enrolled.tenant.clone(),
        store: enrolled.store.clone(),
        secret,
        seal_key,
        epoch,
        past,
    };
    core.write(|core| core.hq_join(&hq, joining.actor))?;
    Ok(Joined {
        tills: to_do(&enrolled.tills, &known, rebuilt.is_some()),
        tenant: enrolled.tenant,
        store: enrolled.store,
        rebuilt,
    })
}

/// A till keeps its prefix for ever, and no two tills of an environment may share one.
fn prefixes(known: &[KnownTill], expected: &[ExpectedTill]) -> Result<(), String> {
    for expected in expected {
        for own in known {
            let is_same = own.invoice_prefix == expected.invoice_prefix;
            if own.till == expected.till && !is_same {
                return Err(format!(
                    "the till {} puts \"{}\" before its invoice numbers, head office expects \"{}\"; a till never changes it",
                    own.till, own.invoice_prefix, expected.invoice_prefix
                ));
            }
            let clash = own.till != expected.till
                && own.till.environment == expected.till.environment
                && is_same;
            if clash {
                return Err(format!(
                    "head office gives the till {} the prefix \"{}\", which the till {} of this store has already",
                    expected.till, expected.invoice_prefix, own.till
                ));
            }
        }
    }
    Ok(())
}

/// Where HQ and this ledger have a common past: at HQ's end, else at what HQ had acknowledged to this very ledger.
fn own_past(reader: &Reader, past: &Past, enrolled: &Enrolled) -> Result<Past, JoinHqError> {
    let own = reader.hq_hash_at(0, ChainHash::START, past.acked)?;
    if own == Some(past.hash) {
        return Ok(past.clone());
    }
    let before: Option<HqState> = reader.hq()?;
    let before = before.filter(|before| before.store_id == enrolled.store_id);
    let before = before.ok_or(JoinHqError::OthersPast { acked: past.acked })?;
    Ok(Past {
        epoch: before.fork.map_or(before.epoch, |fork| fork.parent),
        acked: before.acked,
        hash: before.hash,
    })
}

/// Fetches the past into a file beside the ledger, and checks that it is whole.
async fn fetch(
    entrance: &Entrance,
    secret: &SecretString,
    past: &Past,
    joining: &Joining<'_>,
) -> Result<PastFile, JoinHqError> {
    let file = PastFile(joining.ledger.with_extension("past"));
    let failed = |error: std::io::Error| file.failed(&error);
    let mut out = std::io::BufWriter::new(crate::private::file_anew(&file.0).map_err(failed)?);
    let (mut after, mut hash) = (0, ChainHash::START);
    while after < past.acked {
        let lines = page(entrance, secret, after, &joining.clock).await?;
        if lines.is_empty() {
            break;
        }
        for line in lines {
            let entry = Entry::read(&line).map_err(|error| {
                JoinHqError::Past(format!("a line after {after} is no event: {error}"))
            })?;
            if entry.seq <= after || entry.seq > past.acked {
                return Err(JoinHqError::Past(format!(
                    "head office sent the event {} after {after}, which is out of order",
                    entry.seq
                )));
            }
            (after, hash) = (entry.seq, hash.then(&line));
            out.write_all(&line)
                .and_then(|()| out.write_all(b"\n"))
                .map_err(failed)?;
        }
    }
    out.into_inner()
        .map_err(|error| file.failed(error.error()))?
        .sync_all()
        .map_err(failed)?;
    if (after, hash) != (past.acked, past.hash) {
        return Err(JoinHqError::Past(format!(
            "head office sent events up to {after} of {}, and their hash is not the one that it has",
            past.acked
        )));
    }
    Ok(file)
}

/// A page, tried several times: the code is used up, and the line may be poor.
async fn page(
    entrance: &Entrance,
    secret: &SecretString,
    after: i64,
    clock: &SharedClock,
) -> Result<Vec<Vec<u8>>, JoinHqError> {
    let mut tries = 0;
    loop {
        match entrance.past(secret, after).await {
            Ok(lines) => return Ok(lines),
            Err(error @ LinkError::Refused(_)) => return Err(JoinHqError::Past(error.to_string())),
            Err(error) => {
                tries += 1;
                if tries >= TRIES {
                    return Err(JoinHqError::Past(error.to_string()));
                }
            }
        }
        clock.sleep(PAUSE).await;
    }
}

/// The fetched past; the file goes with it.
struct PastFile(PathBuf);

impl PastFile {
    fn failed(&self, error: &std::io::Error) -> JoinHqError {
        JoinHqError::File {
            path: self.0.clone(),
            why: error.to_string(),
        }
    }
}

impl Drop for PastFile {
    fn drop(&mut self) {
        // What is left behind is written over by the next try.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn rebuild(core: &mut Core, file: &PastFile, joining: &Joining<'_>) -> Result<(), JoinHqError> {
    let read = std::fs::File::open(&file.0).map_err(|error| file.failed(&error))?;
    let lines = BufReader::new(read).split(b'\n');
    core.write(|core| core.rebuild(lines, joining.actor))?;
    verify(joining.ledger, &mut |_, _| {})?;
    Ok(())
}

fn to_do(expected: &[ExpectedTill], known: &[KnownTill], rebuilt: bool) -> Vec<TillToDo> {
    let next = |till: &ExpectedTill| {
        let is_here = known.iter().any(|own| own.till == till.till);
        let (device, serial) = (till.till.device_id, &till.serial_no);
        let environment = match till.till.environment {
            sync_wire::Environment::Test => "test",
            sync_wire::Environment::Prod => "production",
        };
        let flags =
            format!("--environment {environment} --device-id {device} --serial-no {serial}");
        match (is_here, rebuilt) {
            (true, false) => "it is in this ledger".to_owned(),
            (true, true) => format!(
                "ask the authority for a new activation key and run `fiscald register --again {flags}`"
            ),
            (false, _) => format!(
                "run `fiscald register {flags} --invoice-prefix \"{}\"`, or wait for its credential from head office",
                till.invoice_prefix
            ),
        }
    };
    let to_do = expected.iter().map(|till| TillToDo {
        next: next(till),
        expected: till.clone(),
    });
    to_do.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_wire::{Environment, TillRef};

    fn known(device_id: u32, prefix: &str) -> KnownTill {
        KnownTill {
            till: TillRef {
                environment: Environment::Test,
                device_id,
            },
            invoice_prefix: prefix.to_owned(),
            last_global_no: 0,
        }
    }

    fn expected(device_id: u32, prefix: &str) -> ExpectedTill {
        ExpectedTill {
            till: known(device_id, "").till,
            serial_no: "SN".to_owned(),
            invoice_prefix: prefix.to_owned(),
            machine_name: "front".to_owned(),
        }
    }

    /// A till keeps its prefix, and nobody else gets it.
    #[test]
    fn prefixes_are_kept() {
        let own = [known(1, "A-"), known(2, "B-")];
        assert!(prefixes(&own, &[expected(1, "A-"), expected(3, "C-")]).is_ok());
        assert!(
            prefixes(&own, &[expected(1, "X-")])
                .unwrap_err()
                .contains("\"X-\"")
        );
        assert!(
            prefixes(&own, &[expected(3, "B-")])
                .unwrap_err()
                .contains("already")
        );
        assert!(prefixes(&[], &[expected(3, "B-")]).is_ok());
    }
}
