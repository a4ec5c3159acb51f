//! Receipts that are made up: right to the cent, in the forms of the shipped templates, and then damaged.

use crate::input::Input;

/// A receipt and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The template whose form it has.
    pub(crate) template: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Its lines' totals in cents, discounts below zero, voided ones left out.
    pub(crate) lines: Vec<i64>,
    /// In cents.
    pub(crate) total: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneLine,
    TwoLine,
    Comma,
    Refund,
    Reprint,
}

const FORMS: [Form; 5] = [
    Form::OneLine,
    Form::TwoLine,
    Form::Comma,
    Form::Refund,
    Form::Reprint,
];

/// Makes a receipt out of choices.
pub(crate) fn made(input: &mut Input<'_>) -> Made {
    let form = input.of(&FORMS);
    let mut out = Printer {
        form,
        text: String::new(),
        lines: Vec::new(),
        by_tax: [0; 3],
    };
    out.header(input);
    for _ in 0..input.byte() % 7 {
        out.item(input);
    }
    out.below(input);
    Made {
        template: match form {
            Form::OneLine => "one-line",
            Form::TwoLine => "two-line",
            Form::Comma => "comma",
            Form::Refund => "refund",
            Form::Reprint => "reprint",
        },
        bytes: out.text.into_bytes(),
        total: out.lines.iter().sum(),
        lines: out.lines,
    }
}

struct Printer {
    form: Form,
    text: String,
    lines: Vec<i64>,
    by_tax: [i64; 3],
}

impl Printer {
    fn say(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn money(&self, cents: i64) -> String {
        let (group, point) = if self.form == Form::Comma {
            ('.', ',')
        } else {
            (',', '.')
        };
        let whole = (cents.abs() / 100).to_string();
        let mut out = String::new();
        if cents < 0 {
            out.push('-');
        }
        for (n, digit) in whole.chars().enumerate() {
            if n > 0 && (whole.len() - n).is_multiple_of(3) {
                out.push(group);
            }
            out.push(digit);
        }
        out.push(point);
        out.push_str(&format!("{:02}", cents.abs() % 100));
        out
    }

    fn header(&mut self, input: &mut Input<'_>) {
        let number = input.word();
        match self.form {
            Form::OneLine | Form::Reprint | Form::Refund => {
                self.say(match self.form {
                    Form::Refund => "  CREDIT NOTE",
                    Form::Reprint => " *** DUPLICATE ***",
                    _ => "  TAX INVOICE",
                });
                self.say(&format!("Receipt No: INV-{number}   Till: 02"));
                self.say("Date: 27/11/2026 13:22  Cashier: Rudo");
                if self.form == Form::Refund {
                    self.say("Original Receipt: INV-0042");
                }
                if input.flag() {
                    self.say("Customer: ACME (Pvt) Ltd\nCustomer TIN: 2001234567");
                }
                self.say("DESCRIPTION    QTY   PRICE   AMOUNT");
            }
            Form::TwoLine => {
                self.say(&format!("Sale #{number}"));
                self.say("27/11/2026 13:22\nServed by Rudo\nCurrency: USD\n -- ITEMS --");
            }
            Form::Comma => {
                self.say(&format!(
                    "Bon: {number}\nLe 27.11.2026 a 09:15\nCaisse 3\n======"
                ));
            }
        }
    }

    fn item(&mut self, input: &mut Input<'_>) {
        let kind = input.byte();
        let name = name(input.take(usize::from(kind >> 5) + 1));
        let tax = usize::from(input.byte() % 3);
        let quantity = i64::from(input.byte() % 20) + 1;
        let price = i64::from(input.word()) * if kind & 16 == 0 { 1 } else { 100 };
        let total = quantity * price;
        let (one, all) = (self.money(price), self.money(total));
        match self.form {
            Form::OneLine | Form::Reprint => {
                let letter = ['A', 'B', 'C'][tax];
                self.say(&format!("{name}  {quantity} x {one}  {all} {letter}"));
                if kind & 3 == 1 {
                    self.say(&format!("VOID {name}  {all} {letter}"));
                    return;
                }
            }
            Form::Refund => {
                let letter = ['A', 'B', 'C'][tax];
                self.say(&format!("{name}  -{quantity} x {one}  -{all} {letter}"));
            }
            Form::TwoLine => {
                let letter = ['V', 'Z', 'E'][tax];
                self.say(&format!("{name}\n{quantity} @ {one}   {all} {letter}"));
                if kind & 3 == 1 {
                    self.say(&format!("*VOID* {name}\n{quantity} @ {one}   {all}"));
                    return;
                }
            }
            Form::Comma => {
                let letter = ['1', '2', '2'][tax];
                self.say(&format!("{name}  {all} {letter}"));
                if kind & 3 != 1 {
                    self.say(&format!("  {quantity} x {one}"));
                }
            }
        }
        self.lines.push(total);
        self.by_tax[tax] += total;
        if kind & 3 == 2 && self.form != Form::Refund {
            let off = total / 10;
            let what = self.money(-off);
            self.say(&match self.form {
                Form::TwoLine => format!("Less 10 percent   {what}"),
                Form::Comma => format!("Rabais 10%  {what}"),
                _ => format!("Discount 10%   {what}"),
            });
            self.lines.push(-off);
            self.by_tax[tax] -= off;
        }
    }

    fn below(&mut self, input: &mut Input<'_>) {
        let total: i64 = self.lines.iter().sum();
        let how = input.byte();
        let change = if how & 1 == 0 { 0 } else { i64::from(how) };
        let sign = if self.form == Form::Refund { -1 } else { 1 };
        let due = self.money(sign * total);
        let given = self.money(sign * total + change * i64::from(sign > 0));
        let back = self.money(change);
        match self.form {
            Form::OneLine | Form::Reprint | Form::Refund => {
                self.say("------");
                self.say(&format!("TOTAL USD   {due}\nCASH   {given}"));
                if change > 0 && sign > 0 {
                    self.say(&format!("CHANGE   {back}"));
                }
                if how & 2 != 0 {
                    self.taxes(sign);
                }
            }
            Form::TwoLine => {
                self.say(&format!("Items: {}", self.lines.len()));
                self.say(&format!("AMOUNT DUE   {due}\nPaid Cash   {given}"));
                self.say(&format!("Tendered   {given}\nChange   {back}"));
            }
            Form::Comma => {
                self.say("======");
                self.say(&format!("SOMME USD   {due}\nESPECES   {given}"));
                self.say(&format!("RENDU   {back}"));
            }
        }
    }

    fn taxes(&mut self, sign: i64) {
        for (n, letter) in ['A', 'B', 'C'].into_iter().enumerate() {
            let gross = self.by_tax[n];
            let tax = if n == 0 {
                (gross * 310 + 1155) / 2310
            } else {
                0
            };
            let (net, tax) = (self.money(sign * (gross - tax)), self.money(sign * tax));
            self.say(&format!("VAT {letter} 15.5%   {net}   {tax}"));
        }
    }
}

/// A name that a shop could give, and some that it should not.
fn name(bytes: &[u8]) -> String {
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHI 0123456789.,-xX@#%$()'*/:+&";
    let letter = |byte: &u8| char::from(letters[usize::from(*byte) % letters.len()]);
    let name: String = bytes.iter().map(letter).collect();
    match name.trim() {
        "" => "Bread".to_owned(),
        name => name.to_owned(),
    }
}

/// Commands that printers know, which move, dress or hide text.
const COMMANDS: [&[u8]; 20] = [
    b"\x1b@",
    b"\x1bE\x01",
    b"\x1ba\x01",
    b"\x1ba\x02",
    b"\x1d!\x11",
    b"\x1d!\x00",
    b"\x1bM\x01",
    b"\x1b!\x20",
    b"\x1b$\x40\x00",
    b"\x1b$\x80\x01",
    b"\x1b\\\x18\x00",
    b"\x1b\\\xe0\xff",
    b"\x1bD\x08\x10\x18\x00",
    b"\t",
    b"\r",
    b"\x1bt\x10",
    b"\x1d*\x01\x01\0\0\0\0\0\0\0\0",
    b"\x1dL\x18\x00",
    b"\x10\x04\x01",
    b"\x1b \x04",
];

/// Changes a few places of a receipt.
pub(crate) fn damaged(mut bytes: Vec<u8>, input: &mut Input<'_>) -> Vec<u8> {
    let mut changes = 0;
    while !input.is_empty() && changes < 12 && !bytes.is_empty() {
        changes += 1;
        let how = input.byte();
        let at = usize::from(input.word()) % bytes.len();
        match how % 8 {
            0 => bytes[at] = input.byte(),
            1 => bytes.insert(at, input.byte()),
            2 => {
                bytes.remove(at);
            }
            3 => {
                let digit = (at..bytes.len()).find(|n| bytes[*n].is_ascii_digit());
                if let Some(digit) = digit {
                    bytes[digit] = b'0' + input.byte() % 10;
                }
            }
            4 => {
                let command = input.of(&COMMANDS);
                bytes.splice(at..at, command.iter().copied());
            }
            5 => {
                let row = row(&bytes, at);
                let copy = bytes[row.clone()].to_vec();
                bytes.splice(row.start..row.start, copy);
            }
            6 => {
                let row = row(&bytes, at);
                bytes.drain(row);
            }
            _ => {
                let row = row(&bytes, at);
                let taken: Vec<u8> = bytes.drain(row).collect();
                let to = usize::from(input.word()) % (bytes.len() + 1);
                let to = self::row(&bytes, to).start;
                bytes.splice(to..to, taken);
            }
        }
    }
    bytes
}

/// The row around a place, its line end included.
fn row(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let at = at.min(bytes.len());
    let start = bytes[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |n| n + 1);
    let end = bytes[at..].iter().position(|b| *b == b'\n');
    start..end.map_or(bytes.len(), |n| at + n + 1)
}
