//! What a sandbox begins with: a new world, or the one that its folder keeps.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clock::{Clock, SharedClock};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_rustls::TlsAcceptor;

use crate::ca::Authority;
use crate::fault::Fault;
use crate::http::Line;
use crate::journal::{Change, Entry, HeldClock, Journal, Lines, Log, Played, Player, Start};
use crate::service::Service;
use crate::settings::Settings;
use crate::spec::DeviceSpec;
use crate::tls;
use crate::world::World;

/// What a sandbox is to be.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) clock: SharedClock,
    pub(crate) seed: u64,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) record: Option<PathBuf>,
    pub(crate) settings: Settings,
    pub(crate) devices: Vec<DeviceSpec>,
    pub(crate) faults: Vec<Fault>,
}

/// What is ready to be served.
pub(crate) struct Opened {
    pub(crate) line: Line,
    pub(crate) acceptor: TlsAcceptor,
}

/// Opens the folder and the record, and brings the world to where it was. Blocks.
///
/// # Errors
/// A file cannot be used, or a device cannot be.
pub(crate) fn open(plan: Plan) -> Result<Opened> {
    let authority = Authority::open(plan.folder.as_deref())?;
    let acceptor = TlsAcceptor::from(tls::server_config(&authority)?);
    let clock = HeldClock::new(plan.clock);
    let mut start = Start::new(clock.wall(), plan.seed, Some(plan.settings));
    let (service, file) = match plan.folder {
        None => (new_service(&start, authority, &clock), None),
        Some(folder) => {
            let journal = Journal::open(&folder)?;
            let mut lines = journal.lines()?;
            let name = journal.path.display().to_string();
            let service = match lines.next_entry()? {
                None => new_service(&start, authority, &clock),
                Some(Entry::Start(first)) => {
                    start = Start::new(start.at, first.seed, None);
                    let player = Player::begin(&first, authority, Arc::clone(&clock));
                    let player =
                        player.with_context(|| format!("{name} cannot be gone on with"))?;
                    played(player, &mut lines, &name)?
                }
                Some(_) => bail!("{name} is no journal of a sandbox: its first line is no start"),
            };
            (service, Some(journal.continued(&lines)?))
        }
    };
    let known = service.world().devices();
    let log = if file.is_some() || plan.record.is_some() {
        let log = Log::new(clock, file, plan.record.as_deref())?;
        log.perform(|_| ((), Some(Entry::Start(start))))
            .context("writing the journal")?;
        Some(log)
    } else {
        None
    };
    let line = Line::new(service, log, plan.seed);
    let is_known = |spec: &DeviceSpec| known.iter().any(|k| k.device_id == spec.device_id);
    for device in plan.devices.into_iter().filter(|spec| !is_known(spec)) {
        line.change(Change::AddDevice(Box::new(device)))?;
    }
    for fault in plan.faults {
        line.faults().add(fault);
    }
    Ok(Opened { line, acceptor })
}

/// ReceiptIDs begin at a number that is nothing else's.
pub(crate) fn first_receipt_id(seed: u64) -> i64 {
    10_000_001 + i64::try_from(seed % 1_000_000).unwrap_or(0)
}

pub(crate) fn new_service(
    start: &Start,
    authority: impl Into<Arc<Authority>>,
    clock: &Arc<HeldClock>,
) -> Service {
    let settings = start.settings.as_deref().cloned().unwrap_or_default();
    let world = World::new(settings, first_receipt_id(start.seed));
    let clock: SharedClock = Arc::<HeldClock>::clone(clock);
    Service::new(world, authority, clock, start.seed)
}

/// Plays the rest of a journal; the world as it was then.
fn played(mut player: Player, lines: &mut Lines, name: &str) -> Result<Service> {
    let bar = progress(lines.length()?)?;
    let mut differences = 0_u64;
    while let Some(entry) = lines.next_entry()? {
        let played = player.play(entry);
        let place = || format!("{name} line {}", lines.number);
        if let Played::Different(difference) = played.with_context(place)? {
            // Another version of the sandbox may judge otherwise; what it says now counts.
            if differences == 0 {
                tracing::warn!(%difference, "{}: answered otherwise than it was", place());
            }
            differences += 1;
        }
        bar.set_position(lines.offset);
    }
    bar.finish_and_clear();
    if differences > 1 {
        tracing::warn!("{name}: {differences} requests are answered otherwise than they were");
    }
    Ok(player.into_service())
}

/// A bar on the terminal, if it is one and the journal is long.
fn progress(length: u64) -> Result<ProgressBar> {
    const LONG: u64 = 1 << 20;
    if length < LONG {
        return Ok(ProgressBar::hidden());
    }
    let style = "reading the journal {bar:30} {bytes} of {total_bytes}, {eta} left";
    Ok(ProgressBar::new(length).with_style(ProgressStyle::with_template(style)?))
}
