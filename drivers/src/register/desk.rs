//! Executes each frame once, and keeps what it did before it is answered.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::{
    Answer, Codes, Entry, Exchange, Kept, Kind, OpenReceipt, Opening, Refusal, RefusalClass,
    Register, Request, Rules,
};
use crate::job::Condition;

/// What a reply tells beside the answer: how we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The printer.
    pub condition: Condition,
    /// A fiscal receipt is open.
    pub fiscal: bool,
    /// It is a storno.
    pub storno: bool,
    /// A service receipt is open.
    pub service: bool,
}

/// A language of fiscal printers: frames in, frames out.
pub trait Language {
    /// What a whole and sound frame asks for.
    ///
    /// # Errors
    /// The command is unknown or its data cannot be read.
    fn request(&self, frame: &[u8]) -> Result<Request, Refusal>;

    /// The reply to a frame.
    fn reply(&self, frame: &[u8], outcome: &Result<Answer, Refusal>, view: &View) -> Vec<u8>;

    /// What payment codes mean in it.
    fn codes(&self, frame: &[u8]) -> &Codes;
}

/// The fiscal printer that we look like: its state, and how a command changes it.
#[derive(Debug)]
pub struct Desk {
    rules: Arc<Rules>,
    kept: Kept,
    last: Option<Exchange>,
    starting: bool,
}

type Outcome = Result<Answer, Refusal>;

impl Desk {
    /// Takes up what was kept. A close that was announced is brought to its end.
    ///
    /// # Errors
    /// What was kept cannot be read, or a new state cannot be kept.
    pub fn start(
        rules: Arc<Rules>,
        language: &dyn Language,
        register: &mut dyn Register,
    ) -> Result<Self, Refusal> {
        let kept = match register.kept()? {
            Some(kept) => kept,
            None => born(register)?,
        };
        let last = kept.last.clone();
        let mut desk = Self {
            rules,
            kept,
            last,
            starting: true,
        };
        if let Some(frame) = desk.kept.closing.clone() {
            desk.answer(&frame, language, register);
        }
        desk.starting = false;
        Ok(desk)
    }

    /// What is kept now.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Answers a frame: the same frame as the last one gets the last reply and does nothing.
    pub fn answer(
        &mut self,
        frame: &[u8],
        language: &dyn Language,
        register: &mut dyn Register,
    ) -> Vec<u8> {
        if let Some(last) = self.last.as_ref().filter(|last| last.frame == frame) {
            return last.reply.clone();
        }
        let outcome = match language.request(frame) {
            Err(refusal) => Err(refusal),
            Ok(request) if request.changes() => {
                match self.change(&request, frame, language, register) {
                    Ok(reply) => return reply,
                    Err(refusal) => Err(refusal),
                }
            }
            Ok(request) => self.read(&request, register),
        };
        self.unchanged(outcome, frame, language, register)
    }

    /// A command that changed nothing. Its reply is remembered until the next one, but not kept: after a
    /// start it is harmless to execute it anew. What was kept of an earlier one must go. A refusal is
    /// remembered too, whatever its reason: a frame that a bad line doubled must not be refused and then
    /// carried out.
    fn unchanged(
        &mut self,
        mut outcome: Outcome,
        frame: &[u8],
        language: &dyn Language,
        register: &mut dyn Register,
    ) -> Vec<u8> {
        if self.kept.last.is_some() {
            let mut next = self.kept.clone();
            next.last = None;
            match register.keep(&next) {
                Ok(()) => self.kept = next,
                Err(refusal) => outcome = Err(stored(refusal)),
            }
        }
        if let Err(refusal) = &outcome {
            tracing::info!(words = ?refusal.words, class = ?refusal.class, "a command was refused");
        }
        let reply = language.reply(frame, &outcome, &view(&self.kept, register));
        self.last = Some(Exchange {
            frame: frame.to_vec(),
            reply: reply.clone(),
        });
        reply
    }

    fn change(
        &mut self,
        request: &Request,
        frame: &[u8],
        language: &dyn Language,
        register: &mut dyn Register,
    ) -> Result<Vec<u8>, Refusal> {
        let is_close = matches!(request, Request::Close { .. });
        if self.kept.closing.is_some() && !is_close {
            self.settle(register)?;
        }
        let mut next = self.kept.clone();
        // A close that is taken up again is not one more command: the keys of what follows must not depend on
        // whether we were killed.
        next.serial += u64::from(next.closing.is_none());
        let unheard = next
            .closed
            .clone()
            .filter(|_| next.unheard && next.receipt.is_none());
        next.unheard = self.starting;
        let signed = is_close && unheard.is_none();
        let answer = match (request, unheard) {
            (Request::Close { .. }, Some(closed)) => Answer::Closed(closed),
            (Request::Close { pay }, None) => {
                let codes = language.codes(frame);
                next = self.announce(next, pay.as_deref(), codes, frame, register)?;
                self.close(&mut next, register)?
            }
            (other, _) => execute(
                &self.rules,
                &mut next,
                other,
                language.codes(frame),
                register,
            )?,
        };
        let outcome = Ok(answer);
        let reply = language.reply(frame, &outcome, &view(&next, register));
        let exchange = Exchange {
            frame: frame.to_vec(),
            reply: reply.clone(),
        };
        next.last = Some(exchange.clone());
        match register.keep(&next) {
            Ok(()) => {}
            // It is signed, and announced under its key: after a start it comes out the same.
            Err(refusal) if signed => {
                tracing::error!(words = ?refusal.words, "what follows a signed receipt is not kept yet");
            }
            Err(refusal) => return Err(stored(refusal)),
        }
        self.kept = next;
        self.last = Some(exchange);
        Ok(reply)
    }

    /// Announces that the open receipt is being closed, durably.
    fn announce(
        &mut self,
        mut next: Kept,
        pay: Option<&str>,
        codes: &Codes,
        frame: &[u8],
        register: &mut dyn Register,
    ) -> Result<Kept, Refusal> {
        let receipt = fiscal(&mut next)?;
        if let Some(code) = pay.filter(|_| !receipt.is_paid()) {
            pay_with(&self.rules, receipt, codes, code, None)?;
        }
        if !receipt.is_paid() {
            return Err(Refusal::not_allowed("the receipt is not paid"));
        }
        // Announced before, and asked for again: the newer frame is the one to be answered after a kill.
        next.closing = Some(frame.to_vec());
        next.last = None;
        register.keep(&next).map_err(stored)?;
        self.kept = next.clone();
        Ok(next)
    }

    /// Closes the receipt that was announced.
    fn close(&mut self, next: &mut Kept, register: &mut dyn Register) -> Outcome {
        let receipt = fiscal(next)?;
        match register.close(receipt, &receipt.key) {
            Ok(closed) => {
                next.receipt = None;
                next.closing = None;
                next.closed = Some(closed.clone());
                Ok(Answer::Closed(closed))
            }
            Err(refusal) if refusal.class == RefusalClass::Store => Err(refusal),
            Err(refusal) => {
                next.closing = None;
                register.keep(next).map_err(stored)?;
                self.kept = next.clone();
                Err(refusal)
            }
        }
    }

    /// A close whose outcome is not known stands before another command.
    fn settle(&mut self, register: &mut dyn Register) -> Result<(), Refusal> {
        let mut next = self.kept.clone();
        match self.close(&mut next, register) {
            Ok(_) => {
                next.last = None;
                next.unheard = true;
                register.keep(&next).map_err(stored)?;
                self.kept = next;
                Ok(())
            }
            Err(refusal) if self.kept.closing.is_some() => Err(refusal),
            Err(_) => Ok(()),
        }
    }

    fn read(&self, request: &Request, register: &mut dyn Register) -> Outcome {
        let receipt = self.kept.receipt.as_ref();
        let fiscal = receipt.filter(|r| r.kind != Kind::Service);
        Ok(match request {
            Request::Subtotal { display, .. } => {
                let receipt = fiscal.ok_or_else(|| Refusal::not_allowed("no receipt is open"))?;
                show_subtotal(receipt, *display, register)
            }
            Request::Transaction | Request::Sums => Answer::Transaction {
                open: fiscal.is_some(),
                storno: fiscal.is_some_and(|r| matches!(r.kind, Kind::Storno(_))),
                items: fiscal.map_or(0, OpenReceipt::sales),
                amount: fiscal.map_or(Decimal::ZERO, OpenReceipt::total),
                paid: fiscal.map_or(Decimal::ZERO, OpenReceipt::paid),
                taxes: fiscal.map_or([Decimal::ZERO; 8], by_letter),
                invoice: fiscal.is_some_and(|r| r.invoice),
                can_void: fiscal.is_some_and(|r| r.sales() > 0 && !r.payment_begun()),
                fiscal: register.totals()?.fiscal,
            },
            Request::Identity | Request::Taxpayer => Answer::Identity(register.identity()),
            Request::Clock => Answer::Clock(register.now()?),
            Request::SetClock => {
                return Err(Refusal::not_allowed("the clock follows the trusted time"));
            }
            Request::TaxRates => Answer::TaxRates(register.tax_rates()?),
            Request::Payments | Request::LastDocument => Answer::Totals(register.totals()?),
            Request::LastQr => Answer::Last(self.kept.closed.clone()),
            Request::Display { upper, lower } => {
                register.display(upper.as_deref(), lower.as_deref());
                Answer::Done
            }
            _ => Answer::Done,
        })
    }
}

/// Executes what changes something, but for the close.
fn execute(
    rules: &Rules,
    next: &mut Kept,
    request: &Request,
    codes: &Codes,
    register: &mut dyn Register,
) -> Outcome {
    let key = format!("{}-{}", next.epoch, next.serial);
    // A deed that failed leaves its number to the next command, which may be another.
    let deed = |what: &str| format!("{key}-{what}");
    match request {
        Request::Open(opening) => {
            open(rules, next, opening, Kind::Sale, key)?;
            return Ok(Answer::Opened(register.totals()?));
        }
        Request::OpenStorno(opening, storno) => {
            open(rules, next, opening, Kind::Storno(storno.clone()), key)?;
            return Ok(Answer::Opened(register.totals()?));
        }
        Request::ServiceOpen => {
            open(rules, next, &Opening::default(), Kind::Service, key)?;
            return Ok(Answer::Service(register.totals()?));
        }
        Request::ServiceText(line) => service(next)?.text(line.clone())?,
        Request::ServiceClose => {
            let lines = texts(service(next)?);
            register.service_print(&lines, &deed("slip"))?;
            next.receipt = None;
            return Ok(Answer::Service(register.totals()?));
        }
        Request::Sale(sale) => fiscal(next)?.sell(sale.clone())?,
        Request::Subtotal { adjust, display } => {
            let receipt = fiscal(next)?;
            if let Some(adjust) = adjust {
                receipt.adjust(*adjust)?;
            }
            return Ok(show_subtotal(receipt, *display, register));
        }
        Request::Pay { code, amount, text } => {
            let receipt = fiscal(next)?;
            let paid = pay_with(rules, receipt, codes, code, *amount)?;
            if let Some(text) = text {
                receipt.text(text.clone())?;
            }
            return Ok(Answer::Paid(paid));
        }
        Request::Text(line) => fiscal(next)?.text(line.clone())?,
        Request::Line(line) => match service(next) {
            Ok(receipt) => receipt.text(line.clone())?,
            Err(_) => fiscal(next)?.text(line.clone())?,
        },
        Request::Customer(customer) => fiscal(next)?.customer = Some(customer.clone()),
        Request::Cancel => {
            register.cancel(fiscal(next)?, &deed("cancel"))?;
            next.receipt = None;
        }
        Request::XReport => {
            nothing_open(next)?;
            return Ok(Answer::Report(register.x_report(&deed("x"))?));
        }
        Request::ZReport => {
            nothing_open(next)?;
            return Ok(Answer::Report(register.z_report(&deed("z"))?));
        }
        Request::Drawer => register.drawer(&deed("drawer"))?,
        Request::Duplicate => {
            nothing_open(next)?;
            register.duplicate(&deed("copy"))?;
        }
        _ => {}
    }
    Ok(Answer::Done)
}

fn born(register: &mut dyn Register) -> Result<Kept, Refusal> {
    let now = register.now()?;
    let (date, time) = (
        (now.year, now.month, now.day),
        (now.hour, now.minute, now.second),
    );
    let epoch = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        date.0, date.1, date.2, time.0, time.1, time.2
    );
    let kept = Kept {
        epoch,
        serial: 0,
        receipt: None,
        closing: None,
        last: None,
        closed: None,
        unheard: false,
    };
    register.keep(&kept)?;
    Ok(kept)
}

fn open(
    rules: &Rules,
    next: &mut Kept,
    opening: &Opening,
    kind: Kind,
    key: String,
) -> Result<(), Refusal> {
    nothing_open(next)?;
    next.receipt = Some(OpenReceipt {
        key,
        operator: opening.operator.clone(),
        till: opening.till.clone(),
        sale_no: opening.sale_no.clone(),
        invoice: opening.invoice,
        kind,
        currency: rules.settings.currency.clone(),
        entries: Vec::new(),
        customer: None,
        payments: Vec::new(),
    });
    Ok(())
}

fn nothing_open(kept: &Kept) -> Result<(), Refusal> {
    match kept.receipt {
        Some(_) => Err(Refusal::not_allowed("a receipt is open")),
        None => Ok(()),
    }
}

fn pay_with(
    rules: &Rules,
    receipt: &mut OpenReceipt,
    codes: &Codes,
    code: &str,
    amount: Option<Decimal>,
) -> Result<super::Paid, Refusal> {
    let rule = rules.payment(codes, code)?;
    receipt.pay(
        code.to_owned(),
        rule.money,
        rule.currency.as_deref(),
        amount,
    )
}

fn fiscal(kept: &mut Kept) -> Result<&mut OpenReceipt, Refusal> {
    let receipt = kept.receipt.as_mut().filter(|r| r.kind != Kind::Service);
    receipt.ok_or_else(|| Refusal::not_allowed("no fiscal receipt is open"))
}

fn service(kept: &mut Kept) -> Result<&mut OpenReceipt, Refusal> {
    let receipt = kept.receipt.as_mut().filter(|r| r.kind == Kind::Service);
    receipt.ok_or_else(|| Refusal::not_allowed("no service receipt is open"))
}

fn texts(receipt: &OpenReceipt) -> Vec<String> {
    let text = |entry: &Entry| match entry {
        Entry::Text(line) => Some(line.clone()),
        _ => None,
    };
    receipt.entries.iter().filter_map(text).collect()
}

fn show_subtotal(receipt: &OpenReceipt, display: bool, register: &mut dyn Register) -> Answer {
    let total = receipt.total();
    if display {
        register.display(Some("SUBTOTAL"), Some(&format!("{total:.2}")));
    }
    Answer::Subtotal(total, by_letter(receipt))
}

fn by_letter(receipt: &OpenReceipt) -> [Decimal; 8] {
    let sums = receipt.by_tax();
    ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'].map(|l| sums.get(&l).copied().unwrap_or_default())
}

fn view(kept: &Kept, register: &mut dyn Register) -> View {
    let kind = kept.receipt.as_ref().map(|r| &r.kind);
    View {
        condition: register.status(),
        fiscal: kind.is_some_and(|k| *k != Kind::Service),
        storno: matches!(kind, Some(Kind::Storno(_))),
        service: kind == Some(&Kind::Service),
    }
}

/// Whatever a keeper says, what follows is that nothing is known to be kept.
fn stored(refusal: Refusal) -> Refusal {
    Refusal::new(RefusalClass::Store, refusal.words)
}
