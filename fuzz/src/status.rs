//! What a printer says: no answer is made up, no byte is used twice, and pieces of any size say the same.

use drivers::escpos::ack;
use drivers::escpos::request::{About, ProcessId, RealTime, Request};
use drivers::escpos::status::{Facts, Parser, Reply};
use drivers::job::{Condition, JobId};

use crate::input::Input;

/// Questions and answers by turns: a byte below 80 announces so many bytes of the printer, one above asks.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut whole = Parser::new();
    let mut bytewise = Parser::new();
    let mut facts = Facts::default();
    let mut asked = Asked::default();
    let (mut came, mut least, mut most) = (0, 0, 0);
    while !input.is_empty() {
        let step = input.byte();
        if step >= 0x80 {
            if let Some(request) = request(step, &mut input) {
                asked.note(request);
                whole.asked(request);
                bytewise.asked(request);
            } else {
                whole.forget_real_time();
                bytewise.forget_real_time();
                asked.real_time = 0;
            }
            continue;
        }
        let bytes = input.take(usize::from(step) + 1);
        came += bytes.len();
        let replies = whole.read(bytes);
        let mut same = Vec::new();
        for byte in bytes {
            same.extend(bytewise.read(&[*byte]));
        }
        assert_eq!(replies, same, "how an answer is torn matters");
        for reply in &replies {
            asked.answered(reply);
            facts.take(reply);
            let (from, to) = size(reply);
            least += from;
            most += to;
            let job = JobId(i64::from(step));
            let _ = (ack::proves(reply, job), ack::lost(reply));
        }
        assert!(least <= came, "a byte was used twice");
        // A text is given up at 80 bytes; automatic status may have begun in it.
        assert!(came <= most + 90, "bytes are kept back");
    }
    let mut condition = Condition::default();
    facts.tell(&mut condition);
    assert_eq!(condition.fault.is_none(), ack::healthy(&facts).is_some());
    whole.forget();
    assert!(!whole.awaits_real_time());
    assert_eq!(whole.read(&[0x00]), [Reply::Noise(0)]);
}

fn request(step: u8, input: &mut Input<'_>) -> Option<Request> {
    Some(match step & 0x0F {
        0..=3 => Request::RealTime(RealTime::ALL[usize::from(step & 3)]),
        4 | 5 => Request::Worked(JobId(i64::from(step >> 4))),
        6 | 7 => Request::Printed(ProcessId::of(JobId(i64::from(input.byte())))),
        8 => Request::ModelNumber,
        9 => Request::About(About::Firmware),
        10 => Request::About(About::Maker),
        11 => Request::About(About::Model),
        12 => Request::About(About::Serial),
        _ => return None,
    })
}

/// How many answers may come at most.
#[derive(Debug, Default)]
struct Asked {
    real_time: usize,
    worked: Vec<JobId>,
    model: usize,
    about: usize,
}

impl Asked {
    fn note(&mut self, request: Request) {
        match request {
            Request::RealTime(_) => self.real_time += 1,
            Request::Worked(job) => self.worked.push(job),
            Request::Printed(_) => {}
            Request::ModelNumber => self.model += 1,
            Request::About(_) => self.about += 1,
        }
    }

    fn answered(&mut self, reply: &Reply) {
        let one = |count: &mut usize| {
            *count = count.checked_sub(1).expect("an answer nobody asked for");
        };
        match reply {
            Reply::RealTime(..) => one(&mut self.real_time),
            Reply::Worked(job, _) => {
                let place = self.worked.iter().position(|asked| asked == job);
                self.worked
                    .drain(..=place.expect("a job nobody asked after"));
            }
            Reply::ModelNumber(_) => one(&mut self.model),
            Reply::About(..) => one(&mut self.about),
            _ => {}
        }
    }
}

/// Bytes that an answer takes, at the least and at the most.
fn size(reply: &Reply) -> (usize, usize) {
    let exact = match reply {
        Reply::Automatic(_) => 4,
        Reply::Printed(_) => 7,
        Reply::Cleared => 3,
        // One character stands for up to three bytes that are no text.
        Reply::About(_, text) => return (text.chars().count() + 2, text.len() + 2),
        _ => 1,
    };
    (exact, exact)
}
