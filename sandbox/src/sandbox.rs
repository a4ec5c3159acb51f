//! Starting a sandbox in-process, and steering it while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use anyhow::{Context, Result};
use clock::{SharedClock, SystemClock};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ca::Authority;
use crate::call::Call;
use crate::fault::Fault;
use crate::http::{self, Line};
use crate::model::{ReceiptSummary, StoredDay, StoredReceipt};
use crate::service::Service;
use crate::settings::Settings;
use crate::spec::{DeviceChange, DeviceSpec};
use crate::world::{DeviceError, World};
use crate::{admin, tls};

mod records;

/// An FDMS of one's own; see [`Sandbox::builder`].
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// A sandbox with the machine's clock, seed 0, no devices and default settings, to be changed.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            clock: Arc::new(SystemClock),
            seed: 0,
            folder: None,
            settings: Settings::default(),
            devices: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// What a sandbox is to be; [`SandboxBuilder::start`] starts it.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct SandboxBuilder {
    clock: SharedClock,
    seed: u64,
    folder: Option<PathBuf>,
    settings: Settings,
    devices: Vec<DeviceSpec>,
    faults: Vec<Fault>,
}

impl SandboxBuilder {
    /// The clock that certificates, server dates and the rules on time go by.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Where operation IDs and receiptIDs begin, and what the chances of faults are drawn from. Keys
    /// are random all the same.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A folder where the authority's keys and certificates are kept, `ca.pem` among them. Without
    /// one they are made anew at each start.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The switches.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// A device that is there from the start.
    pub fn device(mut self, spec: DeviceSpec) -> Self {
        self.devices.push(spec);
        self
    }

    /// Faults that are there from the start, in their order.
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults.extend(faults);
        self
    }

    /// Starts it on `listener` (HTTPS) and, if given, the admin port on `admin` (plain HTTP, for
    /// loopback only). It runs until `shutdown` is cancelled.
    ///
    /// # Errors
    /// The folder cannot be used, a device cannot be, or a listener has no address.
    pub async fn start(
        self,
        listener: TcpListener,
        admin: Option<TcpListener>,
        shutdown: CancellationToken,
    ) -> Result<RunningSandbox> {
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let mut world = World::new(self.settings, first_receipt_id(self.seed));
        for device in self.devices {
            world.add_device(device, self.clock.wall())?;
        }
        let folder = self.folder;
        // Making RSA keys takes a good part of a second.
        let authority =
            tokio::task::spawn_blocking(move || Authority::open(folder.as_deref())).await??;
        let acceptor = TlsAcceptor::from(tls::server_config(&authority)?);
        let service = Service::new(world, authority, self.clock, self.seed);
        let line = Arc::new(Line::new(service, self.seed));
        self.faults
            .into_iter()
            .for_each(|fault| line.faults().add(fault));
        let tasks = TaskTracker::new();
        let sandbox = RunningSandbox {
            line: Arc::clone(&line),
            address,
            admin_address,
            tasks: tasks.clone(),
        };
        if let Some(admin) = admin {
            let router = admin::router(sandbox.clone());
            tasks.spawn(http::serve_admin(admin, router, shutdown.clone()));
        }
        let connections = tasks.clone();
        tasks.spawn(http::serve(line, listener, acceptor, connections, shutdown));
        tasks.close();
        Ok(sandbox)
    }
}

/// ReceiptIDs begin at a number that is nothing else's.
fn first_receipt_id(seed: u64) -> i64 {
    10_000_001 + i64::try_from(seed % 1_000_000).unwrap_or(0)
}

/// How many requests have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RequestCount {
    /// Whose; 0 for GetServerCertificate.
    pub device: u32,
    /// Which.
    pub call: Call,
    /// How many, those that faults have hit included.
    pub count: u64,
}

/// A sandbox that runs. Clones steer the same one.
#[derive(Debug, Clone)]
pub struct RunningSandbox {
    line: Arc<Line>,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    tasks: TaskTracker,
}

impl RunningSandbox {
    /// Where the API is: `https://127.0.0.1:PORT`, or `https://localhost:PORT` where it listens on all
    /// addresses.
    #[must_use]
    pub fn url(&self) -> String {
        if self.address.ip().is_unspecified() {
            return format!("https://localhost:{}", self.address.port());
        }
        format!("https://{}", self.address)
    }

    /// Where the admin port is, if it has one: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn admin_url(&self) -> Option<String> {
        self.admin_address
            .map(|address| format!("http://{address}"))
    }

    /// The certificate to trust, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.line.service.ca_pem()
    }

    /// Waits until everything has stopped; cancel the token first.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }

    /// A new device; its taxpayer becomes what the description says.
    ///
    /// # Errors
    /// There is one with its ID, or a field cannot be.
    pub fn add_device(&self, spec: DeviceSpec) -> Result<(), DeviceError> {
        let now = self.line.service.now();
        self.line.service.world().add_device(spec, now)
    }

    /// Changes a device and its taxpayer.
    ///
    /// # Errors
    /// There is no such device, or a field cannot be.
    pub fn change_device(&self, device_id: u32, change: DeviceChange) -> Result<(), DeviceError> {
        let now = self.line.service.now();
        self.line
            .service
            .world()
            .change_device(device_id, change, now)
    }

    /// Removes a device; from then on it is answered DEV01.
    ///
    /// # Errors
    /// There is no such device.
    pub fn delete_device(&self, device_id: u32) -> Result<(), DeviceError> {
        self.line.service.world().delete_device(device_id)
    }

    /// All devices.
    #[must_use]
    pub fn devices(&self) -> Vec<DeviceSpec> {
        self.line.service.world().devices()
    }

    /// The device's receipts in the order they came. Clones them all: see
    /// [`RunningSandbox::receipts_from`] for many.
    #[must_use]
    pub fn receipts(&self, device_id: u32) -> Vec<StoredReceipt> {
        self.receipts_from(device_id, 0, usize::MAX)
    }

    /// The device's receipts from the `from`th on, at most `limit`.
    #[must_use]
    pub fn receipts_from(&self, device_id: u32, from: usize, limit: usize) -> Vec<StoredReceipt> {
        self.line.service.world().receipts(device_id, from, limit)
    }

    /// All the device's receipts in a few figures.
    #[must_use]
    pub fn summary(&self, device_id: u32) -> ReceiptSummary {
        self.line.service.world().summary(device_id)
    }

    /// How many receipts the device has.
    #[must_use]
    pub fn receipt_count(&self, device_id: u32) -> usize {
        self.line.service.world().receipt_count(device_id)
    }

    /// The device's fiscal days. A close whose time has come is done first.
    #[must_use]
    pub fn days(&self, device_id: u32) -> Vec<StoredDay> {
        let now = self.line.service.now();
        self.line.service.world().days(device_id, now)
    }

    /// Closes the device's open day by hand, as an officer does; false if none is open.
    #[must_use]
    pub fn close_by_hand(&self, device_id: u32) -> bool {
        let now = self.line.service.now();
        let closed = self.line.service.world().close_by_hand(device_id, now);
        closed.unwrap_or(false)
    }

    /// Loses a receipt of the open day, as an accident at the authority would; false if it is not there. For tests: a
    /// sandbox that keeps its state has it again after a restart.
    #[must_use]
    pub fn lose_receipt(&self, device_id: u32, receipt_global_no: i32) -> bool {
        let mut world = self.line.service.world();
        world.lose_receipt(device_id, receipt_global_no).is_some()
    }

    /// True: every connection is cut and none is taken; false: it is back.
    pub fn set_offline(&self, offline: bool) {
        self.line.offline.send_replace(offline);
    }

    /// Whether it is offline.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        *self.line.offline.borrow()
    }

    /// Adds a fault behind those that are there.
    pub fn add_fault(&self, fault: Fault) {
        self.line.faults().add(fault);
    }

    /// Adds faults in their order behind those that are there.
    pub fn add_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut rules = self.line.faults();
        faults.into_iter().for_each(|fault| rules.add(fault));
    }

    /// Forgets all faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.line.faults().clear();
    }

    /// The faults that may still happen.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.line.faults().list(self.line.service.now())
    }

    /// The switches as they are.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.line.service.world().settings.clone()
    }

    /// Changes the switches, from the next request on.
    pub fn set_settings(&self, settings: Settings) {
        self.line.service.world().settings = settings;
    }

    /// How many requests have come, by device and call.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestCount> {
        let requests = self
            .line
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let counts = requests.iter().map(|((device, call), count)| RequestCount {
            device: *device,
            call: *call,
            count: *count,
        });
        counts.collect()
    }

    /// How many TLS handshakes have been made.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.line
            .handshakes
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// How many requests of this call the device has sent.
    #[must_use]
    pub fn request_count(&self, device_id: u32, call: Call) -> u64 {
        let requests = self
            .line
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        requests.get(&(device_id, call)).copied().unwrap_or(0)
    }
}
