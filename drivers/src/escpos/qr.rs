//! QR codes: by the printer itself, as a picture, or as the columns of an impact printer.
//!
//! Error correction is level M. A module is as large as the paper takes, of 8, 6, 5 and 4 dots, with the four
//! white modules around that scanners need. Below half a millimetre no scanner reads it, and none is made: the
//! verification code and the address stand on the paper as text anyway.

use qrcode::QrCode;
use qrcode::bits::Bits;
use qrcode::types::{Color, EcLevel, Version};

use super::realtime;
use crate::page::Bitmap;
use crate::profile::{Profile, Qr};

/// White modules on each side.
const QUIET: usize = 4;
/// Sizes of a module, in dots, the best first.
const MODULES: [u8; 4] = [8, 6, 5, 4];
/// The least size: 4 dots at this many dots to an inch, half a millimetre.
const LEAST: (u16, u16) = (4, 203);
/// The size of a module on an impact printer, in dots of eight to a column.
const IMPACT_MODULE: usize = 2;
/// Dots in one pass of an impact printer's head.
const PINS: usize = 8;

/// A QR code, ready to be written.
pub(super) enum Code {
    /// Made by the printer: these commands.
    Native(Vec<u8>),
    /// A picture, the white around it included.
    Picture(Bitmap),
    /// Passes of an impact printer's head, eight dots high: a byte a column, the upper dot in the highest bit.
    Passes(Vec<Vec<u8>>),
}

/// The code of this content on this printer; `None` where it cannot be made or read.
pub(super) fn code(content: &str, profile: &Profile, guarded: bool) -> Option<Code> {
    match profile.qr {
        Qr::None => None,
        Qr::Column => passes(content, profile).map(Code::Passes),
        Qr::Raster => picture(content, profile).map(Code::Picture),
        Qr::Native => {
            let commands = native(content, profile)?;
            if guarded && realtime::find(&commands).is_some() {
                // Its content or its length reads as a real-time command: dots never do.
                return profile
                    .pictures
                    .then(|| picture(content, profile))?
                    .map(Code::Picture);
            }
            Some(Code::Native(commands))
        }
    }
}

/// GS ( k: model, size of a module, level, content, print.
fn native(content: &str, profile: &Profile) -> Option<Vec<u8>> {
    let module = module(modules_as_bytes(content.as_bytes())?, profile)?;
    let [low, high] = u16::try_from(content.len() + 3).ok()?.to_le_bytes();
    let mut out = Vec::with_capacity(content.len() + 40);
    out.extend_from_slice(b"\x1D(k\x04\x00\x31\x41\x32\x00");
    out.extend_from_slice(&[0x1D, b'(', b'k', 3, 0, 0x31, 0x43, module]);
    out.extend_from_slice(b"\x1D(k\x03\x00\x31\x45\x31");
    out.extend_from_slice(&[0x1D, b'(', b'k', low, high, 0x31, 0x50, 0x30]);
    out.extend_from_slice(content.as_bytes());
    out.extend_from_slice(b"\x1D(k\x03\x00\x31\x51\x30");
    Some(out)
}

/// How many modules wide a code is that holds the content as bytes, as simple printers do it; ours, which
/// packs digits and capitals closer, is never wider.
fn modules_as_bytes(content: &[u8]) -> Option<usize> {
    (1..=40).find_map(|version| {
        let mut bits = Bits::new(Version::Normal(version));
        bits.push_byte_data(content).ok()?;
        bits.push_terminator(EcLevel::M).ok()?;
        usize::try_from(4 * version + 17).ok()
    })
}

/// The largest module with which a code of so many modules fits.
fn module(modules: usize, profile: &Profile) -> Option<u8> {
    let least = (LEAST.0 * profile.dpi).div_ceil(LEAST.1);
    MODULES.into_iter().find(|module| {
        u16::from(*module) >= least
            && (modules + 2 * QUIET) * usize::from(*module) <= usize::from(profile.dots)
    })
}

/// The code as a picture. A module is four dots wide or more, so that no byte of it has a single black dot
/// between white ones, as 10 has: it can hold no real-time command.
fn picture(content: &str, profile: &Profile) -> Option<Bitmap> {
    let (code, modules) = drawn(content)?;
    let module = usize::from(module(modules, profile)?);
    Some(enlarged(&code, modules, module))
}

fn drawn(content: &str) -> Option<(Vec<Color>, usize)> {
    let code = QrCode::with_error_correction_level(content, EcLevel::M).ok()?;
    let modules = code.width();
    Some((code.into_colors(), modules))
}

fn enlarged(code: &[Color], modules: usize, module: usize) -> Bitmap {
    let side = (modules + 2 * QUIET) * module;
    let mut out = Bitmap::white(side, side);
    for (place, color) in code.iter().enumerate() {
        if *color == Color::Light {
            continue;
        }
        let (left, top) = (place % modules + QUIET, place / modules + QUIET);
        for y in top * module..(top + 1) * module {
            for x in left * module..(left + 1) * module {
                out.blacken(x, y);
            }
        }
    }
    out
}

/// The code as passes of the head. ESC * 0 prints columns that are two of the profile's dots wide.
fn passes(content: &str, profile: &Profile) -> Option<Vec<Vec<u8>>> {
    let (code, modules) = drawn(content)?;
    let dots = enlarged(&code, modules, IMPACT_MODULE);
    if dots.width * 2 > usize::from(profile.dots) {
        return None;
    }
    let pass = |top: usize| {
        let column = |x: usize| {
            (0..PINS).fold(0_u8, |byte, pin| {
                byte << 1 | u8::from(dots.black(x, top + pin))
            })
        };
        (0..dots.width).map(column).collect()
    };
    Some((0..dots.height).step_by(PINS).map(pass).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_largest_that_fits_and_none_below_half_a_millimetre() {
        let mut profile = Profile::named("generic-58").expect("it is shipped");
        // 384 dots: version 5 has 37 + 8 modules, version 6 has 41 + 8, and so on.
        for (modules, wanted) in [
            (37, Some(8)),
            (41, Some(6)),
            (57, Some(5)),
            (69, Some(4)),
            (88, Some(4)),
            (89, None),
        ] {
            assert_eq!(module(modules, &profile), wanted, "{modules} modules");
        }
        profile.dpi = 300;
        assert_eq!(module(41, &profile), Some(6));
        assert_eq!(module(69, &profile), None, "4 dots are too small here");
    }

    #[test]
    fn the_width_as_bytes_is_that_of_the_tables() {
        // ISO 18004, level M: version 1 holds 14 bytes, 4 62, 5 84, 6 106, 40 2331.
        for (length, modules) in [
            (14, Some(21)),
            (15, Some(25)),
            (62, Some(33)),
            (63, Some(37)),
            (84, Some(37)),
            (85, Some(41)),
            (2331, Some(177)),
            (2332, None),
        ] {
            assert_eq!(
                modules_as_bytes(&vec![b'x'; length]),
                modules,
                "{length} bytes"
            );
        }
    }
}
