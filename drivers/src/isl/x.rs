//! Commands of "X" frames: every piece ends in TAB, every reply begins with an error code.

use rust_decimal::Decimal;

use super::frame::Frame;
use crate::register::args::{Args, payments_in_order, short_date_time};
use crate::register::{Adjust, Answer, Field, Paid, Refusal, RefusalClass, Request, Rules, Sale};

/// What a frame asks for.
pub(super) fn request(rules: &Rules, frame: &Frame) -> Result<Request, Refusal> {
    let isl = &rules.profile.isl_x;
    let pieces = || frame.data.split(|b| *b == b'\t');
    let args = |table: &[Field]| Args::read(table, pieces(), rules.settings.text);
    let text = || {
        let first = pieces().next().unwrap_or_default();
        rules.settings.text.read(first).trim_end().to_owned()
    };
    Ok(match frame.command {
        0x21 => Request::Display {
            upper: Some(String::new()),
            lower: Some(String::new()),
        },
        0x23 => Request::Display {
            upper: None,
            lower: Some(text()),
        },
        0x2F => Request::Display {
            upper: Some(text()),
            lower: None,
        },
        0x26 => Request::ServiceOpen,
        0x2A => Request::ServiceText(text()),
        0x27 => Request::ServiceClose,
        0x2B | 0x2E => {
            let args = args(&isl.storno);
            Request::OpenStorno(args.opening()?, args.storno(&isl.codes)?)
        }
        0x30 => Request::Open(args(&isl.open).opening()?),
        0x31 | 0x34 => Request::Sale(sale(rules, &args(&isl.sale))?),
        0x32 | 0x61 => Request::TaxRates,
        0x33 => subtotal(&args(SUBTOTAL))?,
        0x35 => pay(rules, &args(&isl.pay))?,
        0x36 => Request::Text(text()),
        0x38 => Request::Close { pay: None },
        0x39 => Request::Customer(args(&isl.customer).customer()),
        0x3C => Request::Cancel,
        0x3D => Request::SetClock,
        0x3E => Request::Clock,
        0x45 => match text().as_str() {
            "Z" | "" => Request::ZReport,
            "X" => Request::XReport,
            _ => return Err(Refusal::syntax("no such report")),
        },
        0x4A => Request::Status,
        0x4C => Request::Transaction,
        0x5A => Request::Identity,
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

/// 33h: print, display, kind and value of a discount. The first two are flags.
const SUBTOTAL: &[Field] = &[
    Field::Print,
    Field::Ignore,
    Field::AdjustKind,
    Field::AdjustValue,
];

fn sale(rules: &Rules, args: &Args) -> Result<Sale, Refusal> {
    let department = args.number(Field::Department, 0)?;
    let department = department.filter(|d| !d.is_zero());
    let department = department.and_then(|d| u32::try_from(d).ok());
    let price = args.number(Field::Price, rules.profile.price_decimals)?;
    let quantity = args.number(Field::Quantity, rules.profile.quantity_decimals)?;
    Ok(Sale {
        name: args.get(Field::Name).unwrap_or("Sale").to_owned(),
        tax: match (args.get(Field::Tax), department) {
            (Some(tax), _) => rules.tax(tax)?,
            (None, Some(number)) => rules.department(number)?,
            (None, None) => return Err(Refusal::syntax("a sale without a tax letter")),
        },
        department,
        price: price.ok_or_else(|| Refusal::syntax("a sale without a price"))?,
        quantity: quantity.unwrap_or(Decimal::ONE),
        unit: args.get(Field::Unit).map(str::to_owned),
        adjust: adjustment(args)?,
    })
}

/// 0 none, 1 surcharge and 2 discount in percent, 3 surcharge and 4 discount in money.
fn adjustment(args: &Args) -> Result<Option<Adjust>, Refusal> {
    let value = args.number(Field::AdjustValue, 2)?.unwrap_or_default();
    if value < Decimal::ZERO {
        return Err(Refusal::syntax("the value of a discount has no sign"));
    }
    Ok(match args.get(Field::AdjustKind).unwrap_or("0") {
        "0" => None,
        "1" => Some(Adjust::Percent(value)),
        "2" => Some(Adjust::Percent(-value)),
        "3" => Some(Adjust::Amount(value)),
        "4" => Some(Adjust::Amount(-value)),
        _ => return Err(Refusal::syntax("no such kind of discount")),
    })
}

fn subtotal(args: &Args) -> Result<Request, Refusal> {
    Ok(Request::Subtotal {
        adjust: adjustment(args)?,
        display: args.get(Field::Ignore) == Some("1"),
    })
}

fn pay(rules: &Rules, args: &Args) -> Result<Request, Refusal> {
    let cash = &rules.profile.isl_x.codes.cash;
    Ok(Request::Pay {
        code: args.get(Field::Payment).unwrap_or(cash).to_owned(),
        amount: args.number(Field::Amount, 2)?,
        text: None,
    })
}

/// The maker's error codes, as far as they are known; all that matters is that they are below zero.
fn error_code(class: RefusalClass) -> i32 {
    match class {
        RefusalClass::Unknown => -112_001,
        RefusalClass::Syntax => -112_002,
        RefusalClass::NotAllowed => -112_003,
        RefusalClass::Overflow => -112_004,
        RefusalClass::Paper => -112_007,
        RefusalClass::Store => -100_001,
    }
}

/// The data of a reply.
pub(super) fn reply(
    rules: &Rules,
    frame: &Frame,
    outcome: &Result<Answer, Refusal>,
    status: &[u8],
) -> Vec<u8> {
    let answer = match outcome {
        Err(refusal) => return format!("{}\t", error_code(refusal.class)).into_bytes(),
        Ok(Answer::Done) if frame.command == 0x4A => {
            return [b"0\t", status, b"\t"].concat();
        }
        // Software that looks for any kind of printer asks as in "P", without TAB, and wants to be answered so.
        Ok(Answer::Identity(_)) if frame.command == 0x5A && !frame.data.contains(&b'\t') => {
            return super::p::reply(rules, frame, outcome);
        }
        Ok(answer) => answer,
    };
    let mut pieces = vec!["0".to_owned()];
    pieces.extend(told(rules, frame, answer));
    let mut text = pieces.join("\t");
    text.push('\t');
    // What a text may not have in it was taken out when it came in; TAB is ours.
    rules.settings.text.write(&text)
}

fn told(rules: &Rules, frame: &Frame, answer: &Answer) -> Vec<String> {
    let sum = |d: &Decimal| format!("{d:.2}");
    let letters = |taxes: &[(char, Decimal)]| -> Vec<String> {
        let of = |letter| taxes.iter().filter(move |(l, _)| *l == letter);
        let total = |letter| of(letter).map(|(_, sum)| *sum).sum::<Decimal>();
        ('A'..='H').map(|letter| sum(&total(letter))).collect()
    };
    match answer {
        Answer::Done => vec![],
        Answer::Opened(totals) => vec![totals.fiscal.to_string()],
        Answer::Service(totals) => vec![totals.all.to_string()],
        Answer::Subtotal(total, taxes) => {
            let mut pieces = vec![String::new(), sum(total)];
            pieces.extend(taxes.iter().map(sum));
            pieces
        }
        Answer::Paid(Paid::Due(due)) => vec!["D".to_owned(), sum(due)],
        Answer::Paid(Paid::Change(change)) => vec!["R".to_owned(), sum(change)],
        Answer::Closed(closed) => vec![closed.fiscal.to_string()],
        Answer::Report(report) => {
            let mut pieces = vec![report.totals.closures.to_string()];
            pieces.extend(letters(&report.totals.taxes));
            pieces
        }
        Answer::Transaction { .. } => transaction(frame, answer),
        Answer::Identity(identity) if frame.command == 0x63 => vec![identity.taxpayer.clone()],
        Answer::Identity(i) => [
            &i.name,
            &i.version,
            "",
            "",
            "",
            "",
            &i.serial,
            &i.fiscal_memory,
        ]
        .map(str::to_owned)
        .to_vec(),
        Answer::Clock(at) => vec![short_date_time(at)],
        Answer::TaxRates(rates) => {
            let of = |letter| rates.iter().find(|r| r.letter == letter);
            let percent = |letter| of(letter).and_then(|r| r.percent).unwrap_or_default();
            let mut pieces = vec!["1".to_owned()];
            pieces.extend(('A'..='H').map(|letter| sum(&percent(letter))));
            pieces
        }
        Answer::Totals(totals) if frame.command == 0x71 => vec![totals.all.to_string()],
        Answer::Totals(totals) => {
            let codes = &rules.profile.isl_x.codes;
            let meaning = |code: &str| rules.payment(codes, code).ok().map(|rule| rule.money);
            let paid = payments_in_order(codes, meaning, &totals.payments);
            paid.iter().map(sum).collect()
        }
        Answer::Last(closed) => vec![closed.as_ref().map(|c| c.qr.clone()).unwrap_or_default()],
    }
}

/// 4Ch `IsOpen Number Items Amount Payed`; 67h `TaxA..TaxH Inv InvNum Storno`.
fn transaction(frame: &Frame, answer: &Answer) -> Vec<String> {
    let Answer::Transaction {
        open,
        storno,
        items,
        amount,
        paid,
        taxes,
        invoice,
        fiscal,
        ..
    } = answer
    else {
        return vec![];
    };
    let flag = |is: bool| u8::from(is).to_string();
    if frame.command == 0x67 {
        let mut pieces: Vec<String> = taxes.iter().map(|d| format!("{d:.2}")).collect();
        pieces.extend([flag(*invoice), "0".to_owned(), flag(*storno)]);
        return pieces;
    }
    vec![
        flag(*open),
        fiscal.to_string(),
        items.to_string(),
        format!("{amount:.2}"),
        format!("{paid:.2}"),
    ]
}
