//! The runners over a link: SYN and RETRY while a receipt is being signed, the reply afterwards, and an end
//! when the link is lost or all is stopped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::shop::{Shop, rules};
use drivers::isl::ServeError;
use drivers::job::Condition;
use drivers::register::{
    Closed, DateTime, Identity, Kept, OpenReceipt, Refusal, Register, Report, TaxRate, Totals,
};
use drivers::transport::{Link, LinkError, Monotonic};

/// A cable: what the till sent, what we said, and whether it is pulled.
#[derive(Default)]
struct Cable {
    ends: Mutex<(Vec<u8>, Vec<u8>, bool)>,
    moved: Condvar,
}

impl Cable {
    fn say(&self, bytes: &[u8]) {
        self.ends.lock().expect("nobody panicked").0.extend(bytes);
        self.moved.notify_all();
    }

    fn pull(&self) {
        self.ends.lock().expect("nobody panicked").2 = true;
        self.moved.notify_all();
    }

    /// Waits until what we said is enough; takes it.
    fn hear(&self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let ends = self.ends.lock().expect("nobody panicked");
        let waiting = |ends: &mut (Vec<u8>, Vec<u8>, bool)| !enough(&ends.1);
        let (mut ends, late) = self
            .moved
            .wait_timeout_while(ends, Duration::from_secs(30), waiting)
            .expect("nobody panicked");
        assert!(!late.timed_out(), "heard only {:02X?}", ends.1);
        std::mem::take(&mut ends.1)
    }
}

/// Our end of it.
struct End(Arc<Cable>);

impl Link for End {
    fn read(&mut self, buffer: &mut [u8], at_most: Duration) -> Result<usize, LinkError> {
        let ends = self.0.ends.lock().expect("nobody panicked");
        let idle = |ends: &mut (Vec<u8>, Vec<u8>, bool)| ends.0.is_empty() && !ends.2;
        let waited = self.0.moved.wait_timeout_while(ends, at_most, idle);
        let mut ends = waited.expect("nobody panicked").0;
        if ends.2 {
            return Err(LinkError::Lost {
                link: "cable".into(),
                why: "pulled".into(),
            });
        }
        // Three bytes at a time: frames come in pieces.
        let count = ends.0.len().min(buffer.len()).min(3);
        for (to, from) in buffer.iter_mut().zip(ends.0.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8], _: Duration) -> Result<usize, LinkError> {
        let mut ends = self.0.ends.lock().expect("nobody panicked");
        let count = bytes.len().min(5);
        ends.1.extend(&bytes[..count]);
        self.0.moved.notify_all();
        Ok(count)
    }
}

/// Ten milliseconds at each look.
#[derive(Default)]
struct Ticks(AtomicU64);

impl Monotonic for Ticks {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(10, Ordering::Relaxed))
    }
}

/// A shop whose close waits until it is let go.
struct Slow {
    shop: Shop,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Register for Slow {
    fn close(&mut self, receipt: &OpenReceipt, key: &str) -> Result<Closed, Refusal> {
        let (open, changed) = &*self.gate;
        let open = open.lock().expect("nobody panicked");
        drop(
            changed
                .wait_while(open, |open| !*open)
                .expect("nobody panicked"),
        );
        self.shop.close(receipt, key)
    }

    fn kept(&mut self) -> Result<Option<Kept>, Refusal> {
        self.shop.kept()
    }

    fn keep(&mut self, kept: &Kept) -> Result<(), Refusal> {
        self.shop.keep(kept)
    }

    fn cancel(&mut self, receipt: &OpenReceipt, key: &str) -> Result<(), Refusal> {
        self.shop.cancel(receipt, key)
    }

    fn x_report(&mut self, key: &str) -> Result<Report, Refusal> {
        self.shop.x_report(key)
    }

    fn z_report(&mut self, key: &str) -> Result<Report, Refusal> {
        self.shop.z_report(key)
    }

    fn duplicate(&mut self, key: &str) -> Result<(), Refusal> {
        self.shop.duplicate(key)
    }

    fn service_print(&mut self, lines: &[String], key: &str) -> Result<(), Refusal> {
        self.shop.service_print(lines, key)
    }

    fn drawer(&mut self, key: &str) -> Result<(), Refusal> {
        self.shop.drawer(key)
    }

    fn display(&mut self, upper: Option<&str>, lower: Option<&str>) {
        self.shop.display(upper, lower);
    }

    fn totals(&mut self) -> Result<Totals, Refusal> {
        self.shop.totals()
    }

    fn tax_rates(&mut self) -> Result<Vec<TaxRate>, Refusal> {
        self.shop.tax_rates()
    }

    fn now(&mut self) -> Result<DateTime, Refusal> {
        self.shop.now()
    }

    fn status(&mut self) -> Condition {
        self.shop.status()
    }

    fn identity(&mut self) -> Identity {
        self.shop.identity()
    }
}

type Serve = fn(
    &mut dyn Link,
    &mut dyn Register,
    &Arc<drivers::register::Rules>,
    &dyn Monotonic,
    &AtomicBool,
) -> Result<(), ServeError>;

/// Serves a cable while a till talks; gives the shop back, and how it ended.
fn serving(
    serve: Serve,
    till: impl FnOnce(&Cable, &dyn Fn(), &AtomicBool),
) -> (Shop, Result<(), ServeError>) {
    let cable = Arc::new(Cable::default());
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let stop = AtomicBool::new(false);
    let mut slow = Slow {
        shop: Shop::new(1),
        gate: Arc::clone(&gate),
    };
    let ended = thread::scope(|scope| {
        let mut end = End(Arc::clone(&cable));
        let (slow, stop) = (&mut slow, &stop);
        let served =
            scope.spawn(move || serve(&mut end, slow, &rules("generic"), &Ticks::default(), stop));
        let open = || {
            *gate.0.lock().expect("nobody panicked") = true;
            gate.1.notify_all();
        };
        till(&cable, &open, stop);
        served.join().expect("nobody panicked")
    });
    (slow.shop, ended)
}

fn isl(seq: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let length = 0x24 + u8::try_from(data.len()).expect("short data");
    let body = [&[length, seq, command], data, &[5]].concat();
    let sum: u32 = body.iter().map(|b| u32::from(*b)).sum();
    let bcc = [12, 8, 4, 0].map(|shift| 0x30 + u8::try_from(sum >> shift & 15).expect("a nibble"));
    [&[1], &body[..], &bcc, &[3]].concat()
}

fn zfp(number: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let length = 0x23 + u8::try_from(data.len()).expect("short data");
    let body = [&[length, number, command], data].concat();
    let xor = body.iter().fold(0_u8, |a, b| a ^ b);
    [&[2], &body[..], &[0x30 + xor / 16, 0x30 + xor % 16, 0x0A]].concat()
}

const SALE: [(u8, &[u8]); 3] = [(0x30, b"1,0000,1"), (0x31, b"Bread\tA2.00"), (0x35, b"")];

#[test]
fn isl_says_syn_for_as_long_as_the_signing_takes() {
    let (shop, ended) = serving(drivers::isl::serve, |cable, open, _| {
        for (seq, (command, data)) in (0x20..).zip(SALE) {
            cable.say(&isl(seq, command, data));
            cable.hear(|said| said.last() == Some(&3));
        }
        cable.say(&isl(0x30, 0x38, b""));
        cable.hear(|said| said.len() >= 3 && said.iter().all(|b| *b == 0x16));
        cable.say(&isl(0x30, 0x38, b""));
        cable.hear(|said| said.len() >= 3 && said.iter().all(|b| *b == 0x16));
        open();
        let said = cable.hear(|said| said.last() == Some(&3));
        let reply = said.iter().position(|b| *b == 1).unwrap();
        assert_eq!(&said[reply + 2..reply + 13], b"\x30\x380001,0001");
        assert!(said[..reply].iter().all(|b| *b == 0x16));
        cable.pull();
    });
    assert_eq!(shop.signed.len(), 1);
    let ended = ended.unwrap_err();
    assert!(
        matches!(ended, ServeError::Link(LinkError::Lost { .. })),
        "{ended}"
    );
}

#[test]
fn zfp_says_that_it_is_busy_when_asked() {
    let (shop, ended) = serving(drivers::zfp::serve, |cable, open, stop| {
        let sale: [(u8, &[u8]); 3] = [
            (0x30, b"1;0;1;1;4"),
            (0x31, b"Bread;A;2.00"),
            (0x35, b"0;0;2.00"),
        ];
        for (number, (command, data)) in (0x20..).zip(sale) {
            cable.say(&[9]);
            assert_eq!(cable.hear(|said| !said.is_empty()), [0x40]);
            cable.say(&zfp(number, command, data));
            cable.hear(|said| said.len() == 7);
        }
        let close = zfp(0x30, 0x38, b"");
        cable.say(&close);
        cable.say(&[&close[..], &[9]].concat());
        assert_eq!(cable.hear(|said| said.len() >= 2), [0x0E, 0x41]);
        open();
        assert_eq!(cable.hear(|said| said.len() == 7)[..4], *b"\x06\x3000");
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(shop.signed.len(), 1);
    ended.unwrap();
}

#[test]
fn a_link_lost_while_signing_loses_no_receipt() {
    let (mut shop, ended) = serving(drivers::isl::serve, |cable, open, _| {
        for (seq, (command, data)) in (0x20..).zip(SALE) {
            cable.say(&isl(seq, command, data));
            cable.hear(|said| said.last() == Some(&3));
        }
        cable.say(&isl(0x30, 0x38, b""));
        cable.hear(|said| said.contains(&0x16));
        cable.pull();
        open();
    });
    assert!(ended.is_err());
    assert_eq!(shop.signed.len(), 1);
    let mut session = drivers::isl::Session::start(rules("generic"), &mut shop).unwrap();
    let reply = session.receive(Duration::ZERO, &isl(0x30, 0x38, b""), &mut shop);
    assert_eq!(&reply[4..13], b"0001,0001");
    assert_eq!(shop.signed.len(), 1);
}
