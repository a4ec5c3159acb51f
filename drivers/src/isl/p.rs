//! Commands of "P" frames: fields at fixed places, separated by commas and TAB.

use rust_decimal::Decimal;

use super::frame::Frame;
use crate::register::args::{Args, payments_in_order, short_date_time};
use crate::register::{
    Adjust, Answer, Field, Paid, Refusal, RefusalClass, Request, Rules, Sale, amount,
};

/// What a frame asks for.
pub(super) fn request(rules: &Rules, frame: &Frame) -> Result<Request, Refusal> {
    let data = frame.data.as_slice();
    let text = |bytes: &[u8]| rules.settings.text.read(bytes).trim_end().to_owned();
    Ok(match frame.command {
        0x21 => Request::Display {
            upper: Some(String::new()),
            lower: Some(String::new()),
        },
        0x23 => Request::Display {
            upper: None,
            lower: Some(text(data)),
        },
        0x2F => Request::Display {
            upper: Some(text(data)),
            lower: None,
        },
        0x26 => Request::ServiceOpen,
        0x2A => Request::ServiceText(text(data)),
        0x27 => Request::ServiceClose,
        0x2E => open_storno(rules, data)?,
        0x30 => open(rules, data)?,
        0x31 | 0x34 => Request::Sale(sale(rules, data)?),
        0x33 => subtotal(rules, data)?,
        0x35 => pay(rules, data)?,
        0x36 => Request::Text(text(data)),
        0x38 => Request::Close { pay: None },
        0x39 => {
            let table = &rules.profile.isl_p.customer;
            let pieces = data.split(|b| *b == b'\t');
            Request::Customer(Args::read(table, pieces, rules.settings.text).customer())
        }
        0x3C => Request::Cancel,
        0x3D => Request::SetClock,
        0x3E => Request::Clock,
        0x45 => match data.first() {
            None | Some(b'0') => Request::ZReport,
            Some(b'2' | b'3') => Request::XReport,
            Some(_) => return Err(Refusal::syntax("no such report")),
        },
        0x4A => Request::Status,
        0x4C => Request::Transaction,
        0x5A => Request::Identity,
        0x61 => Request::TaxRates,
        0x63 => Request::Taxpayer,
        0x67 => Request::Sums,
        0x6A => Request::Drawer,
        0x6D => Request::Duplicate,
        0x6E => Request::Payments,
        0x71 => Request::LastDocument,
        0x74 => Request::LastQr,
        other => {
            let words = format!("no command {other:02X}h");
            return Err(Refusal::new(RefusalClass::Unknown, words));
        }
    })
}

fn open(rules: &Rules, data: &[u8]) -> Result<Request, Refusal> {
    let table = &rules.profile.isl_p.open;
    let args = Args::read(table, data.split(|b| *b == b','), rules.settings.text);
    let mut opening = args.opening()?;
    // What follows in any order: I or I and a number, and the software's number of the sale.
    for piece in data.split(|b| *b == b',').skip(table.len()) {
        match rules.settings.text.read(piece).trim() {
            "" => {}
            invoice if is_marked(invoice, "I") => opening.invoice = true,
            number => opening.sale_no = Some(number.to_owned()),
        }
    }
    Ok(Request::Open(opening))
}

/// A letter, and nothing or digits.
fn is_marked(text: &str, letters: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| letters.contains(c)) && chars.all(|c| c.is_ascii_digit())
}

/// `Op,Pwd,Till[,I..][,Sale],{E|R|T}Doc[,...][#words]`.
fn open_storno(rules: &Rules, data: &[u8]) -> Result<Request, Refusal> {
    let isl = &rules.profile.isl_p;
    let (data, words) = split_at(data, b"#");
    let reasons: String = isl.codes.reasons.keys().map(String::as_str).collect();
    let pieces: Vec<&[u8]> = data.split(|b| *b == b',').collect();
    let is_original =
        |piece: &&[u8]| piece.len() > 1 && is_marked(&String::from_utf8_lossy(piece), &reasons);
    let fixed = isl.open.len().min(pieces.len());
    let (head, rest) = pieces.split_at(fixed);
    let at = rest.iter().position(is_original);
    let at = at.ok_or_else(|| Refusal::syntax("no reason and number of the original"))?;
    let (between, rest) = rest.split_at(at);
    let (original, rest) = rest.split_first().unwrap_or((&data, &[]));
    let Request::Open(opening) = open(rules, &[head, between].concat().join(&b','))? else {
        return Err(Refusal::syntax("no opening"));
    };
    let (reason, document) = original.split_at(1);
    let mut table = vec![Field::Reason, Field::Document, Field::Words];
    table.extend(&isl.storno_rest);
    let words = words.get(1..).unwrap_or_default();
    let pieces = [&[reason, document, words][..], rest].concat();
    let args = Args::read(&table, pieces.into_iter(), rules.settings.text);
    let mut opening = opening;
    let sale_no = args.get(Field::SaleNo).map(str::to_owned);
    opening.sale_no = opening.sale_no.or(sale_no);
    Ok(Request::OpenStorno(opening, args.storno(&isl.codes)?))
}

/// Cuts before the first of some bytes.
fn split_at<'a>(data: &'a [u8], stops: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = data.iter().position(|b| stops.contains(b));
    data.split_at(at.unwrap_or(data.len()))
}

/// `[L1][LF L2] TAB Tax [-]Price[*Qty[#Unit]][,Perc|;Abs]`, or `TAB Dept TAB Price..`.
fn sale(rules: &Rules, data: &[u8]) -> Result<Sale, Refusal> {
    let profile = &rules.profile;
    let mut pieces = data.splitn(3, |b| *b == b'\t');
    let name = rules.settings.text.read(pieces.next().unwrap_or_default());
    let second = pieces.next();
    let second = second.ok_or_else(|| Refusal::syntax("a sale without TAB"))?;
    let (tax, department, rest) = match pieces.next() {
        Some(rest) => {
            let number = rules.settings.text.read(second);
            let bad = |_| Refusal::syntax(format!("{number:?} is no department"));
            let number: u32 = number.trim().parse().map_err(bad)?;
            (rules.department(number)?, Some(number), rest.to_vec())
        }
        None => {
            let rest = rules.settings.text.read(second);
            let mut chars = rest.chars();
            let letter = chars.next().map(String::from).unwrap_or_default();
            if letter.chars().all(|c| c.is_ascii_digit()) {
                return Err(Refusal::syntax("a sale without a tax letter"));
            }
            (rules.tax(&letter)?, None, chars.as_str().into())
        }
    };
    let adjusts = [b",", profile.isl_p.absolute.as_bytes()].concat();
    let (goods, adjust) = split_at(&rest, &adjusts);
    let (goods, unit) = split_at(goods, b"#");
    let (price, quantity) = split_at(goods, b"*");
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let quantity = match quantity.get(1..) {
        None => Decimal::ONE,
        Some(quantity) => amount::parse(&read(quantity), profile.quantity_decimals)?,
    };
    let unit = unit.get(1..).map(|unit| rules.settings.text.read(unit));
    Ok(Sale {
        name: match name.trim() {
            "" => "Sale".to_owned(),
            name => name.to_owned(),
        },
        tax,
        department,
        price: amount::parse(&read(price), profile.price_decimals)?,
        quantity,
        unit,
        adjust: adjustment(adjust)?,
    })
}

/// `,Perc` or `;Abs`, sign and all.
fn adjustment(data: &[u8]) -> Result<Option<Adjust>, Refusal> {
    let Some((kind, value)) = data.split_first() else {
        return Ok(None);
    };
    let value = amount::parse(&String::from_utf8_lossy(value), 2)?;
    Ok(Some(match kind {
        b',' => Adjust::Percent(value),
        _ => Adjust::Amount(value),
    }))
}

/// `PrintDisplay[,Perc|;Abs]`.
fn subtotal(rules: &Rules, data: &[u8]) -> Result<Request, Refusal> {
    let adjusts = [b",", rules.profile.isl_p.absolute.as_bytes()].concat();
    let (flags, adjust) = split_at(data, &adjusts);
    if flags.len() > 2 || flags.iter().any(|b| !matches!(b, b'0' | b'1')) {
        return Err(Refusal::syntax("a subtotal's flags are 0 or 1"));
    }
    Ok(Request::Subtotal {
        adjust: adjustment(adjust)?,
        display: flags.get(1) == Some(&b'1'),
    })
}

/// `[text] TAB [Mode][Amount]`; without a mode in cash, without an amount all that is due.
fn pay(rules: &Rules, data: &[u8]) -> Result<Request, Refusal> {
    let (text, rest) = split_at(data, b"\t");
    let text = rules.settings.text.read(text).trim().to_owned();
    let rest = String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).into_owned();
    let code: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    let amount = rest.get(code.len()..).unwrap_or_default().trim();
    let parse = |text| amount::parse(text, 2);
    Ok(Request::Pay {
        amount: (!amount.is_empty())
            .then_some(amount)
            .map(parse)
            .transpose()?,
        code: match code.as_str() {
            "" => rules.profile.isl_p.codes.cash.clone(),
            code => code.to_owned(),
        },
        text: (!text.is_empty()).then_some(text),
    })
}

/// The data of a reply.
pub(super) fn reply(rules: &Rules, frame: &Frame, outcome: &Result<Answer, Refusal>) -> Vec<u8> {
    let sum = |d: &Decimal| cents(*d, rules.profile.isl_p.sum_digits);
    let sums = |all: &[Decimal]| all.iter().map(sum).collect::<Vec<_>>().join(",");
    let text = match (outcome, frame.command) {
        (Err(_), 0x35) => "F".to_owned(),
        (Err(_) | Ok(Answer::Done), _) => String::new(),
        (Ok(Answer::Opened(totals)), _) => format!("{:04},{:04}", totals.all, totals.fiscal),
        (Ok(Answer::Service(totals)), _) => format!("{:04}", totals.all),
        (Ok(Answer::Subtotal(total, taxes)), _) => format!("{},{}", sum(total), sums(taxes)),
        (Ok(Answer::Paid(Paid::Due(due))), _) => format!("D{}", sum(due)),
        (Ok(Answer::Paid(Paid::Change(change))), _) => format!("R{}", sum(change)),
        (Ok(Answer::Closed(closed)), _) => format!("{:04},{:04}", closed.all, closed.fiscal),
        (Ok(Answer::Report(report)), _) => {
            let taxes = letters(&report.totals.taxes);
            let total: Decimal = taxes.iter().sum();
            format!(
                "{:04},{},{}",
                report.totals.closures,
                sum(&total),
                sums(&taxes)
            )
        }
        (Ok(transaction @ Answer::Transaction { .. }), _) => told(transaction, frame, &sum, &sums),
        (Ok(Answer::Identity(identity)), 0x63) => identity.taxpayer.clone(),
        (Ok(Answer::Identity(i)), _) => format!(
            "{},{},0000,00000000,{},{}",
            i.name, i.version, i.serial, i.fiscal_memory
        ),
        (Ok(Answer::Clock(at)), _) => short_date_time(at),
        (Ok(Answer::TaxRates(rates)), _) => {
            let of = |letter| rates.iter().find(|r| r.letter == letter);
            let percent = |letter| of(letter).and_then(|r| r.percent).unwrap_or_default();
            let all = ('A'..='H').map(|letter| format!("{:.2}", percent(letter)));
            all.collect::<Vec<_>>().join(",")
        }
        (Ok(Answer::Totals(totals)), 0x71) => format!("{:07}", totals.all),
        (Ok(Answer::Totals(totals)), _) => {
            let codes = &rules.profile.isl_p.codes;
            let meaning = |code: &str| rules.payment(codes, code).ok().map(|rule| rule.money);
            let paid = payments_in_order(codes, meaning, &totals.payments);
            format!(
                "{},{:04},{:04}",
                sums(&paid),
                totals.closures + 1,
                totals.fiscal
            )
        }
        (Ok(Answer::Last(closed)), _) => closed.as_ref().map(|c| c.qr.clone()).unwrap_or_default(),
    };
    rules.settings.text.write(&text)
}

/// 4Ch `Open,Items,Amount,Tender`; 67h `CanVoid,TaxA..TaxH,Invoice,Number`.
fn told(
    transaction: &Answer,
    frame: &Frame,
    sum: &dyn Fn(&Decimal) -> String,
    sums: &dyn Fn(&[Decimal]) -> String,
) -> String {
    let Answer::Transaction {
        open,
        items,
        amount,
        paid,
        taxes,
        invoice,
        can_void,
        ..
    } = transaction
    else {
        return String::new();
    };
    if frame.command == 0x67 {
        return format!(
            "{},{},{},0",
            u8::from(*can_void),
            sums(taxes),
            u8::from(*invoice)
        );
    }
    format!(
        "{},{items:04},{},{}",
        u8::from(*open),
        sum(amount),
        sum(paid)
    )
}

/// A sum as whole cents, filled up with zeros, sign in front.
fn cents(sum: Decimal, digits: usize) -> String {
    let cents = (sum * Decimal::ONE_HUNDRED).round();
    let sign = if cents < Decimal::ZERO { "-" } else { "" };
    format!("{sign}{:0>digits$}", cents.abs().to_string())
}

fn letters(taxes: &[(char, Decimal)]) -> Vec<Decimal> {
    let of = |letter| taxes.iter().filter(move |(l, _)| *l == letter);
    let sum = |letter| of(letter).map(|(_, sum)| *sum).sum();
    ('A'..='H').map(sum).collect()
}
