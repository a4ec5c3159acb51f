//! Commands and replies of ZFP: pieces separated by semicolons.

use rust_decimal::Decimal;

use super::frame::Frame;
use crate::job::HeldReason;
use crate::register::args::{Args, payments_in_order};
use crate::register::{
    Adjust, Answer, Field, Opening, Refusal, RefusalClass, Request, Rules, Sale, View, amount,
};

/// What a frame asks for.
pub(super) fn request(rules: &Rules, frame: &Frame) -> Result<Request, Refusal> {
    let data = frame.data.as_slice();
    let text = |bytes: &[u8]| rules.settings.text.read(bytes).trim_end().to_owned();
    Ok(match frame.command {
        0x20 => Request::Status,
        0x21 | 0x60 | 0x61 => Request::Identity,
        0x24 => shown(Some(String::new()), Some(String::new())),
        0x25 => shown(Some(text(data)), None),
        0x26 => shown(None, Some(text(data))),
        0x27 => {
            let (upper, lower) = data.split_at(data.len().min(20));
            shown(Some(text(upper)), Some(text(lower)))
        }
        0x2A => Request::Drawer,
        0x2E => Request::ServiceOpen,
        0x2F => Request::ServiceClose,
        0x30 => open(rules, data)?,
        0x31 | 0x34 => Request::Sale(sale(rules, data, frame.command == 0x34)?),
        0x33 => subtotal(rules, data)?,
        0x35 => pay(rules, data)?,
        0x36 => Request::Close {
            pay: Some(rules.profile.zfp.codes.cash.clone()),
        },
        0x37 => Request::Line(text(data)),
        0x38 => Request::Close { pay: None },
        0x39 => Request::Cancel,
        0x3A => Request::Duplicate,
        0x48 => Request::SetClock,
        0x62 => Request::TaxRates,
        0x68 => Request::Clock,
        0x6E => Request::Payments,
        0x71 => Request::LastDocument,
        0x72 if data.first() == Some(&b'B') => Request::LastQr,
        0x72 => Request::Transaction,
        0x7C => match data.first() {
            Some(b'Z') => Request::ZReport,
            Some(b'X') => Request::XReport,
            _ => return Err(Refusal::syntax("no such report")),
        },
        other => {
            let words = format!("no command {other:02X}h");
            return Err(Refusal::new(RefusalClass::Unknown, words));
        }
    })
}

fn shown(upper: Option<String>, lower: Option<String>) -> Request {
    Request::Display { upper, lower }
}

/// `op;pwd;format;vat;print[$sale no]`, and for a storno `;reason;number;date;fiscal memory[;sale no]`.
fn open(rules: &Rules, data: &[u8]) -> Result<Request, Refusal> {
    let zfp = &rules.profile.zfp;
    let mut halves = data.splitn(2, |b| *b == b'$');
    let data = halves.next().unwrap_or_default();
    let sale_no = halves.next().map(|no| rules.settings.text.read(no));
    let pieces = || data.split(|b| *b == b';');
    let args = Args::read(&zfp.open, pieces(), rules.settings.text);
    let print = args.get(Field::Print).unwrap_or_default();
    if zfp.storno_print.iter().any(|code| code == print) {
        let args = Args::read(&zfp.storno, pieces(), rules.settings.text);
        return Ok(Request::OpenStorno(
            args.opening()?,
            args.storno(&zfp.codes)?,
        ));
    }
    let opening = Opening {
        sale_no: sale_no.map(|no| no.trim().to_owned()),
        ..args.opening()?
    };
    Ok(Request::Open(opening))
}

/// `Name;Tax;Price[*Qty][,Perc][:Abs]`; the name is padded, so it is cut at its own end and may hold `;`.
fn sale(rules: &Rules, data: &[u8], by_department: bool) -> Result<Sale, Refusal> {
    let profile = &rules.profile;
    let mut pieces = data.rsplitn(3, |b| *b == b';');
    let (goods, tax, name) = (pieces.next(), pieces.next(), pieces.next());
    let (Some(goods), Some(tax), Some(name)) = (goods, tax, name) else {
        return Err(Refusal::syntax("a sale has a name, a tax and a price"));
    };
    let name = rules.settings.text.read(name);
    let (goods, adjust) = cut(goods, b",:");
    let (price, quantity) = cut(goods, b"*");
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let quantity = match quantity.get(1..) {
        None => Decimal::ONE,
        Some(quantity) => amount::parse(&read(quantity), profile.quantity_decimals)?,
    };
    let department = by_department.then(|| department(tax)).transpose()?;
    Ok(Sale {
        name: match name.trim() {
            "" => "Sale".to_owned(),
            name => name.to_owned(),
        },
        tax: match department {
            Some(number) => rules.department(number)?,
            None => rules.tax(&rules.settings.text.read(tax))?,
        },
        department,
        price: amount::parse(&read(price), profile.price_decimals)?,
        quantity,
        unit: None,
        adjust: adjustment(adjust)?,
    })
}

/// A byte 80h and more, or digits.
fn department(piece: &[u8]) -> Result<u32, Refusal> {
    if let [byte @ 0x80..=0xFF] = piece {
        return Ok(u32::from(byte - 0x80));
    }
    let digits = String::from_utf8_lossy(piece);
    let bad = |_| Refusal::syntax(format!("{digits:?} is no department"));
    digits.trim().parse().map_err(bad)
}

fn cut<'a>(data: &'a [u8], stops: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = data.iter().position(|b| stops.contains(b));
    data.split_at(at.unwrap_or(data.len()))
}

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

/// `Print;Display[:Abs][,Perc]`.
fn subtotal(rules: &Rules, data: &[u8]) -> Result<Request, Refusal> {
    let (flags, adjust) = cut(data, b":,");
    let flags = rules.settings.text.read(flags);
    let mut flags = flags.split(';');
    let known = |f: &str| matches!(f.trim(), "" | "0" | "1");
    let (print, display) = (flags.next().unwrap_or(""), flags.next().unwrap_or(""));
    if !known(print) || !known(display) || flags.next().is_some() {
        return Err(Refusal::syntax("a subtotal's flags are 0 or 1"));
    }
    Ok(Request::Subtotal {
        adjust: adjustment(adjust)?,
        display: display.trim() == "1",
    })
}

/// `Type;Change;Amount[*][;..]`; a quotation mark in place of the amount is all that is due.
fn pay(rules: &Rules, data: &[u8]) -> Result<Request, Refusal> {
    let text = rules.settings.text.read(data);
    let mut pieces = text.split(';');
    let (code, _, sum) = (pieces.next(), pieces.next(), pieces.next());
    let (Some(code), Some(sum)) = (code, sum) else {
        return Err(Refusal::syntax("a payment has a type and an amount"));
    };
    let sum = sum.trim().trim_end_matches('*');
    let amount = match sum {
        "\"" => None,
        sum => Some(amount::parse(sum, 2)?),
    };
    Ok(Request::Pay {
        code: code.trim().to_owned(),
        amount,
        text: None,
    })
}

/// The whole reply.
pub(super) fn reply(
    rules: &Rules,
    frame: &Frame,
    outcome: &Result<Answer, Refusal>,
    view: &View,
) -> Vec<u8> {
    let answer = match outcome {
        Err(refusal) => return refused(frame, refusal.class, view),
        Ok(Answer::Done) if frame.command == 0x20 => return frame.answer(&status(view)),
        Ok(answer) => answer,
    };
    match told(rules, frame, answer) {
        Some(text) => frame.answer(&rules.settings.text.write(&text)),
        None => frame.acknowledge(b'0', b'0'),
    }
}

fn refused(frame: &Frame, class: RefusalClass, view: &View) -> Vec<u8> {
    match class {
        RefusalClass::Unknown => frame.acknowledge(b'0', b'1'),
        RefusalClass::NotAllowed if view.fiscal => frame.acknowledge(b'4', b'2'),
        RefusalClass::NotAllowed if view.service => frame.acknowledge(b'6', b'2'),
        RefusalClass::NotAllowed => frame.acknowledge(b'0', b'2'),
        RefusalClass::Syntax => frame.acknowledge(b'0', b'4'),
        RefusalClass::Overflow => frame.acknowledge(b'2', b'5'),
        RefusalClass::Store => frame.acknowledge(b'8', b'2'),
        RefusalClass::Paper => frame.acknowledge(b'1', b'2'),
    }
}

/// The seven bytes of 20h; bit 7 of each is always 1.
fn status(view: &View) -> [u8; 7] {
    let bit = |is: bool, bit: u8| u8::from(is) << bit;
    let fault = view.condition.fault;
    let no_paper = matches!(fault, Some(HeldReason::PaperOut | HeldReason::CoverOpen));
    let open = bit(view.service, 0) | bit(view.fiscal, 1) | bit(view.fiscal, 2);
    [
        bit(fault.is_some() && !no_paper, 2),
        bit(no_paper, 0),
        open,
        bit(true, 4) | bit(true, 5) | bit(true, 6),
        0,
        0,
        bit(view.condition.paper_low, 4),
    ]
    .map(|byte| byte | 0x80)
}

/// The data of an answer; `None` where there is nothing to tell.
fn told(rules: &Rules, frame: &Frame, answer: &Answer) -> Option<String> {
    let sum = |d: &Decimal| format!("{d:.2}");
    let join = |all: Vec<String>| all.join(";");
    Some(match answer {
        Answer::Subtotal(total, _) => sum(total),
        Answer::Transaction {
            open,
            items,
            amount,
            paid,
            ..
        } => join(vec![
            u8::from(*open).to_string(),
            items.to_string(),
            sum(amount),
            sum(paid),
        ]),
        Answer::Identity(i) => match frame.command {
            // Kind of device, number and date of its approval, and an end that the numbers of 60h can follow.
            0x21 => format!("1;0;01-01-2026 00:00;{};{};", i.name, i.version),
            0x60 => join(vec![i.serial.clone(), i.fiscal_memory.clone()]),
            _ => i.taxpayer.clone(),
        },
        Answer::Clock(at) => format!(
            "{:02}-{:02}-{:04} {:02}:{:02}",
            at.day, at.month, at.year, at.hour, at.minute
        ),
        Answer::TaxRates(rates) => {
            let of = |letter| rates.iter().find(|r| r.letter == letter);
            let percent = |letter| of(letter).and_then(|r| r.percent).unwrap_or_default();
            join(('A'..='H').map(|l| format!("{:.2}%", percent(l))).collect())
        }
        Answer::Totals(totals) if frame.command == 0x71 => format!("{:06}", totals.fiscal),
        Answer::Totals(totals) => {
            let codes = &rules.profile.zfp.codes;
            let meaning = |code: &str| rules.payment(codes, code).ok().map(|rule| rule.money);
            let paid = payments_in_order(codes, meaning, &totals.payments);
            join(paid.iter().map(sum).collect())
        }
        Answer::Last(closed) => closed.as_ref()?.qr.clone(),
        Answer::Done
        | Answer::Opened(_)
        | Answer::Service(_)
        | Answer::Paid(_)
        | Answer::Closed(_)
        | Answer::Report(_) => return None,
    })
}
