//! Pictures of black and white dots.

/// A picture of black and white dots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    width: usize,
    height: usize,
    black: Vec<bool>,
}

impl Bitmap {
    /// A white one.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            black: vec![false; width * height],
        }
    }

    /// From rows of whole bytes, the left dot in the highest bit; what is missing is white.
    #[must_use]
    pub fn from_rows(bytes_in_row: usize, height: usize, bytes: &[u8]) -> Self {
        let mut made = Self::new(bytes_in_row * 8, height);
        let dots = bytes.iter().flat_map(|byte| bits(*byte));
        for (black, dot) in made.black.iter_mut().zip(dots) {
            *black = dot;
        }
        made
    }

    /// From columns of whole bytes, the upper dot in the highest bit; what is missing is white.
    #[must_use]
    pub fn from_columns(width: usize, bytes_in_column: usize, bytes: &[u8]) -> Self {
        let mut made = Self::new(width, bytes_in_column * 8);
        for (x, column) in bytes.chunks(bytes_in_column.max(1)).take(width).enumerate() {
            for (y, dot) in column.iter().flat_map(|byte| bits(*byte)).enumerate() {
                if dot {
                    made.blacken(x, y);
                }
            }
        }
        made
    }

    /// Dots in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Whether this dot is black. Outside all is white.
    #[must_use]
    pub fn is_black(&self, x: usize, y: usize) -> bool {
        x < self.width && self.black.get(y * self.width + x).copied() == Some(true)
    }

    /// Makes this dot black. Outside nothing happens.
    pub fn blacken(&mut self, x: usize, y: usize) {
        self.set(x, y, true);
    }

    fn set(&mut self, x: usize, y: usize, value: bool) {
        if x < self.width
            && let Some(dot) = self.black.get_mut(y * self.width + x)
        {
            *dot = value;
        }
    }

    /// Turns black and white in a rectangle.
    pub(crate) fn invert(&mut self, x: usize, y: usize, width: usize, height: usize) {
        for at_y in y..y + height {
            for at_x in x..x + width {
                let black = self.is_black(at_x, at_y);
                self.set(at_x, at_y, !black);
            }
        }
    }

    /// Blackens a rectangle.
    pub(crate) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize) {
        for at_y in y..y + height {
            for at_x in x..x + width {
                self.blacken(at_x, at_y);
            }
        }
    }

    /// Each dot so many times as wide and high.
    #[must_use]
    pub fn scaled(&self, across: usize, down: usize) -> Self {
        let mut made = Self::new(self.width * across, self.height * down);
        for y in 0..made.height {
            for x in 0..made.width {
                if self.is_black(x / across, y / down) {
                    made.blacken(x, y);
                }
            }
        }
        made
    }

    /// Its left part, so many dots wide at most.
    #[must_use]
    pub(crate) fn cropped(&self, width: usize) -> Self {
        let mut made = Self::new(self.width.min(width), self.height);
        made.print(0, 0, self);
        made
    }

    /// Turned by half a turn.
    pub(crate) fn turned(&self) -> Self {
        let mut made = self.clone();
        made.black.reverse();
        made
    }

    /// Prints another one onto this one, its upper left corner here.
    pub fn print(&mut self, x: usize, y: usize, other: &Self) {
        for at_y in 0..other.height {
            for at_x in 0..other.width {
                if other.is_black(at_x, at_y) {
                    self.blacken(x + at_x, y + at_y);
                }
            }
        }
    }

    /// As a PNG file of one bit a dot.
    ///
    /// # Errors
    /// It is empty or too large for one.
    pub fn to_png(&self) -> Result<Vec<u8>, PngError> {
        let size = |n: usize| u32::try_from(n).map_err(|_| PngError("too large".to_owned()));
        let said = |e: png::EncodingError| PngError(e.to_string());
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, size(self.width)?, size(self.height)?);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header().map_err(said)?;
        writer.write_image_data(&self.packed()).map_err(said)?;
        writer.finish().map_err(said)?;
        Ok(file)
    }

    /// Rows of whole bytes in which 1 is white.
    fn packed(&self) -> Vec<u8> {
        let byte = |dots: &[bool]| {
            let dots = dots.iter().enumerate().filter(|(_, black)| !**black);
            dots.fold(0, |byte, (place, _)| byte | 0x80 >> place)
        };
        let rows = self.black.chunks(self.width.max(1));
        rows.flat_map(|row| row.chunks(8).map(byte)).collect()
    }
}

/// A picture could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the picture of the paper cannot be written: {0}")]
pub struct PngError(String);

fn bits(byte: u8) -> impl Iterator<Item = bool> {
    (0..8).rev().map(move |place| byte >> place & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_of_bytes_become_dots() {
        let rows = Bitmap::from_rows(1, 2, &[0x80, 0x01]);
        assert!(rows.is_black(0, 0) && rows.is_black(7, 1));
        assert!(!rows.is_black(1, 0) && !rows.is_black(0, 1) && !rows.is_black(8, 0));
        let columns = Bitmap::from_columns(2, 1, &[0x80, 0x01]);
        assert!(columns.is_black(0, 0) && columns.is_black(1, 7));
        assert_eq!(columns.black.iter().filter(|b| **b).count(), 2);
    }
}
