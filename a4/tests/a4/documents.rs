//! Whatever is sold, the page says it all, and says it to every reader.

use fiscal::paper::facts;
use fiscal::testing::{Random, sample_taxpayer, sample_taxpayer_without_vat};
use fiscal::{Cents, Receipt};

use super::samples::{DEBIT, EXCLUSIVE, INCLUSIVE, Sample, logo, random_samples};
use super::tools::File;

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The words of the table of lines, row by row: names may be folded, numbers may not.
fn assert_says_all(text: &str, sample: &Sample) {
    let receipt = &sample.receipt;
    let words: Vec<&str> = text.split_whitespace().collect();
    let has = |word: &str| assert!(words.contains(&word), "{word} is missing:\n{text}");
    for line in &receipt.lines {
        for word in facts::line_name(line).split_whitespace() {
            has(word);
        }
        has(&line.total.to_string());
        has(&line.quantity.to_string());
        line.price
            .into_iter()
            .for_each(|price| has(&facts::price_text(price)));
        line.hs_code.iter().for_each(|code| has(code));
        line.tax.code.iter().for_each(|code| has(code));
    }
    for row in &receipt.taxes {
        if sample.taxpayer.is_vat_payer() && row.tax.code.is_none() {
            has(&row.tax_amount.to_string());
        }
    }
    for (_, amount) in facts::paid(&sample.paper()) {
        has(&amount.to_string());
    }
    for (_, amount) in facts::tax_by_rate(receipt, &sample.taxpayer) {
        has(&amount.to_string());
    }
    has(&receipt.total.to_string());
    has(&facts::item_count(receipt).to_string());
    let squeezed_text = squeezed(text);
    let proof = sample.proof.as_ref().expect("a proof");
    let mut parts = vec![
        facts::title(receipt, &sample.taxpayer).to_owned(),
        facts::invoice_number(&sample.paper()),
        facts::total_label(receipt),
        fiscal::qr::grouped(&proof.verification_code),
        receipt.invoice_no.clone(),
    ];
    parts.extend(receipt.notes.clone());
    parts.extend(facts::seller_lines(&sample.taxpayer));
    parts.extend(receipt.buyer.iter().flat_map(facts::buyer_lines));
    for part in parts {
        let part = squeezed(&part);
        assert!(squeezed_text.contains(&part), "{part} is missing:\n{text}");
    }
}

/// Names, amounts, sums, codes, parties: all of them can be read out of the file, which is sound.
#[test]
fn pages_say_all() {
    let without = sample_taxpayer_without_vat();
    let mut samples = random_samples(7, 60, &sample_taxpayer());
    samples.extend(random_samples(8, 20, &without));
    for sample in &samples {
        let file = File::new("random", &sample.pdf());
        file.check();
        assert_says_all(&file.raw(), sample);
        file.assert_within_margins();
    }
}

/// The column of VAT comes to the tax of its rate, although FDMS rounds a rate's tax only once; no line is
/// a whole cent away from its own tax.
#[test]
fn column_of_taxes_adds_up() {
    let with_differences = random_samples(21, 150, &sample_taxpayer());
    let mut corrected = 0;
    for sample in with_differences {
        let receipt = &sample.receipt;
        for (row, rounded_alone) in taxes_rounded_alone(receipt) {
            corrected += usize::from(row != rounded_alone);
        }
        let shown = vat_column(&sample);
        assert_eq!(shown.len(), receipt.lines.len());
        for row in &receipt.taxes {
            let of_row = receipt.lines.iter().zip(&shown);
            let of_row = of_row.filter(|(line, _)| line.tax == row.tax);
            let sum: Cents = of_row.map(|(_, tax)| *tax).sum();
            assert_eq!(sum, row.tax_amount, "{receipt:?}");
        }
        for (line, tax) in receipt.lines.iter().zip(shown) {
            let rate = line.tax.percent.map_or(0, |p| i64::from(p.hundredths()));
            let divisor = 10_000 + if receipt.lines_tax_inclusive { rate } else { 0 };
            let off = tax.get() * divisor - line.total.get() * rate;
            assert!(off.abs() < divisor, "{line:?}: {tax}");
        }
    }
    assert!(corrected > 5, "nothing was to be corrected");
}

/// Each row's tax, and what the taxes of its lines come to when each is rounded by itself.
fn taxes_rounded_alone(receipt: &Receipt) -> Vec<(i64, i64)> {
    let of = |row: &fiscal::receipt::TaxRow| {
        let lines = receipt.lines.iter().filter(|line| line.tax == row.tax);
        let rows = lines.map(|line| {
            let one = std::slice::from_ref(line);
            let rows = fiscal::sums::tax_rows(one, receipt.lines_tax_inclusive);
            rows.iter().map(|row| row.tax_amount.get()).sum::<i64>()
        });
        (row.tax_amount.get(), rows.sum())
    };
    receipt.taxes.iter().map(of).collect()
}

/// The VAT of each line, read from the page: the row begins with the line's code, which is all digits, and
/// ends with VAT, total and the tax's code, if there is one.
fn vat_column(sample: &Sample) -> Vec<Cents> {
    let text = File::new("column", &sample.pdf()).layout();
    let receipt = &sample.receipt;
    let from_end = 2 + usize::from(receipt.lines.iter().any(|line| line.tax.code.is_some()));
    let is_code =
        |word: &str| matches!(word.len(), 4 | 8) && word.bytes().all(|b| b.is_ascii_digit());
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() > 4 && words.first().is_some_and(|word| is_code(word)))
        .map(|words| match words[words.len() - from_end] {
            "-" => Cents::ZERO,
            amount => Cents::parse(amount).expect("an amount"),
        })
        .collect()
}

/// The QR code is read from a picture of the page and holds the content; so it is beside a logo.
#[test]
fn qr_code_can_be_read() {
    for json in [INCLUSIVE, EXCLUSIVE, DEBIT] {
        let sample = Sample::new(json, &sample_taxpayer());
        let bytes = a4::invoice(&sample.paper(), Some(&logo())).expect("a PDF");
        let content = &sample.proof.as_ref().expect("a proof").qr_content;
        assert_eq!(File::new("qr", &bytes).qr().trim(), content);
    }
}

/// A receipt with so many lines, of random names between one letter and 200.
fn long(lines: usize) -> Sample {
    let mut sample = Sample::new(EXCLUSIVE, &sample_taxpayer());
    let mut random = Random::new(5);
    let pattern = sample.receipt.lines[0].clone();
    sample.receipt.lines = (1..=lines)
        .map(|no| {
            let mut line = pattern.clone();
            line.no = u32::try_from(no).expect("a number");
            let length = if random.chance(10) { 196 } else { 20 };
            let mut name = format!("L{no} ");
            while name.chars().count() < length {
                let most = if random.chance(5) { 60 } else { 9 };
                let word = random.below(most);
                name.extend((0..word).map(|_| 'Ж'));
                name.push(' ');
            }
            line.name = name.chars().take(200).collect::<String>().trim().to_owned();
            line
        })
        .collect();
    sample.receipt.taxes = fiscal::sums::tax_rows(&sample.receipt.lines, false);
    sample.receipt.total = fiscal::sums::total(&sample.receipt.taxes);
    sample
}

/// The head of the table and the document's number stand on every page with lines, pages are numbered, no
/// row is split, every line is there once and in order.
#[test]
fn long_receipts_go_on() {
    let name_of_row = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("25232900")).then(|| words.next().unwrap_or_default().to_owned())
    };
    let mut pages_before = 0;
    for lines in [1, 20, 30, 100, 1000] {
        let file = File::new(&format!("long_{lines}"), &long(lines).pdf());
        file.check();
        file.assert_within_margins();
        let text = file.layout();
        let pages: Vec<&str> = text
            .split('\u{c}')
            .filter(|page| !page.is_empty())
            .collect();
        assert!(
            pages.len() >= pages_before,
            "{lines} lines on {} pages",
            pages.len()
        );
        pages_before = pages.len();
        let mut names = Vec::new();
        for (page, number) in pages.iter().zip(1..) {
            let foot = format!("Page {number} of {}", pages.len());
            assert!(page.contains(&foot), "{foot}\n{page}");
            assert!(page.contains("FISCAL TAX INVOICE 15/451"), "{page}");
            let rows: Vec<String> = page.lines().filter_map(name_of_row).collect();
            assert_eq!(rows.is_empty(), !page.contains("Description"), "{page}");
            let before_rows = page.find("Description").unwrap_or(0);
            assert!(
                before_rows <= page.find("25232900").unwrap_or(usize::MAX),
                "{page}"
            );
            names.extend(rows);
        }
        let expected: Vec<String> = (1..=lines).map(|no| format!("L{no}")).collect();
        assert_eq!(names, expected);
        let letters = |text: &str| text.matches('Ж').count();
        let receipt = long(lines).receipt;
        let wanted: usize = receipt.lines.iter().map(|line| letters(&line.name)).sum();
        assert_eq!(letters(&text), wanted, "names were cut");
        assert!(text.contains(&receipt.total.to_string()));
    }
    assert!(pages_before > 20, "1000 lines on {pages_before} pages");
}

/// Numbers as large as FDMS takes them are whole; nothing stands outside the paper's margins.
#[test]
fn large_numbers_fit() {
    let mut sample = long(40);
    for line in &mut sample.receipt.lines {
        line.name = format!("Line {}", line.no);
        line.price = fiscal::Price::parse("1234567890123.654321").ok();
        line.quantity = fiscal::Quantity::parse("123456789.123456").expect("a quantity");
        line.total = Cents::new(912_345_678_901_234);
    }
    sample.receipt.taxes = fiscal::sums::tax_rows(&sample.receipt.lines, false);
    sample.receipt.total = fiscal::sums::total(&sample.receipt.taxes);
    let file = File::new("large", &sample.pdf());
    assert_says_all(&file.raw(), &sample);
    file.assert_within_margins();
}

/// A receipt without lines, as no rule of FDMS lets pass, is a page like others; one with a tax code of
/// its own for every line has a table of taxes that goes on over pages.
#[test]
fn tables_of_any_length() {
    File::new("empty", &long(0).pdf()).check();
    let mut sample = long(200);
    for line in &mut sample.receipt.lines {
        line.tax.code = Some(format!("{:03}", line.no));
    }
    sample.receipt.taxes = fiscal::sums::tax_rows(&sample.receipt.lines, false);
    sample.receipt.total = fiscal::sums::total(&sample.receipt.taxes);
    let file = File::new("taxes", &sample.pdf());
    file.assert_within_margins();
    let text = file.layout();
    assert_eq!(text.matches("15.5% ").count(), 200 + 1, "{text}");
    let heads = text.matches("Net.Amt").count();
    assert!(heads > 2, "the table's head stands {heads} times");
    assert_eq!(text.matches("Invoice total").count(), 1);
}

/// The same receipt gives the same bytes, another gives others; date, author and title are in the file.
#[test]
fn bytes_and_facts_are_stable() {
    let sample = Sample::new(INCLUSIVE, &sample_taxpayer());
    let make = |sample: &Sample| a4::invoice(&sample.paper(), Some(&logo())).expect("a PDF");
    let bytes = make(&sample);
    assert_eq!(bytes, make(&sample));
    assert_eq!(bytes, make(&Sample::new(INCLUSIVE, &sample_taxpayer())));
    let mut copy = sample.clone();
    copy.marks.copy = true;
    assert_ne!(bytes, make(&copy));
    let info = File::new("info", &bytes).info(&["-rawdates"]);
    for fact in [
        "Title:           FISCAL TAX INVOICE 15/451",
        "Author:          Example Traders (Pvt) Ltd",
        "CreationDate:    D:20260906121839+02'00",
        "Tagged:          yes",
        "Page size:       595.3 x 841.9 pts (A4)",
        "PDF version:     1.7",
    ] {
        assert!(info.contains(fact), "{fact}\n{info}");
    }
}

/// The file says which rules it keeps; krilla refuses to write one that it sees break them.
#[test]
fn archives_can_keep_it() {
    let bytes = Sample::new(INCLUSIVE, &sample_taxpayer()).pdf();
    let file = File::new("archive", &bytes);
    let metadata = file.info(&["-meta"]);
    for fact in [
        "<pdfaid:part>2</pdfaid:part>",
        "<pdfaid:conformance>A</pdfaid:conformance>",
        "<pdfuaid:part>1</pdfuaid:part>",
        "<rdf:li>en</rdf:li>",
    ] {
        assert!(metadata.contains(fact), "{fact}\n{metadata}");
    }
    let structure = file.info(&["-struct-text"]);
    for part in [
        "H1",
        "Table",
        "THead",
        "TBody",
        "TH:",
        "TD",
        "Figure",
        "\"Bread\"",
    ] {
        assert!(structure.contains(part), "{part}\n{structure}");
    }
}

/// A logo that is none is refused, and one that would need too much memory before it is unpacked.
#[test]
fn bad_logos_are_refused() {
    let sample = Sample::new(INCLUSIVE, &sample_taxpayer());
    let with = |logo: &[u8]| a4::invoice(&sample.paper(), Some(logo));
    let good = logo();
    assert!(with(&good).is_ok());
    assert_eq!(a4::check_logo(&good), Ok(()));
    // What the check lets through is used, and what it refuses is not.
    let refused = |logo: &[u8]| {
        let found = with(logo).map(drop);
        assert_eq!(found, a4::check_logo(logo));
        matches!(found, Err(a4::A4Error::Logo(_)))
    };
    assert!(refused(b""));
    assert!(refused(b"GIF89a"));
    assert!(refused(&good[..good.len() / 2]));
    let mut huge = Vec::new();
    let mut encoder = png::Encoder::new(&mut huge, 60_000, 60_000);
    encoder.set_color(png::ColorType::Rgba);
    drop(encoder.write_header().expect("a PNG"));
    assert!(refused(&huge));
}
