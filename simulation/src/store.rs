//! The store's machine: the gateway's parts, driven on one thread, and started again from what the disk holds.
//!
//! The ledger, the submit workers, the keeper of the days and the store agent are the real ones. They run on a runtime
//! without timers or I/O of its own; the simulation lets them run until nobody can go on, then lets the time pass to the
//! next moment at which somebody wakes.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fdms_sandbox::{Asked, Inside, Keys, Sandbox};
use fiscal::DeviceId;
use fiscal::testing::Random;
use fiscald::days;
use fiscald::keys::{DeviceKey, KeyKind, SealingKey, certificate_request};
use fiscald::ledger::core::Core;
use fiscald::ledger::hq::JoinedHq;
use fiscald::ledger::tills::NewTill;
use fiscald::ledger::{Environment, Ledger, Settings, TillId};
use fiscald::submit::Submitter;
use secrecy::SecretString;
use sync_wire::seal::SealKey;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Defect;
use crate::disk::{Disk, Unsynced};
use crate::fdms::{FdmsLine, SimConnector};
use crate::office::Office;
use crate::time::Hours;

/// A till of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Till {
    pub(crate) id: TillId,
    pub(crate) device: DeviceId,
}

/// Knows when the runtime has nothing to do.
#[derive(Debug, Default)]
struct Idle {
    is_idle: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Idle {
    fn parked(&self) {
        self.is_idle.store(true, Ordering::Relaxed);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }
}

/// Resolves once nobody can go on, or somebody goes on and on.
struct Settled<'a> {
    idle: &'a Idle,
    hours: &'a Hours,
    has_looked: bool,
}

impl Future for Settled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut waker = self
            .idle
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *waker = Some(context.waker().clone());
        drop(waker);
        self.hours.watch(context.waker());
        let is_idle = self.has_looked && self.idle.is_idle.load(Ordering::Relaxed);
        if is_idle || self.hours.spins() {
            return Poll::Ready(());
        }
        self.has_looked = true;
        self.idle.is_idle.store(false, Ordering::Relaxed);
        Poll::Pending
    }
}

/// The gateway's parts while they run. Dropped in this order: first those who use the ledger.
pub(crate) struct Running {
    runtime: tokio::runtime::Runtime,
    parts: Vec<(&'static str, JoinHandle<()>)>,
    idle: Arc<Idle>,
    stop: CancellationToken,
    pub(crate) submitter: Submitter,
    pub(crate) ledger: Ledger,
}

/// The store, and the world around it as far as the store reaches into it.
pub(crate) struct Store {
    pub(crate) running: Option<Running>,
    pub(crate) hours: Hours,
    pub(crate) disk: Disk,
    pub(crate) line: Arc<FdmsLine>,
    pub(crate) office: Office,
    pub(crate) tills: Vec<Till>,
    pub(crate) dir: tempfile::TempDir,
    sealing: SealingKey,
    seed: u64,
    defect: Defect,
}

/// A store begins at seven in the morning.
const START: &str = "2026-05-28T05:00:00Z";

impl Store {
    /// A new store with so many tills, registered with a new FDMS and joined to a new head office.
    pub(crate) fn set_up(seed: u64, tills: usize, keys: &Keys, defect: Defect) -> Result<Self> {
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            tempfile::tempdir_in(memory)?
        } else {
            tempfile::tempdir()?
        };
        let hours = Hours::new(START.parse()?);
        let disk = Disk::under(dir.path());
        let settings = fdms_sandbox::Settings {
            close_delay_ms: 2000,
            ..fdms_sandbox::Settings::default()
        };
        let mut sandbox = Sandbox::builder()
            .clock(Arc::new(hours.true_clock()))
            .settings(settings)
            .seed(seed);
        let devices = (101_u32..).take(tills);
        for device in devices.clone() {
            sandbox = sandbox.device(fdms_sandbox::DeviceSpec::new(device));
        }
        let inside = sandbox.inside(keys)?;
        let office = Office::new(hours.clone(), disk.clone(), defect);
        let mut store = Self {
            running: None,
            line: Arc::new(FdmsLine::new(inside.clone(), hours.clone(), disk.clone())),
            hours,
            disk,
            office,
            tills: Vec::new(),
            dir,
            sealing: SealingKey::random()?,
            seed,
            defect,
        };
        let mut core = store.open()?;
        for device in devices {
            let till = register(&mut core, &inside, device)?;
            store.tills.push(till);
        }
        join(&mut core, seed)?;
        drop(core);
        Ok(store)
    }

    /// The ledger's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    fn open(&self) -> Result<Core> {
        let clock = Arc::new(self.hours.machine());
        let core = Core::open(
            &self.path(),
            self.sealing.clone(),
            clock,
            Settings::default(),
        );
        core.context("the ledger does not open")
    }

    /// The gateway starts.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut core = self.open()?;
        core.plant(self.defect.of_ledger());
        let ledger = Ledger::start_inline(core, &self.path());
        let jitter = Mutex::new(Random::new(self.seed ^ 0x717E));
        let draw = Arc::new(move || {
            let mut jitter = jitter.lock().unwrap_or_else(PoisonError::into_inner);
            jitter.bits()
        });
        let submitter = Submitter::new(draw.clone()).plant(self.defect.of_worker());
        let idle: Arc<Idle> = Arc::default();
        let parked = Arc::clone(&idle);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || parked.parked())
            .build()?;
        let stop = CancellationToken::new();
        let mut parts = Vec::new();
        let connector = Arc::new(SimConnector {
            line: Arc::clone(&self.line),
            ledger: ledger.clone(),
        });
        let (sender, its_ledger, told) = (submitter.clone(), ledger.clone(), stop.clone());
        let sending = async move {
            if let Err(error) = sender.run(its_ledger, connector, told).await {
                // The simulation finds the part ended.
                eprintln!("{error}");
            }
        };
        parts.push(("submitting", runtime.spawn(sending)));
        let keeping = days::keep(ledger.clone(), stop.clone());
        parts.push(("the keeper of the days", runtime.spawn(keeping)));
        let bell = Arc::default();
        let agent = fiscald::hq::agent_over(&ledger, &submitter, self.office.clone(), draw, bell);
        let mut agent = agent.plant(self.defect.of_agent());
        let told = stop.clone();
        let agent = async move { agent.run(&told).await };
        parts.push(("the store agent", runtime.spawn(agent)));
        self.running = Some(Running {
            runtime,
            parts,
            idle,
            stop,
            submitter,
            ledger,
        });
        Ok(())
    }

    /// The gateway stops in order.
    pub(crate) fn stop(&mut self) {
        let Some(running) = &self.running else { return };
        running.stop.cancel();
        self.settle();
        if let Some(running) = self.running.take() {
            running.ledger.idle();
            running.ledger.fold_log("TRUNCATE");
        }
    }

    /// The process is gone in the middle of what it did.
    pub(crate) fn kill(&mut self) {
        self.disk.power_off();
        self.running = None;
        self.disk.survive();
    }

    /// The machine is gone in the middle of what it did, and the disk is what is left of it.
    pub(crate) fn crash(&mut self, fate: Unsynced, random: &mut Random) -> Result<()> {
        self.disk.power_off();
        self.running = None;
        self.disk.restore(fate, random)?;
        self.hours.reboot();
        Ok(())
    }

    /// Lets everybody run until nobody can go on at this moment.
    pub(crate) fn settle(&self) {
        if let Some(running) = &self.running {
            running.runtime.block_on(Settled {
                idle: &running.idle,
                hours: &self.hours,
                has_looked: false,
            });
        }
    }

    /// The first part that has ended although nobody asked it to.
    pub(crate) fn ended(&self) -> Option<&'static str> {
        let running = self.running.as_ref()?;
        let ended = running.parts.iter().find(|(_, part)| part.is_finished());
        ended.map(|(name, _)| *name)
    }

    /// Lets the time pass; true if all of it has (or nobody lets it), false if the power has gone in between.
    pub(crate) fn pass(&self, time: Duration) -> bool {
        let until = self.hours.passed() + time;
        loop {
            self.settle();
            if self.disk.is_off() {
                return false;
            }
            if self.hours.spins() {
                return true;
            }
            let next = [
                self.hours.next(),
                self.line.next_late(),
                self.office.next_late(),
            ];
            let next = next.into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else {
                self.hours.pass_to(until);
                return true;
            };
            self.hours.pass_to(next.max(self.hours.passed()));
            self.line.deliver_late();
            self.office.deliver_late();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.disk.power_off();
        self.running = None;
        self.disk.remove();
    }
}

fn register(core: &mut Core, inside: &Inside, device: u32) -> Result<Till> {
    let serial_no = format!("till-{device}");
    let key = DeviceKey::generate(KeyKind::EcP256)?;
    let request = certificate_request(&key, &serial_no, device, false)?;
    let body = serde_json::json!({
        "certificateRequest": request,
        "activationKey": format!("{device:08}"),
    });
    let model = ("Server", "v1");
    let told = inside.ask(&Asked {
        method: "POST",
        path: &format!("/Public/v1/{device}/RegisterDevice"),
        model,
        certificate: None,
        body: body.to_string().as_bytes(),
    })?;
    let answer: serde_json::Value = serde_json::from_str(&told.body)?;
    let pem = answer["certificate"].as_str().context("no certificate")?;
    let der = fiscald::keys::Certificate::from_pem(pem)?;
    let told = inside.ask(&Asked {
        method: "GET",
        path: &format!("/Device/v1/{device}/GetConfig"),
        model,
        certificate: der.chain_der().first().map(Vec::as_slice),
        body: &[],
    })?;
    let till = core.write(|core| {
        let device_id = DeviceId::new(device).unwrap_or(DeviceId::ZERO);
        let new = NewTill {
            environment: Environment::Test,
            device_id,
            serial_no,
            model_name: model.0.to_owned(),
            model_version: model.1.to_owned(),
            invoice_prefix: format!("{device}-"),
        };
        let id = core.add_till(&new, "setup")?;
        let key_id = core.add_key(id, &key, "setup")?;
        core.add_certificate(id, key_id, pem, "setup")?;
        core.store_config(id, &told.body)?;
        Ok(Till {
            id,
            device: device_id,
        })
    })?;
    Ok(till)
}

fn join(core: &mut Core, seed: u64) -> Result<()> {
    let (seal_key, _) = SealKey::new()?;
    let joined = JoinedHq {
        url: "https://hq.example".to_owned(),
        ca: None,
        store_id: Uuid::from_u64_pair(seed, 1),
        tenant_id: Uuid::from_u64_pair(seed, 2),
        tenant: "Example Traders".to_owned(),
        store: "Simulated".to_owned(),
        secret: SecretString::from("simulated"),
        seal_key,
        epoch: Uuid::from_u64_pair(seed, 3),
        past: None,
    };
    core.write(|core| core.hq_join(&joined, "setup"))?;
    Ok(())
}
