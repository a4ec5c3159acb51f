//! Starting a sandbox in-process, and steering it while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use anyhow::{Context, Result};
use clock::{SharedClock, SystemClock, Timestamp};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::call::Call;
use crate::explain::Explained;
use crate::fault::{Fault, FaultCount};
use crate::http::{self, Line};
use crate::inside::{Inside, Keys};
use crate::journal::Change;
use crate::model::{ReceiptSummary, StoredDay, StoredReceipt};
use crate::opening::{self, Plan};
use crate::settings::Settings;
use crate::spec::{DeviceChange, DeviceSpec};
use crate::world::{DeviceError, DeviceView};

mod records;

/// An FDMS of one's own; see [`Sandbox::builder`].
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// A sandbox with the machine's clock, seed 0, no devices and default settings, to be changed.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            plan: Plan {
                clock: Arc::new(SystemClock),
                seed: 0,
                folder: None,
                record: None,
                settings: Settings::default(),
                devices: Vec::new(),
                faults: Vec::new(),
            },
        }
    }
}

/// What a sandbox is to be; [`SandboxBuilder::start`] starts it.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct SandboxBuilder {
    plan: Plan,
}

impl SandboxBuilder {
    /// The clock that certificates, server dates and the rules on time go by.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.plan.clock = clock;
        self
    }

    /// Where operation IDs and receiptIDs begin, and what the chances of faults are drawn from. Keys
    /// are random all the same.
    pub fn seed(mut self, seed: u64) -> Self {
        self.plan.seed = seed;
        self
    }

    /// A folder where all is kept: the authority's keys and certificates, `ca.pem` among them, and the
    /// journal of all that has happened. A sandbox that is started on the folder of another, however
    /// that one ended, goes on where it was: with its seed, settings and devices. Devices that it does
    /// not know are added. Faults, counts of requests and being offline are not kept.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.plan.folder = Some(folder.into());
        self
    }

    /// A file to which each request and its answer are added as a line of JSON, secrets blanked. See
    /// [`crate::replay()`].
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.plan.record = Some(path.into());
        self
    }

    /// The switches of a new world.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.plan.settings = settings;
        self
    }

    /// A device that is there from the start.
    pub fn device(mut self, spec: DeviceSpec) -> Self {
        self.plan.devices.push(spec);
        self
    }

    /// Faults that are there from the start, in their order.
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.plan.faults.extend(faults);
        self
    }

    /// The same without a network, for a simulation that has one of its own: requests come in as calls. The folder,
    /// the record and the faults are left aside.
    ///
    /// # Errors
    /// A device cannot be.
    pub fn inside(self, keys: &Keys) -> Result<Inside> {
        Inside::open(self.plan, keys)
    }

    /// Starts it on `listener` (HTTPS) and, if given, the admin port on `admin` (plain HTTP, for
    /// loopback only). It runs until `shutdown` is cancelled.
    ///
    /// # Errors
    /// The folder or the record cannot be used, a device cannot be, or a listener has no address.
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
        let plan = self.plan;
        // Making RSA keys takes a good part of a second, and a long journal its time.
        let opened = tokio::task::spawn_blocking(move || opening::open(plan)).await??;
        let acceptor = opened.acceptor;
        let line = Arc::new(opened.line);
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
        self.line.change(Change::AddDevice(Box::new(spec)))?;
        Ok(())
    }

    /// Changes a device and its taxpayer.
    ///
    /// # Errors
    /// There is no such device, or a field cannot be.
    pub fn change_device(&self, device_id: u32, change: DeviceChange) -> Result<(), DeviceError> {
        self.line.change(Change::UpdateDevice {
            device: device_id,
            change: Box::new(change),
        })?;
        Ok(())
    }

    /// Removes a device; from then on it is answered DEV01.
    ///
    /// # Errors
    /// There is no such device.
    pub fn delete_device(&self, device_id: u32) -> Result<(), DeviceError> {
        self.line.change(Change::DeleteDevice(device_id))?;
        Ok(())
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

    /// The moment of its clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.line.service.now()
    }

    /// All devices, for the pages.
    pub(crate) fn device_views(&self) -> Vec<DeviceView> {
        let now = self.now();
        self.line.service.world().device_views(now)
    }

    /// A device, for its page.
    pub(crate) fn device_view(&self, device_id: u32) -> Option<DeviceView> {
        let now = self.now();
        self.line.service.world().device_view(device_id, now)
    }

    /// A receipt, for its page.
    pub(crate) fn explained(&self, device_id: u32, receipt_id: i64) -> Option<Explained> {
        self.line.service.world().explained(device_id, receipt_id)
    }

    /// Closes the device's open day by hand, as an officer does; false if none is open.
    #[must_use]
    pub fn close_by_hand(&self, device_id: u32) -> bool {
        let closed = self.line.change(Change::CloseByHand(device_id));
        closed.unwrap_or(false)
    }

    /// Loses a receipt of the open day, as an accident at the authority would; false if it is not there. The
    /// receipt after it is Grey then, until the lost one has come again.
    #[must_use]
    pub fn lose_receipt(&self, device_id: u32, receipt_global_no: i32) -> bool {
        let lost = self.line.change(Change::LoseReceipt {
            device: device_id,
            global_no: receipt_global_no,
        });
        lost.unwrap_or(false)
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

    /// How many requests faults have hit since the start, by what went wrong. Connections that an outage
    /// did not take are none.
    #[must_use]
    pub fn fault_counts(&self) -> Vec<FaultCount> {
        self.line.faults().hits().to_vec()
    }

    /// The switches as they are.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.line.service.world().settings.clone()
    }

    /// Changes the switches, from the next request on.
    pub fn set_settings(&self, settings: Settings) {
        let changed = self.line.change(Change::Settings(Box::new(settings)));
        if let Err(error) = changed {
            // No request is answered any more either.
            tracing::error!(%error, "the switches cannot be changed");
        }
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
