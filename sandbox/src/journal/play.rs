//! Playing lines again: the same requests at the same moments on another world.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use hyper::header::HeaderValue;

use super::compare::difference;
use super::{Arrival, Difference, Entry, Exchange, HeldClock, Start, VERSION};
use crate::answer::Answer;
use crate::ca::{Authority, IssuedCertificate};
use crate::call::Call;
use crate::http;
use crate::opening::first_receipt_id;
use crate::service::Service;
use crate::world::World;

/// A world in which lines are played.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) service: Service,
    clock: Arc<HeldClock>,
    /// The number of the last operation, as in its ID.
    last_operation: u64,
    /// The tokens that were given out here, by what a record has in their place.
    tokens: HashMap<String, String>,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Played {
    /// It was no request.
    Done,
    /// The answer is the recorded one.
    Same,
    /// There is nothing to compare: a fault hit it, its body is lost, or it asks for what is another
    /// one each time.
    Skipped,
    /// The answer is another.
    Different(Difference),
}

impl Player {
    /// The world that a first line begins.
    ///
    /// # Errors
    /// The format is a later one, or the line goes on with a world that is not here.
    pub(crate) fn begin(
        start: &Start,
        authority: Authority,
        clock: Arc<HeldClock>,
    ) -> Result<Self> {
        ensure!(
            start.version <= VERSION,
            "it is of version {}, this program reads up to {VERSION}: use the newer program",
            start.version
        );
        let settings = start.settings.as_deref().context(
            "it goes on with a world whose beginning is elsewhere: it cannot be played by itself",
        )?;
        let world = World::new(settings.clone(), first_receipt_id(start.seed));
        let shared: clock::SharedClock = Arc::<HeldClock>::clone(&clock);
        let service = Service::new(world, authority, shared, start.seed);
        service.set_signing(false);
        Ok(Self {
            service,
            clock,
            last_operation: 0,
            tokens: HashMap::new(),
        })
    }

    /// Plays a line. A start that begins a new world is the caller's.
    ///
    /// # Errors
    /// The line holds something that cannot be.
    pub(crate) fn play(&mut self, entry: Entry) -> Result<Played> {
        match entry {
            Entry::Start(_) => Ok(Played::Done),
            Entry::Change(changed) => {
                let _held = self.clock.hold_at(changed.at);
                changed
                    .what
                    .apply(&mut self.service.world(), changed.at)
                    .context("a change that was made cannot be made again")?;
                Ok(Played::Done)
            }
            Entry::Exchange(exchange) => self.exchange(&exchange),
        }
    }

    fn exchange(&mut self, exchange: &Exchange) -> Result<Played> {
        let number = exchange.operation.rsplit_once(':');
        let number = number.and_then(|(_, number)| number.parse().ok());
        self.last_operation = self.last_operation.max(number.unwrap_or(0));
        let Some(status) = exchange.status.filter(|_| !exchange.is_body_lost) else {
            return Ok(Played::Skipped);
        };
        let mut arrival = Arrival::of(exchange)?;
        self.replace_token(&mut arrival);
        let _held = self.clock.hold_at(exchange.at);
        let document = match http::read(&arrival) {
            Ok(mut request) => {
                request.issued = issued(exchange)?;
                self.service.answer(&request, &exchange.operation)
            }
            Err(refusal) => Answer::Refused(refusal).document(&exchange.operation),
        };
        if let (Some(recorded), Some(token)) = (token(&exchange.answer), token(&document.body)) {
            self.tokens.insert(recorded, token);
        }
        // Thumbprints of certificates of the sandbox that was recorded.
        if exchange.call == Some(Call::GetServerCertificate) && exchange.query.is_some() {
            return Ok(Played::Skipped);
        }
        let found = difference(
            (status, &exchange.answer),
            (document.status, &document.body),
        );
        Ok(found.map_or(Played::Same, Played::Different))
    }

    /// Puts a user's real token in the place of its stand-in.
    fn replace_token(&self, arrival: &mut Arrival) {
        let Some(header) = arrival.headers.get_mut("Token") else {
            return;
        };
        let known = header.to_str().ok().and_then(|text| self.tokens.get(text));
        if let Some(Ok(token)) = known.map(|token| HeaderValue::from_str(token)) {
            *header = token;
        }
    }

    /// The world is no longer played but lived in: it signs, and its operations have numbers of their
    /// own. Some may have been given to requests that are in no journal, so that a part is left out.
    pub(crate) fn into_service(self) -> Service {
        const LEFT_OUT: u64 = 1_000_000;
        self.service.set_signing(true);
        self.service
            .continue_operations(self.last_operation + LEFT_OUT);
        self.service
    }
}

/// The token that an answer gives to a user.
fn token(answer: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Body {
        token: String,
    }
    let body: Body = serde_json::from_str(answer).ok()?;
    Some(body.token)
}

/// The certificate that the request got when it was first processed.
fn issued(exchange: &Exchange) -> Result<Option<IssuedCertificate>> {
    #[derive(serde::Deserialize)]
    struct Body {
        certificate: String,
    }
    let issues = matches!(
        exchange.call,
        Some(Call::RegisterDevice | Call::IssueCertificate)
    );
    if !issues || exchange.status != Some(200) {
        return Ok(None);
    }
    let body: Body = serde_json::from_str(&exchange.answer).context("the answer is none")?;
    IssuedCertificate::read(&body.certificate).map(Some)
}
