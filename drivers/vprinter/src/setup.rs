//! What kind of printer it is.

/// How it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Knows the process ID (`GS ( H`) and skips what it does not know, with its parameters.
    #[default]
    Epson,
    /// Does not know `GS (` but for the QR code, nor `GS 8`: their bytes come out as text.
    Clone,
    /// Reads like an Epson, but never answers.
    Mute,
    /// Never answers, and is on a link that carries nothing back.
    OneWay,
}

impl Dialect {
    /// Whether it ever answers.
    #[must_use]
    pub fn answers(self) -> bool {
        matches!(self, Self::Epson | Self::Clone)
    }
}

/// How dots come onto the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Head {
    /// A row of heating elements: square dots.
    #[default]
    Thermal,
    /// Needles: eight in a band, each two rows of the picture high.
    Impact,
}

/// What kind of printer it is, and how much paper is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterSetup {
    /// Its name, as `GS I 67` tells it.
    pub model: String,
    /// How it speaks.
    pub dialect: Dialect,
    /// Characters in a line of font A: 32, 42 or 48.
    pub columns: usize,
    /// Dots in a row.
    pub dots: usize,
    /// Rows in an inch: 203 or 180, for needles 144.
    pub rows_per_inch: u32,
    /// How dots come onto the paper.
    pub head: Head,
    /// Whether it draws QR codes by itself (`GS ( k`).
    pub native_qr: bool,
    /// Whether it knows `GS v 0`.
    pub raster: bool,
    /// Whether it has a cutter. Without one a sheet ends where enough paper is fed to tear it off.
    pub cutter: bool,
    /// From the print head to the cutter, in rows: so much of the newest print is not cut off.
    pub cutter_rows: usize,
    /// Without a cutter: so many empty rows end a sheet.
    pub tear_rows: usize,
    /// Paper on the roll, in millimetres.
    pub paper_left_mm: u32,
    /// Less paper than this, in millimetres, and the near-end sensor tells it.
    pub near_end_mm: u32,
    /// Size of the receive buffer, in bytes. When it is full, the link stands still.
    pub buffer_bytes: usize,
    /// So many lines, feeds and cuts are read ahead of the paper.
    pub lines_ahead: usize,
    /// Speed of the paper in millimetres a second; 0 takes no time at all.
    pub speed_mm_per_s: u32,
    /// Whether it starts in its Chinese mode, in which a byte of 80 or more takes the next one with it.
    pub starts_in_kanji: bool,
    /// The level of the drawer's sensor when the drawer is shut, which differs from drawer to drawer.
    pub drawer_pin_high: bool,
}

impl Default for PrinterSetup {
    fn default() -> Self {
        Self::epson_80()
    }
}

impl PrinterSetup {
    /// Like an Epson TM-T20II: 80 mm, 48 columns, answers all.
    #[must_use]
    pub fn epson_80() -> Self {
        Self {
            model: "TM-T20II".to_owned(),
            dialect: Dialect::Epson,
            columns: 48,
            dots: 576,
            rows_per_inch: 203,
            head: Head::Thermal,
            native_qr: true,
            raster: true,
            cutter: true,
            cutter_rows: 96,
            tear_rows: 100,
            paper_left_mm: 80_000,
            near_end_mm: 3_000,
            buffer_bytes: 4096,
            lines_ahead: 8,
            speed_mm_per_s: 150,
            starts_in_kanji: false,
            drawer_pin_high: false,
        }
    }

    /// Like an Epson TM-T88: 42 columns at 180 dpi.
    #[must_use]
    pub fn epson_42() -> Self {
        Self {
            model: "TM-T88IV".to_owned(),
            columns: 42,
            dots: 512,
            rows_per_inch: 180,
            ..Self::epson_80()
        }
    }

    /// A cheap 80 mm printer: cutter, raster, no QR of its own, no process ID.
    #[must_use]
    pub fn clone_80() -> Self {
        Self {
            model: "POS-80".to_owned(),
            dialect: Dialect::Clone,
            native_qr: false,
            starts_in_kanji: true,
            ..Self::epson_80()
        }
    }

    /// A cheap 58 mm printer: 32 columns, no cutter, a small buffer.
    #[must_use]
    pub fn clone_58() -> Self {
        Self {
            model: "POS-58".to_owned(),
            columns: 32,
            dots: 384,
            cutter: false,
            buffer_bytes: 1024,
            speed_mm_per_s: 60,
            ..Self::clone_80()
        }
    }

    /// Like a TM-U220: needles, 42 columns on 400 dots, neither QR nor raster, no process ID.
    #[must_use]
    pub fn impact() -> Self {
        Self {
            model: "TM-U220".to_owned(),
            columns: 42,
            dots: 400,
            rows_per_inch: 144,
            head: Head::Impact,
            native_qr: false,
            raster: false,
            cutter_rows: 68,
            tear_rows: 72,
            speed_mm_per_s: 20,
            ..Self::epson_80()
        }
    }

    /// Dots from one character of a font to the next.
    #[must_use]
    pub fn cell_width(&self, font_b: bool) -> usize {
        let a = self.dots / self.columns.max(1);
        match (font_b, self.head) {
            (false, _) => a.max(1),
            (true, Head::Thermal) => (a * 3 / 4).max(1),
            (true, Head::Impact) => a.saturating_sub(2).max(1),
        }
    }

    /// Rows of a character of a font.
    #[must_use]
    pub fn cell_height(&self, font_b: bool) -> usize {
        match (font_b, self.head) {
            (false, Head::Thermal) => 24,
            (true, Head::Thermal) | (_, Head::Impact) => 17,
        }
    }

    /// Rows from line to line when nothing else is said: a sixth of an inch.
    #[must_use]
    pub fn line_rows(&self) -> usize {
        usize::try_from(self.rows_per_inch / 6).map_or(30, |rows| rows.max(1))
    }

    /// Whether it confirms what is printed (`GS ( H`).
    #[must_use]
    pub fn knows_process_id(&self) -> bool {
        self.dialect != Dialect::Clone && self.head == Head::Thermal
    }
}
