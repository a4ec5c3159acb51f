//! The printer on a pty, a TCP port or a Unix socket, in real time, with faults of the printer and of the link.

mod link;
mod port;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;

use crate::fault::{Fault, Rule};
use crate::printer::Printer;
use crate::setup::PrinterSetup;
use crate::sheet::Sheet;
pub use link::LinkSetup;
use link::{Carrier, LinkState, Order};
use port::{Port, PtyName};

/// What the thread and the handle share.
#[derive(Debug)]
struct State {
    printer: Printer,
    link: LinkState,
    name: String,
    failure: Option<String>,
    stop: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    wake: OwnedFd,
    started: Instant,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a printer that others talk to prints in real time"
    )]
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wake(&self) {
        let _full = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn woken(&self) {
        let _none = rustix::io::read(&self.wake, &mut [0; 8]);
    }
}

/// A printer that a host can open, and the hand that does things to it. Dropped, it is gone.
#[derive(Debug)]
pub struct VirtualPrinter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl VirtualPrinter {
    /// A printer on a pty; [`name`](Self::name) is what a host opens.
    ///
    /// # Errors
    /// There is no pty, or the stable name cannot be made.
    pub fn pty(setup: PrinterSetup, link: LinkSetup) -> io::Result<Self> {
        let name = PtyName {
            stable: link.stable_name.clone(),
            baud: link.baud,
        };
        Self::start(setup, Port::pty(name)?, link)
    }

    /// A printer on a TCP port, 0 for any; one host at a time, the next ones wait.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn tcp(setup: PrinterSetup, link: LinkSetup, address: SocketAddr) -> io::Result<Self> {
        Self::start(setup, Port::tcp(address)?, link)
    }

    /// A printer on a Unix socket; one host at a time, the next ones wait.
    ///
    /// # Errors
    /// The path cannot be used.
    pub fn unix(setup: PrinterSetup, link: LinkSetup, path: &Path) -> io::Result<Self> {
        Self::start(setup, Port::unix(path)?, link)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a printer that others talk to prints in real time"
    )]
    fn start(setup: PrinterSetup, port: Port, link: LinkSetup) -> io::Result<Self> {
        let state = State {
            printer: Printer::new(setup),
            link: LinkState::default(),
            name: port.name(),
            failure: None,
            stop: false,
        };
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            wake,
            started: Instant::now(),
        });
        let carried = Arc::clone(&shared);
        let carrier = Carrier::new(port, link);
        let thread = std::thread::Builder::new()
            .name("vprinter".to_owned())
            .spawn(move || carrier.serve(&carried))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What a host opens: the pty's path now, the address, the socket's path. Empty while it is unplugged.
    #[must_use]
    pub fn name(&self) -> String {
        self.shared.lock().name.clone()
    }

    /// The printer's own time: since it was started.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.now()
    }

    /// Looks at the printer, or does something to it, at its present time.
    pub fn with<T>(&self, look: impl FnOnce(&mut Printer) -> T) -> T {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        state.printer.advance(now);
        let seen = look(&mut state.printer);
        state.printer.advance(now);
        drop(state);
        self.shared.wake();
        self.shared.changed.notify_all();
        seen
    }

    /// Waits until the printer is as wanted; false when the time is over before.
    #[must_use]
    pub fn wait_until(&self, at_most: Duration, wanted: impl Fn(&Printer) -> bool) -> bool {
        self.wait_for(at_most, |state| wanted(&state.printer))
    }

    fn wait_for(&self, at_most: Duration, wanted: impl Fn(&State) -> bool) -> bool {
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), at_most, |state| !wanted(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        wanted(&state)
    }

    /// The sheets that have left the printer so far.
    #[must_use]
    pub fn sheets(&self) -> Vec<Sheet> {
        self.with(|printer| printer.sheets().to_vec())
    }

    /// Waits for so many sheets; fewer when the time is over before.
    #[must_use]
    pub fn wait_for_sheets(&self, count: usize, at_most: Duration) -> Vec<Sheet> {
        let _in_time = self.wait_until(at_most, |printer| printer.sheets().len() >= count);
        self.sheets()
    }

    /// Something happens to the printer now.
    pub fn suffer(&self, fault: Fault) {
        let now = self.shared.now();
        self.with(|printer| printer.suffer(now, fault));
    }

    /// Adds what is to happen to the printer.
    pub fn schedule(&self, rules: impl IntoIterator<Item = Rule>) {
        self.with(|printer| printer.schedule(rules));
    }

    /// Puts in a roll of so many millimetres, or takes the paper out (0).
    pub fn set_paper(&self, mm: u32) {
        self.suffer(if mm == 0 {
            Fault::PaperOut
        } else {
            Fault::NewPaper { mm }
        });
    }

    /// Opens the cover.
    pub fn open_cover(&self) {
        self.suffer(Fault::CoverOpen);
    }

    /// Closes the cover.
    pub fn close_cover(&self) {
        self.suffer(Fault::CoverClose);
    }

    /// Switches it off and on. Where the link breaks with the power, a pty comes back under another name.
    pub fn power_cycle(&self) {
        self.suffer(Fault::PowerCycle);
    }

    /// Bytes that have come from the host and gone to it.
    #[must_use]
    pub fn carried(&self) -> (u64, u64) {
        let state = self.shared.lock();
        (state.link.received, state.link.sent)
    }

    /// Hosts that have connected so far, over TCP or a Unix socket.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.lock().link.connections
    }

    /// The link breaks after so many more bytes from the host: the printer gets these and no more.
    pub fn cut_after_received(&self, bytes: u64) {
        self.link(|link| link.cut_in = Some(bytes.max(1)));
    }

    /// The link breaks after so many more bytes to the host.
    pub fn cut_after_sent(&self, bytes: u64) {
        self.link(|link| link.cut_out = Some(bytes.max(1)));
    }

    /// Reads nothing from the host any more, or goes on.
    pub fn stall(&self, stalled: bool) {
        self.link(|link| link.stalled = stalled);
    }

    /// Answers leave one byte at a time, or as they come.
    pub fn one_byte_replies(&self, one_byte: bool) {
        self.link(|link| link.one_byte = one_byte);
    }

    /// Answers never arrive, as with a broken wire, or do again.
    pub fn lose_replies(&self, lose: bool) {
        self.link(|link| link.mute = lose);
    }

    /// Sends the host these bytes, which the printer has not said: noise, another job's confirmation.
    pub fn inject(&self, bytes: &[u8]) {
        self.link(|link| link.out.extend_from_slice(bytes));
    }

    /// Ends the connection; a pty is gone until it is plugged in again.
    pub fn disconnect(&self) {
        self.order(Order::Close);
    }

    /// Ends the connection with a reset (RST), where there is such a thing.
    pub fn reset(&self) {
        self.order(Order::Reset);
    }

    /// Forgets the connection without telling the host, and waits for the next one. Over a pty it is deaf and
    /// mute until it is plugged in again.
    pub fn half_open(&self) {
        self.order(Order::HalfOpen);
    }

    /// Pulls out the cable.
    pub fn unplug(&self) {
        self.order(Order::Unplug);
    }

    /// Puts the cable in again. A pty gets a new name; with a stable one that leads there.
    pub fn plug(&self) {
        self.link(|link| {
            link.stalled = false;
            link.mute = false;
        });
        self.order(Order::Plug);
    }

    /// Pulls the cable out and in so fast that a pty's new name differs from the old one.
    pub fn replug(&self) {
        self.order(Order::Replug);
    }

    /// What the system said when the link could not be set up again.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.lock().failure.clone()
    }

    fn link(&self, change: impl FnOnce(&mut LinkState)) {
        change(&mut self.shared.lock().link);
        self.shared.wake();
    }

    /// Gives an order and waits until it is carried out.
    fn order(&self, order: Order) {
        self.link(|link| link.orders.push(order));
        let _done = self.wait_for(Duration::from_secs(5), |state| state.link.orders.is_empty());
    }
}

impl Drop for VirtualPrinter {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
