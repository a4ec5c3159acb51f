//! Pictures from PNG files, in black and white.

use std::io::Cursor;

use png::{ColorType, Decoder, Limits, Transformations};

use super::Bitmap;

/// The widest and highest picture that is taken, in dots: more than any receipt has.
const LARGEST: u32 = 4096;
/// Bytes that the decoder may take for itself.
const MEMORY: usize = 64 << 20;
/// From here on a shade is white.
const WHITE: i32 = 128;

/// How shades become black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shades {
    /// What is darker than the middle is black: for drawings and letters.
    #[default]
    Threshold,
    /// Dots spread by Floyd and Steinberg: for photographs.
    Spread,
}

/// Why a file is no picture for a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// It is no PNG, or a broken one.
    #[error("the picture cannot be read: {0}")]
    Unreadable(String),
    /// It is too large.
    #[error("the picture has {0} x {1} dots; at most {LARGEST} x {LARGEST} are allowed")]
    TooLarge(u32, u32),
}

impl Bitmap {
    /// A picture from a PNG file. What is transparent is white, like the paper.
    ///
    /// # Errors
    /// It is no PNG, or has more dots than a receipt.
    pub fn from_png(file: &[u8], shades: Shades) -> Result<Self, PictureError> {
        let (width, height, mut grey) = grey(file)?;
        let mut picture = Self::white(width, height);
        for y in 0..height {
            for x in 0..width {
                let Some(shade) = grey.get(y * width + x).copied() else {
                    continue;
                };
                if shade < WHITE {
                    picture.blacken(x, y);
                }
                if shades == Shades::Spread {
                    let rest = if shade < WHITE { shade } else { shade - 255 };
                    spread(&mut grey, (width, height), (x, y), rest);
                }
            }
        }
        Ok(picture)
    }
}

/// Gives what a dot is too light or too dark to its neighbours, to the right and below.
fn spread(grey: &mut [i32], (width, height): (usize, usize), (x, y): (usize, usize), rest: i32) {
    let last = width.saturating_sub(1);
    for (at_edge, dx, dy, share) in [
        (x == last, 2, 0, 7),
        (x == 0, 0, 1, 3),
        (false, 1, 1, 5),
        (x == last, 2, 1, 1),
    ] {
        // `dx` counts from the left neighbour.
        if at_edge || y + dy >= height {
            continue;
        }
        if let Some(shade) = grey.get_mut((y + dy) * width + x + dx - 1) {
            *shade += rest * share / 16;
        }
    }
}

/// Width, height and a shade from 0 (black) to 255 for each dot, laid on white paper.
fn grey(file: &[u8]) -> Result<(usize, usize, Vec<i32>), PictureError> {
    let unreadable = |error: &dyn std::fmt::Display| PictureError::Unreadable(error.to_string());
    let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MEMORY });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let info = decoder.read_header_info().map_err(|e| unreadable(&e))?;
    let (width, height) = (info.width, info.height);
    if width > LARGEST || height > LARGEST {
        return Err(PictureError::TooLarge(width, height));
    }
    let mut reader = decoder.read_info().map_err(|e| unreadable(&e))?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| unreadable(&"it is too large"))?;
    let mut dots = vec![0; size];
    let frame = reader.next_frame(&mut dots).map_err(|e| unreadable(&e))?;
    let samples = match frame.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed => return Err(unreadable(&"its palette is missing")),
    };
    let shades = dots.chunks_exact(samples).map(shade).collect();
    let size = |dots: u32| usize::try_from(dots).map_err(|e| unreadable(&e));
    Ok((size(width)?, size(height)?, shades))
}

/// One dot's shade on white paper.
fn shade(dot: &[u8]) -> i32 {
    let (light, alpha) = match *dot {
        [grey] => (i32::from(grey), 255),
        [grey, alpha] => (i32::from(grey), i32::from(alpha)),
        [red, green, blue] => (luminance(red, green, blue), 255),
        [red, green, blue, alpha] => (luminance(red, green, blue), i32::from(alpha)),
        _ => (255, 255),
    };
    (light * alpha + 255 * (255 - alpha)) / 255
}

fn luminance(red: u8, green: u8, blue: u8) -> i32 {
    (299 * i32::from(red) + 587 * i32::from(green) + 114 * i32::from(blue)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(width: u32, color: ColorType, dots: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let samples = color.samples();
        let height = u32::try_from(dots.len() / samples).expect("small") / width;
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(color);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(dots).expect("dots");
        writer.finish().expect("an end");
        out
    }

    #[test]
    fn dark_is_black_and_transparent_is_white() {
        let grey = file(
            9,
            ColorType::Grayscale,
            &[0, 127, 128, 255, 0, 255, 255, 255, 0],
        );
        let picture = Bitmap::from_png(&grey, Shades::Threshold).expect("a picture");
        assert_eq!((picture.width, picture.height), (9, 1));
        assert_eq!(picture.bits, [0b1100_1000, 0b1000_0000]);

        let red_green_clear = [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 0, 0, 0, 0, 0, 200];
        let colours = file(2, ColorType::Rgba, &red_green_clear);
        let picture = Bitmap::from_png(&colours, Shades::Threshold).expect("a picture");
        assert_eq!(picture.bits, [0b1000_0000, 0b0100_0000]);
    }

    #[test]
    fn a_grey_field_becomes_as_many_dots_as_it_is_dark() {
        for (grey, black) in [(0, 1024), (64, 768), (128, 512), (192, 256), (255, 0)] {
            let field = file(32, ColorType::Grayscale, &[grey; 1024]);
            let picture = Bitmap::from_png(&field, Shades::Spread).expect("a picture");
            let dots: u32 = picture.bits.iter().map(|byte| byte.count_ones()).sum();
            assert!(dots.abs_diff(black) <= 40, "{grey}: {dots} dots");
        }
    }

    #[test]
    fn what_is_no_picture_says_so() {
        let good = file(8, ColorType::Grayscale, &[0; 64]);
        for cut in 0..good.len() - 12 {
            assert!(
                Bitmap::from_png(&good[..cut], Shades::Threshold).is_err(),
                "{cut} bytes of {}",
                good.len()
            );
        }
        let wide = file(4097, ColorType::Grayscale, &[0; 4097]);
        assert_eq!(
            Bitmap::from_png(&wide, Shades::Threshold),
            Err(PictureError::TooLarge(4097, 1))
        );
    }
}
