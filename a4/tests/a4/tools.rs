//! Poppler, qpdf and zbar: what a file says to programs that know nothing of how it was made.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A PDF in a folder of its own, which goes when the test ends.
pub(crate) struct File {
    folder: TempDir,
    pdf: PathBuf,
}

impl File {
    /// Keeps the bytes. For a look at them, the environment variable `A4_KEEP` may name a folder, into
    /// which a copy goes.
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let pdf = folder.path().join("document.pdf");
        std::fs::write(&pdf, bytes).expect("a file");
        if let Ok(keep) = std::env::var("A4_KEEP") {
            let copy = Path::new(&keep).join(format!("{name}.pdf"));
            std::fs::write(copy, bytes).expect("a copy");
        }
        Self { folder, pdf }
    }

    /// The text as it stands on the pages; a form feed after each page.
    pub(crate) fn layout(&self) -> String {
        self.text(&["-layout"])
    }

    /// The text in the order of the file, without what belongs to no paragraph.
    pub(crate) fn raw(&self) -> String {
        self.text(&["-raw"])
    }

    fn text(&self, options: &[&str]) -> String {
        let pdf = self.pdf.to_str().expect("a path");
        let mut arguments = options.to_vec();
        arguments.extend([pdf, "-"]);
        run("pdftotext", &arguments)
    }

    /// What `pdfinfo` says, with further options.
    pub(crate) fn info(&self, options: &[&str]) -> String {
        let pdf = self.pdf.to_str().expect("a path");
        let mut arguments = options.to_vec();
        arguments.push(pdf);
        run("pdfinfo", &arguments)
    }

    /// Panics if a word stands outside the margins, in points from the paper's left and upper edge.
    pub(crate) fn assert_within_margins(&self) {
        let words = self.text(&["-bbox"]);
        let point = |line: &str, name: &str| -> Option<i32> {
            let from = line.split_once(&format!("{name}=\""))?.1;
            from.split('.').next()?.parse().ok()
        };
        let mut count = 0;
        for line in words.lines().filter(|line| line.contains("<word ")) {
            let edge = |name| point(line, name).expect("a number");
            let across = edge("xMin") >= 47 && edge("xMax") <= 547;
            let down = edge("yMin") >= 36 && edge("yMax") <= 810;
            assert!(across && down, "outside the margins: {line}");
            count += 1;
        }
        assert!(count > 20, "{count} words");
    }

    /// The typefaces and whether they are in the file.
    pub(crate) fn fonts(&self) -> String {
        run("pdffonts", &[self.pdf.to_str().expect("a path")])
    }

    /// Panics unless the file is sound.
    pub(crate) fn check(&self) {
        let said = run("qpdf", &["--check", self.pdf.to_str().expect("a path")]);
        assert!(
            said.contains("No syntax or stream encoding errors"),
            "{said}"
        );
    }

    /// What the QR codes of the first page hold, read from a picture of it as an office printer makes it.
    pub(crate) fn qr(&self) -> String {
        let picture = self.folder.path().join("page");
        let picture = picture.to_str().expect("a path");
        let pdf = self.pdf.to_str().expect("a path");
        run(
            "pdftoppm",
            &["-r", "150", "-gray", "-png", "-singlefile", pdf, picture],
        );
        run(
            "zbarimg",
            &["--nodbus", "-q", "--raw", &format!("{picture}.png")],
        )
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}, which scripts/test installs: {error}"));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {text}{complaints}");
    text
}
