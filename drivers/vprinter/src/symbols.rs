//! Pictures that the printer makes by itself: QR codes, stored pictures, bar codes.

use qrcode::{Color, EcLevel, QrCode};

use crate::bitmap::Bitmap;

/// What has been stored and not been printed yet.
#[derive(Debug, Clone)]
pub(crate) struct Symbols {
    module: usize,
    level: EcLevel,
    data: Vec<u8>,
    stored: Option<Bitmap>,
}

/// What a QR command asks of the printer.
pub(crate) enum QrWish {
    Nothing,
    Print,
    Size,
}

impl Default for Symbols {
    fn default() -> Self {
        Self {
            module: 3,
            level: EcLevel::L,
            data: Vec::new(),
            stored: None,
        }
    }
}

impl Symbols {
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    pub(crate) fn module(&self) -> usize {
        self.module
    }

    /// `GS ( k` behind its length: `cn fn ...`, cn 49.
    pub(crate) fn qr(&mut self, arguments: &[u8]) -> QrWish {
        match arguments {
            [b'1', b'C', n @ 1..=16, ..] => self.module = usize::from(*n),
            [b'1', b'E', level @ 48..=51, ..] => {
                self.level = match level {
                    48 => EcLevel::L,
                    49 => EcLevel::M,
                    50 => EcLevel::Q,
                    _ => EcLevel::H,
                }
            }
            [b'1', b'P', b'0', data @ ..] => self.data = data.to_vec(),
            [b'1', b'Q', b'0', ..] => return QrWish::Print,
            [b'1', b'R', b'0', ..] => return QrWish::Size,
            _ => {}
        }
        QrWish::Nothing
    }

    /// The stored QR code at its size, without white around it. Nothing where there is too much data or none.
    pub(crate) fn draw_qr(&self) -> Option<Bitmap> {
        if self.data.is_empty() {
            return None;
        }
        let code = QrCode::with_error_correction_level(&self.data, self.level).ok()?;
        let side = code.width();
        let mut dots = Bitmap::new(side, side);
        for (place, color) in code.to_colors().into_iter().enumerate() {
            if color == Color::Dark {
                dots.blacken(place % side, place / side);
            }
        }
        Some(dots.scaled(self.module, self.module))
    }

    /// `GS ( L` and `GS 8 L` behind their length: `m fn ...`. Gives the picture when it is to be printed.
    pub(crate) fn graphics(&mut self, arguments: &[u8]) -> Option<Bitmap> {
        match *arguments {
            [
                b'0',
                112,
                b'0',
                across,
                down,
                _,
                xl,
                xh,
                yl,
                yh,
                ref data @ ..,
            ] => {
                let width = usize::from(u16::from_le_bytes([xl, xh]));
                let height = usize::from(u16::from_le_bytes([yl, yh]));
                let dots = Bitmap::from_rows(width.div_ceil(8), height, data);
                let scale = |n: u8| usize::from(n.clamp(1, 2));
                self.stored = Some(dots.cropped(width).scaled(scale(across), scale(down)));
                None
            }
            [b'0', 2 | 50, ..] => self.stored.take(),
            _ => None,
        }
    }
}

/// What stands for a bar code: a box of about its size.
pub(crate) fn bar_code(data: &[u8], height: usize, area: usize) -> Bitmap {
    let width = ((data.len() * 11 + 35) * 2).min(area);
    let mut dots = Bitmap::new(width, height);
    dots.fill(0, 0, width, height);
    dots
}
