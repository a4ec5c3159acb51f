//! A page as the bytes that print it.
//!
//! A job begins with a line feed, so that what a dead job left in the line is printed by itself, and with ESC @,
//! the code page and FS . (printers from China begin in their own script, and eat two bytes at a time). Bytes
//! of an old POS go out as they are: after them its modes are taken back one by one, never by ESC @, which
//! would lose its code page; and ours are ASCII from then on, for we do not know which code page that is.

use std::ops::Range;

use super::{picture, qr, realtime, text};
use crate::page::{Align, Bitmap, Item, Line, Page, Pulse};
use crate::profile::{CodePageName, Cut, Profile};

/// Lines that bring the end of the text past the edge to tear at, where there is no cutter.
const TEAR_LINES: u8 = 5;
/// The longest pulse that ESC p has, in its units of 2 ms.
const LONGEST_PULSE: u16 = 255;
/// A line's height for passes of an impact printer's head, in 1/144 inch: eight pins of 1/72.
const PASS_HEIGHT: u8 = 16;

/// Why a page cannot be printed. It will not go better another time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A picture's bytes are not as many as its dots take.
    #[error("a picture of {width} x {height} dots has {found} bytes")]
    Picture {
        /// Its dots in a row.
        width: usize,
        /// Its rows.
        height: usize,
        /// Its bytes.
        found: usize,
    },
    /// A real-time command would stand in the bytes. It is a fault of this module.
    #[error("a real-time command would stand at byte {0} of the job")]
    RealTime(usize),
}

/// The bytes that print a page on a printer.
///
/// What the printer cannot do is left out: a picture, a QR code, a drawer's pulse. No byte of the result
/// begins a real-time command, but for those inside of [`Item::Raw`].
///
/// # Errors
/// A picture is not whole; see [`EncodeError`].
pub fn encode(page: &Page, profile: &Profile) -> Result<Vec<u8>, EncodeError> {
    encode_as(page, profile, true)
}

/// With the guard against real-time commands taken away: what the tests must then find.
#[cfg(test)]
pub(super) fn encode_unguarded(page: &Page, profile: &Profile) -> Result<Vec<u8>, EncodeError> {
    encode_as(page, profile, false)
}

fn encode_as(page: &Page, profile: &Profile, guarded: bool) -> Result<Vec<u8>, EncodeError> {
    let mut out = Output {
        profile,
        guarded,
        bytes: Vec::new(),
        raw: Vec::new(),
        state: State::New,
        code_page: None,
    };
    for item in &page.items {
        out.item(item)?;
    }
    match realtime::find_outside(&out.bytes, &out.raw) {
        Some(at) if guarded => Err(EncodeError::RealTime(at)),
        _ => Ok(out.bytes),
    }
}

/// What we know of the printer's modes.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing has been written yet.
    New,
    /// Set by us.
    Known(Modes),
    /// Bytes of an old POS were the last to set them.
    Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Modes {
    align: Align,
    bold: bool,
    double: bool,
}

struct Output<'a> {
    profile: &'a Profile,
    guarded: bool,
    bytes: Vec<u8>,
    /// Where the bytes of an old POS stand.
    raw: Vec<Range<usize>>,
    state: State,
    /// The code page that is selected.
    code_page: Option<CodePageName>,
}

impl Output<'_> {
    fn item(&mut self, item: &Item) -> Result<(), EncodeError> {
        match item {
            Item::Line(line) => self.line(line),
            Item::Qr(content) => self.qr(content),
            Item::Picture(picture) => self.picture(picture)?,
            Item::Feed(lines) => self.feed(*lines),
            Item::Cut => self.cut(),
            Item::Drawer(pulse) => self.drawer(*pulse),
            Item::Raw(bytes) => self.raw(bytes),
        }
        Ok(())
    }

    fn line(&mut self, line: &Line) {
        self.set(Modes {
            align: line.align,
            bold: line.bold,
            double: line.double,
        });
        let columns = usize::from(self.profile.columns);
        let width = if line.double { columns / 2 } else { columns };
        let text = text::bytes(&line.text, self.code_page);
        for piece in text::fold(&text, width) {
            self.bytes.extend_from_slice(piece);
            self.bytes.push(b'\n');
        }
    }

    fn qr(&mut self, content: &str) {
        let Some(code) = qr::code(content, self.profile, self.guarded) else {
            return;
        };
        self.centred(|out| match code {
            // The white above and below, which the printer does not leave by itself.
            qr::Code::Native(commands) => {
                out.feed(1);
                out.bytes.extend(commands);
                out.feed(1);
            }
            qr::Code::Picture(picture) => out.bands(&picture),
            qr::Code::Passes(passes) => {
                out.bytes.extend_from_slice(&[0x1B, b'3', PASS_HEIGHT]);
                for pass in passes {
                    out.pass(&pass);
                }
                out.bytes.extend_from_slice(b"\x1B2");
            }
        });
    }

    fn pass(&mut self, pass: &[u8]) {
        let Ok(length) = u16::try_from(pass.len()) else {
            return;
        };
        let [low, high] = length.to_le_bytes();
        self.bytes.extend_from_slice(&[0x1B, b'*', 0, low, high]);
        self.bytes.extend_from_slice(pass);
        self.bytes.push(b'\n');
    }

    fn picture(&mut self, picture: &Bitmap) -> Result<(), EncodeError> {
        if !picture.is_whole() {
            return Err(EncodeError::Picture {
                width: picture.width,
                height: picture.height,
                found: picture.bits.len(),
            });
        }
        if self.profile.pictures && !picture.bits.is_empty() {
            self.centred(|out| out.bands(picture));
        }
        Ok(())
    }

    fn bands(&mut self, picture: &Bitmap) {
        let width = usize::from(self.profile.dots);
        let bands = picture::bands(picture, width, self.guarded);
        self.bytes.extend(bands);
    }

    fn feed(&mut self, lines: u8) {
        self.ready();
        // 10 as the last byte of a command could begin a real-time command with what follows.
        let parts = if lines == 0x10 { [8, 8] } else { [lines, 0] };
        for part in parts.into_iter().filter(|part| *part > 0) {
            self.bytes.extend_from_slice(&[0x1B, b'd', part]);
        }
    }

    fn cut(&mut self) {
        self.ready();
        match self.profile.cut {
            Cut::Partial => self.bytes.extend_from_slice(&[0x1D, b'V', 66, 0]),
            Cut::Full => self.bytes.extend_from_slice(&[0x1D, b'V', 65, 0]),
            Cut::None => self.feed(TEAR_LINES),
        }
    }

    /// Moves no paper, and so needs no beginning: a drawer can be opened alone.
    fn drawer(&mut self, pulse: Pulse) {
        if !self.profile.drawer {
            return;
        }
        // 10 is 11 here, 2 ms longer: it could begin a real-time command with what follows.
        let units = |ms: u16| match u8::try_from((ms / 2).clamp(1, LONGEST_PULSE)) {
            Ok(0x10) => 0x11,
            Ok(units) => units,
            Err(_) => u8::MAX,
        };
        self.bytes.extend_from_slice(&[
            0x1B,
            b'p',
            u8::from(!pulse.pin2),
            units(pulse.on_ms),
            units(pulse.off_ms),
        ]);
    }

    fn raw(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        // An old POS counts on a printer that writes small letters at the left.
        if matches!(self.state, State::Known(modes) if modes != Modes::default()) {
            self.set(Modes::default());
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let range = start..self.bytes.len();
        match self.raw.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.raw.push(range),
        }
        self.state = State::Foreign;
        self.code_page = None;
    }

    fn centred(&mut self, write: impl FnOnce(&mut Self)) {
        self.set(Modes {
            align: Align::Center,
            ..Modes::default()
        });
        write(self);
        // Back at once, so that no dots are the last bytes before those of an old POS.
        self.set(Modes::default());
    }

    /// Writes what brings the printer into a state that we know, and tells which.
    fn ready(&mut self) -> Modes {
        match self.state {
            State::Known(modes) => return modes,
            State::New => {
                self.bytes.extend_from_slice(b"\n\x1B@");
                if let Some(page) = &self.profile.code_page {
                    self.bytes.extend_from_slice(&[0x1B, b't', page.number]);
                    self.code_page = Some(page.name);
                }
                self.bytes.extend_from_slice(b"\x1C.");
            }
            State::Foreign => self.bytes.extend_from_slice(if self.profile.impact {
                b"\x1Ba\x00\x1BE\x00\x1B!\x00\x1B-\x00\x1B{\x00"
            } else {
                b"\x1Ba\x00\x1BE\x00\x1D!\x00\x1DB\x00\x1B-\x00\x1B{\x00\x1DL\x00\x00"
            }),
        }
        self.state = State::Known(Modes::default());
        Modes::default()
    }

    fn set(&mut self, wanted: Modes) {
        let now = self.ready();
        if now.align != wanted.align {
            let n = match wanted.align {
                Align::Left => 0,
                Align::Center => 1,
                Align::Right => 2,
            };
            self.bytes.extend_from_slice(&[0x1B, b'a', n]);
        }
        if self.profile.impact {
            if (now.bold, now.double) != (wanted.bold, wanted.double) {
                let bold = if wanted.bold { 0x08 } else { 0 };
                let double = if wanted.double { 0x30 } else { 0 };
                self.bytes.extend_from_slice(&[0x1B, b'!', bold | double]);
            }
        } else {
            if now.bold != wanted.bold {
                self.bytes
                    .extend_from_slice(&[0x1B, b'E', u8::from(wanted.bold)]);
            }
            if now.double != wanted.double {
                let size = if wanted.double { 0x11 } else { 0 };
                self.bytes.extend_from_slice(&[0x1D, b'!', size]);
            }
        }
        self.state = State::Known(wanted);
    }
}
