//! The thread that carries bytes between a host and the printer, with all that can befall a cable.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::port::Port;
use super::{Shared, State};

/// What befalls the link, as the handle has set it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkState {
    pub(crate) orders: Vec<Order>,
    /// Reads nothing.
    pub(crate) stalled: bool,
    /// Answers leave one byte at a time.
    pub(crate) one_byte: bool,
    /// Answers never arrive.
    pub(crate) mute: bool,
    /// The link breaks after so many more bytes from the host.
    pub(crate) cut_in: Option<u64>,
    /// The link breaks after so many more bytes to the host.
    pub(crate) cut_out: Option<u64>,
    /// Bytes on the way to the host.
    pub(crate) out: Vec<u8>,
    /// Bytes from the host so far, and to it.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) connections: u64,
    pub(crate) connected: bool,
}

/// What is done to the link once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Close,
    Reset,
    HalfOpen,
    Unplug,
    Plug,
    Replug,
}

/// How the link behaves from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSetup {
    /// The speed that the printer's switches are set to; a host at another speed sends and gets noise. For
    /// ptys only.
    pub baud: u32,
    /// So many bytes a second at most from the host, as a serial line has; without it as many as come.
    pub bytes_per_second: Option<u32>,
    /// Whether the link breaks when the power goes, as it does for USB and a network, not for RS-232.
    pub breaks_with_power: bool,
    /// A symbolic link that leads to the pty, renewed when it is plugged in again.
    pub stable_name: Option<std::path::PathBuf>,
}

impl Default for LinkSetup {
    fn default() -> Self {
        Self {
            baud: 9600,
            bytes_per_second: None,
            breaks_with_power: true,
            stable_name: None,
        }
    }
}

/// The pause between two answers that leave one byte at a time.
const GAP: Duration = Duration::from_millis(2);

pub(crate) struct Carrier {
    port: Port,
    setup: LinkSetup,
    host: Option<OwnedFd>,
    /// Connections that are dead at our side only.
    ghosts: Vec<OwnedFd>,
    /// From the host, not taken by the printer yet.
    pending: Vec<u8>,
    read_at: Duration,
    write_at: Duration,
    power_losses: u32,
    returns_with_power: bool,
}

impl Carrier {
    pub(crate) fn new(port: Port, setup: LinkSetup) -> Self {
        Self {
            port,
            setup,
            host: None,
            ghosts: Vec::new(),
            pending: Vec::new(),
            read_at: Duration::ZERO,
            write_at: Duration::ZERO,
            power_losses: 0,
            returns_with_power: false,
        }
    }

    /// Serves until it is told to stop.
    pub(crate) fn serve(mut self, shared: &Shared) {
        loop {
            let mut state = shared.lock();
            if state.stop {
                break;
            }
            let now = shared.now();
            self.step(&mut state, now);
            let wants_in = !state.link.stalled && self.pending.is_empty();
            let timeout = self.timeout(&state, now);
            let wants_out = !state.link.out.is_empty() && self.write_at <= now;
            let powered = state.printer.is_on();
            drop(state);
            shared.changed.notify_all();
            let wants = Wants {
                bytes: wants_in && self.read_at <= now,
                room: wants_out,
                host: powered,
            };
            self.wait(shared, &wants, timeout);
        }
    }

    fn step(&mut self, state: &mut State, now: Duration) {
        for order in std::mem::take(&mut state.link.orders) {
            self.obey(order, state);
        }
        state.printer.advance(now);
        self.follow_power(state);
        self.read(state, now);
        self.give(state, now);
        self.follow_power(state);
        self.write(state, now);
        state.link.connected = self.host.is_some();
        state.name = self.port.name();
    }

    fn timeout(&self, state: &State, now: Duration) -> Option<Duration> {
        let work = state.printer.next_event();
        let read = (self.read_at > now).then_some(self.read_at);
        let write = (self.write_at > now && !state.link.out.is_empty()).then_some(self.write_at);
        let next = [work, read, write].into_iter().flatten().min();
        // A millisecond more, so that it is due when we wake up.
        next.map(|at| at.saturating_sub(now) + Duration::from_millis(1))
    }

    /// The link goes and comes with the power, if it is one that does.
    fn follow_power(&mut self, state: &mut State) {
        let losses = state.printer.counts().power_losses;
        if self.setup.breaks_with_power && losses != self.power_losses {
            self.break_link(state);
            self.returns_with_power = true;
        }
        self.power_losses = losses;
        if state.printer.is_on() && std::mem::take(&mut self.returns_with_power) {
            self.plug(state);
        }
    }

    fn obey(&mut self, order: Order, state: &mut State) {
        match order {
            Order::Close => self.break_link(state),
            Order::Reset => {
                if let Some(host) = &self.host {
                    let _not_tcp =
                        rustix::net::sockopt::set_socket_linger(host, Some(Duration::ZERO));
                }
                self.break_link(state);
            }
            Order::HalfOpen => {
                if let Port::Pty(..) = self.port {
                    state.link.stalled = true;
                    state.link.mute = true;
                }
                self.ghosts.extend(self.host.take());
                self.pending.clear();
                state.link.out.clear();
            }
            Order::Unplug => {
                self.break_link(state);
                self.port.unplug();
            }
            Order::Plug => self.plug(state),
            Order::Replug => {
                self.host = None;
                self.forget(state);
                if !matches!(self.port, Port::Pty(..)) {
                    self.port.unplug();
                }
                self.plug(state);
            }
        }
    }

    fn plug(&mut self, state: &mut State) {
        state.failure = self.port.plug().err().map(|e| e.to_string());
    }

    /// The connection ends; what is on its way is lost. A pty is gone until it is plugged in again.
    fn break_link(&mut self, state: &mut State) {
        self.host = None;
        self.forget(state);
        if let Port::Pty(..) = self.port {
            self.port.unplug();
        }
    }

    fn forget(&mut self, state: &mut State) {
        self.pending.clear();
        state.link.out.clear();
    }

    fn cable(&self) -> Option<BorrowedFd<'_>> {
        match &self.port {
            Port::Pty(pty, _) => pty.as_ref().map(|pty| pty.master.as_fd()),
            _ => self.host.as_ref().map(AsFd::as_fd),
        }
    }

    fn is_noisy(&self) -> bool {
        matches!(&self.port, Port::Pty(Some(pty), _) if !pty.is_at_our_speed())
    }

    /// Takes what the host has sent, unless some is left from before.
    fn read(&mut self, state: &mut State, now: Duration) {
        if self.cable().is_none() && state.printer.is_on() && self.accept() {
            state.link.connections += 1;
        }
        if state.link.stalled || !self.pending.is_empty() || self.read_at > now {
            return;
        }
        let mut buffer = [0; 256];
        let Some(read) = self
            .cable()
            .map(|cable| rustix::io::read(cable, &mut buffer))
        else {
            return;
        };
        match read {
            Ok(0) => self.host_is_gone(state),
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                self.received(state, bytes, now);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.host_is_gone(state),
        }
    }

    fn received(&mut self, state: &mut State, bytes: &[u8], now: Duration) {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let takes = self
            .setup
            .bytes_per_second
            .map(|speed| Duration::from_secs(count) / speed.max(1));
        self.read_at = now + takes.unwrap_or(Duration::ZERO);
        let noisy = self.is_noisy();
        if let Port::Pty(Some(pty), _) = &mut self.port {
            pty.release();
        }
        let kept = state.link.cut_in.map_or(count, |left| left.min(count));
        self.pending = bytes.to_vec();
        self.pending
            .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        if noisy {
            garble(&mut self.pending);
        }
        state.link.received += kept;
        if let Some(left) = &mut state.link.cut_in {
            *left -= kept;
            if *left == 0 {
                state.link.cut_in = None;
                let arrived = std::mem::take(&mut self.pending);
                self.break_link(state);
                self.pending = arrived;
            }
        }
    }

    /// Gives the printer as much as it takes.
    fn give(&mut self, state: &mut State, now: Duration) {
        let mut taken = 0;
        for byte in &self.pending {
            let losses = state.printer.counts().power_losses;
            if losses != self.power_losses && self.setup.breaks_with_power {
                break;
            }
            if state.printer.receive(now, &[*byte]) == 0 {
                break;
            }
            taken += 1;
        }
        self.pending.drain(..taken);
        let replies = state.printer.take_replies();
        if self.cable().is_some() && !state.link.mute {
            state.link.out.extend(replies);
        }
    }

    fn write(&mut self, state: &mut State, now: Duration) {
        if state.link.out.is_empty() || self.write_at > now {
            return;
        }
        let mut most = state.link.out.len();
        if state.link.one_byte {
            most = 1;
            self.write_at = now + GAP;
        }
        if let Some(left) = state.link.cut_out {
            most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let mut bytes = state.link.out.get(..most).unwrap_or_default().to_vec();
        if self.is_noisy() {
            garble(&mut bytes);
        }
        let Some(written) = self.cable().map(|cable| rustix::io::write(cable, &bytes)) else {
            return state.link.out.clear();
        };
        match written {
            Ok(count) => {
                state.link.out.drain(..count);
                self.sent(state, u64::try_from(count).unwrap_or(u64::MAX));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.host_is_gone(state),
        }
    }

    fn sent(&mut self, state: &mut State, count: u64) {
        state.link.sent += count;
        if let Some(left) = &mut state.link.cut_out {
            *left -= count.min(*left);
            if *left == 0 {
                state.link.cut_out = None;
                self.break_link(state);
            }
        }
    }

    /// The host has closed its end. What it has sent is still printed.
    fn host_is_gone(&mut self, state: &mut State) {
        self.host = None;
        state.link.out.clear();
        if let Port::Pty(Some(pty), _) = &mut self.port {
            state.failure = pty.hold().err().map(|e| e.to_string());
        }
    }

    fn accept(&mut self) -> bool {
        self.host = self.port.accept().ok().flatten();
        self.host.is_some()
    }

    /// Waits for the host, for the handle, or until this time has passed.
    fn wait(&mut self, shared: &Shared, wants: &Wants, timeout: Option<Duration>) {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, wants.bytes);
        flags.set(PollFlags::OUT, wants.room);
        let mut watched = vec![PollFd::new(&shared.wake, PollFlags::IN)];
        let cable = self.cable();
        if let Some(cable) = cable {
            watched.push(PollFd::from_borrowed_fd(cable, flags));
        } else if let Some(listener) = self.port.listener().filter(|_| wants.host) {
            watched.push(PollFd::from_borrowed_fd(listener, PollFlags::IN));
        }
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        let _interrupted = poll(&mut watched, timeout.as_ref());
        let ended = PollFlags::HUP | PollFlags::ERR;
        let blind = !wants.bytes;
        let gone = watched
            .get(1)
            .is_some_and(|fd| fd.revents().intersects(ended));
        let has_cable = cable.is_some();
        drop(watched);
        shared.woken();
        if gone && blind && has_cable {
            self.drop_unread();
        }
    }

    /// The host went away while we did not read.
    fn drop_unread(&mut self) {
        self.host = None;
        if let Port::Pty(Some(pty), _) = &mut self.port {
            let _again: io::Result<()> = pty.hold();
        }
    }
}

/// What the thread waits for.
struct Wants {
    bytes: bool,
    room: bool,
    host: bool,
}

/// What a byte looks like at another speed: never what it was.
fn garble(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = byte.rotate_left(3) ^ 0x5A | 0x80;
    }
}
