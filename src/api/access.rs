//! Who may ask what: doors, hosts, origins, tokens and the tills behind them.
//!
//! A web page must never be able to post a sale, so `Host` must be a name of this machine (a page that
//! rebinds its own name comes with that name), `Origin` must be absent or our own page's, and where a browser
//! says from which site a request comes, it must be ours. A caller is
//! known by his token, or on a Unix socket by the user that the kernel names. Look-ups are remembered for
//! a second at most: a revoked token works no longer than that.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use fiscal::DeviceId;

use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::{Reach, Shared, UnixId};
use crate::ledger::tills::{TokenInfo, token_hash};
use crate::ledger::{Environment, TillId, TillInfo};

/// How long an answer of the ledger about a token or the list of tills is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// Tokens remembered at once; a store has one for each till.
const MAX_TOKENS: usize = 1024;
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 512;

/// Through which door a request came in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Door {
    /// Loopback TCP.
    Loopback,
    /// A Unix socket, with the user at its other end as the kernel names him.
    Unix {
        /// His number.
        uid: u32,
        /// His group's.
        gid: u32,
    },
    /// The listener for other machines of the shop, with our own address on it.
    Lan(IpAddr),
}

/// How a request came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The door.
    pub(super) door: Door,
    /// As a JSON line: browsers cannot send these, so host and origin say nothing.
    pub(super) is_line: bool,
}

impl Arrival {
    /// Whether a browser on this machine may have sent it.
    pub(super) const fn is_loopback_http(self) -> bool {
        matches!(self.door, Door::Loopback) && !self.is_line
    }
}

/// Which tills a caller may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Device(DeviceId),
    Till(TillId),
}

impl Scope {
    pub(super) fn allows(self, till: &TillInfo) -> bool {
        match self {
            Self::All => true,
            Self::Device(device) => till.device_id == device,
            Self::Till(id) => till.id == id,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// As the audit names him.
    pub(super) actor: Arc<str>,
    /// What he may use.
    pub(super) scope: Scope,
    /// The hash of his token, if he came with one.
    pub(super) token: Option<[u8; 32]>,
}

/// The gateway itself asks, through its own page: put into a request's extensions by [`super::Api::ask_as`] alone.
#[derive(Debug, Clone)]
pub(super) struct InHouse(pub(super) Arc<str>);

/// Which till a request names, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TillChoice {
    pub(super) device: Option<DeviceId>,
    pub(super) environment: Option<Environment>,
}

impl TillChoice {
    /// `deviceID` and `environment` of the address.
    pub(super) fn of(params: &Params) -> Result<Self, Problem> {
        let environment = params
            .get("environment")
            .map(|text| {
                Environment::parse(text).ok_or_else(|| {
                    Problem::parameter("environment", "environment is `test` or `production`")
                })
            })
            .transpose()?;
        Ok(Self {
            device: params.number("deviceID", DeviceId::new)?,
            environment,
        })
    }

    fn allows(self, till: &TillInfo) -> bool {
        self.device.is_none_or(|device| device == till.device_id)
            && self
                .environment
                .is_none_or(|environment| environment == till.environment)
    }
}

/// What the ledger said lately of tokens and tills.
#[derive(Debug, Default)]
pub(super) struct Memory {
    tokens: Mutex<HashMap<[u8; 32], Known>>,
    tills: Mutex<Option<Tills>>,
}

#[derive(Debug, Clone)]
struct Known {
    at: Duration,
    caller: Caller,
}

#[derive(Debug, Clone)]
struct Tills {
    at: Duration,
    all: Arc<[Arc<TillInfo>]>,
}

/// Refuses what a web page could have sent.
pub(super) fn gate(
    arrival: Arrival,
    names: &[String],
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if arrival.is_line {
        return Ok(());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = hosts.next().and_then(|host| host.to_str().ok());
    let host = match (hosts.next(), uri.authority()) {
        // Who stands in between may have gone by the other one.
        (Some(_), _) => None,
        (None, Some(authority)) => Some(authority.as_str()),
        (None, None) => named,
    };
    let is_ours = match arrival.door {
        // A web page cannot reach a Unix socket, and clients put anything into Host there.
        Door::Unix { .. } => true,
        Door::Loopback => host.is_some_and(is_loopback),
        Door::Lan(local) => host.is_some_and(|host| {
            let name = host_name(host);
            is_loopback(host)
                || names.iter().any(|known| known.eq_ignore_ascii_case(name))
                || name.parse() == Ok(local)
        }),
    };
    if !is_ours {
        let shown: String = host.unwrap_or("").chars().take(100).collect();
        return Err(Problem::new(
            P::HostRefused,
            format!("`Host: {shown}` is not a name of this gateway"),
        ));
    }
    match headers.get(header::ORIGIN) {
        None if is_embedded_elsewhere(headers) => Err(Problem::new(
            P::OriginRefused,
            "a page of another site embeds it",
        )),
        None => Ok(()),
        Some(origin) => {
            let origin = origin.to_str().unwrap_or_default();
            let place = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            // The page at /docs asks from the very host that it was read from.
            let is_own_page = !matches!(arrival.door, Door::Unix { .. })
                && place.is_some()
                && place == host
                && headers.get_all(header::ORIGIN).iter().count() == 1;
            if is_own_page {
                return Ok(());
            }
            let shown: String = origin.chars().take(100).collect();
            Err(Problem::new(
                P::OriginRefused,
                format!("the request comes from a page of {shown}"),
            ))
        }
    }
}

/// Whether a browser says that a page of another site asks for something to embed: a picture, a script, a frame, a
/// stream. Such requests carry no `Origin`, and would take the places of tills though the page cannot read the answer.
/// To follow a link to here is no embedding.
fn is_embedded_elsewhere(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| {
        let mut values = headers.get_all(name).iter();
        values.any(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
    };
    let is_elsewhere = says("sec-fetch-site", "cross-site") || says("sec-fetch-site", "same-site");
    let follows_a_link = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    is_elsewhere && !follows_a_link
}

/// The host without its port; IPv6 addresses without their brackets. What has anything else behind its name than a port is
/// no name: it is given back whole.
fn host_name(host: &str) -> &str {
    let is_port = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => return name,
        Some((name, behind)) => (name, behind.strip_prefix(':')),
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => return host,
        },
    };
    if port.is_some_and(is_port) {
        name
    } else {
        host
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host_name(host);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        if let Some(InHouse(actor)) = parts.extensions.get() {
            return Ok(Self {
                actor: Arc::clone(actor),
                scope: Scope::All,
                token: None,
            });
        }
        if let Some(token) = bearer(&parts.headers)? {
            return shared.caller_by_token(token_hash(token)).await;
        }
        let arrival = parts.extensions.get::<Arrival>().copied();
        if let Some(Door::Unix { uid, gid }) = arrival.map(|arrival| arrival.door)
            && let Some(caller) = shared.caller_by_user(uid, gid)
        {
            return Ok(caller);
        }
        Err(Problem::new(
            P::TokenMissing,
            "there is no Authorization header",
        ))
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    let all = headers.get_all(header::AUTHORIZATION).iter();
    let token = sync_wire::bearer::shown(all.map(HeaderValue::as_bytes))
        .filter(|token| token.len() <= MAX_TOKEN_BYTES);
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(Problem::new(
            P::TokenUnknown,
            "there is more than one Authorization header, or it is not `Bearer` and a token",
        )),
    }
}

impl Shared {
    /// The caller with this token, from memory if the ledger was asked within the last second.
    pub(super) async fn caller_by_token(&self, hash: [u8; 32]) -> Result<Caller, Problem> {
        let now = self.ledger.time().clock().boot();
        if let Some(known) = lock(&self.memory.tokens).get(&hash)
            && now.saturating_sub(known.at) < BELIEVED
        {
            return Ok(known.caller.clone());
        }
        let found = self.ask(move |reader| reader.token_by_hash(&hash)).await?;
        let mut tokens = lock(&self.memory.tokens);
        let Some(TokenInfo { name, till, .. }) = found else {
            tokens.remove(&hash);
            return Err(Problem::new(
                P::TokenUnknown,
                "there is no such token, or it has been revoked",
            ));
        };
        let caller = Caller {
            actor: format!("token:{name}").into(),
            scope: till.map_or(Scope::All, Scope::Till),
            token: Some(hash),
        };
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        tokens.insert(
            hash,
            Known {
                at: now,
                caller: caller.clone(),
            },
        );
        Ok(caller)
    }

    fn caller_by_user(&self, uid: u32, gid: u32) -> Option<Caller> {
        let admitted = self.settings.admission.now();
        let user = admitted.unix_users.iter().find(|user| match user.who {
            UnixId::Uid(id) => id == uid,
            UnixId::Gid(id) => id == gid,
        })?;
        Some(Caller {
            actor: format!("uid:{uid}").into(),
            scope: match user.reach {
                Reach::All => Scope::All,
                Reach::Device(device) => Scope::Device(device),
            },
            token: None,
        })
    }

    /// Whether a caller who came in earlier would still be let in: streams ask from time to time.
    pub(super) async fn is_still_welcome(&self, caller: &Caller) -> bool {
        match caller.token {
            None => true,
            Some(hash) => !matches!(
                self.caller_by_token(hash).await,
                Err(problem) if problem.code() == P::TokenUnknown.as_str()
            ),
        }
    }

    /// The tills that a caller may see, those he asks for among them.
    pub(super) async fn tills(
        &self,
        caller: &Caller,
        choice: TillChoice,
    ) -> Result<Vec<Arc<TillInfo>>, Problem> {
        let all = self.all_tills(BELIEVED).await?;
        let allowed: Vec<_> = all
            .iter()
            .filter(|till| choice.allows(till) && caller.scope.allows(till))
            .map(Arc::clone)
            .collect();
        if !allowed.is_empty() || (choice.device.is_none() && choice.environment.is_none()) {
            return Ok(allowed);
        }
        // Whether other tills are there is told only to those who may see them.
        if caller.scope == Scope::All {
            return Err(Problem::new(
                P::TillUnknown,
                "there is no such till in this store",
            ));
        }
        Err(wrong_till())
    }

    /// The one till that a request is about.
    pub(super) async fn till(
        &self,
        caller: &Caller,
        choice: TillChoice,
    ) -> Result<Arc<TillInfo>, Problem> {
        // The way of a sale: a till never changes, so what is remembered of it holds for ever.
        if let Scope::Till(id) = caller.scope
            && let Some(till) = self.remembered(id)
        {
            return if choice.allows(&till) {
                Ok(till)
            } else {
                Err(wrong_till())
            };
        }
        let tills = self.tills(caller, choice).await?;
        match tills.as_slice() {
            [till] => Ok(Arc::clone(till)),
            [] => Err(Problem::new(P::TillUnknown, "no till is in this store yet")),
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|till| format!("{} ({})", till.device_id, till.environment))
                    .collect();
                let detail = format!("the request may mean any of {}", names.join(", "));
                Err(Problem::new(P::TillNeeded, detail))
            }
        }
    }

    fn remembered(&self, id: TillId) -> Option<Arc<TillInfo>> {
        let tills = lock(&self.memory.tills);
        let all = &tills.as_ref()?.all;
        all.iter().find(|till| till.id == id).map(Arc::clone)
    }

    async fn all_tills(&self, max_age: Duration) -> Result<Arc<[Arc<TillInfo>]>, Problem> {
        let now = self.ledger.time().clock().boot();
        if let Some(tills) = lock(&self.memory.tills).as_ref()
            && now.saturating_sub(tills.at) < max_age
        {
            return Ok(Arc::clone(&tills.all));
        }
        let all = self.ask(crate::ledger::Reader::tills).await?;
        let all: Arc<[Arc<TillInfo>]> = all.into_iter().map(Arc::new).collect();
        *lock(&self.memory.tills) = Some(Tills {
            at: now,
            all: Arc::clone(&all),
        });
        Ok(all)
    }
}

fn wrong_till() -> Problem {
    Problem::new(P::WrongTill, "this token may not use that till")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(door: Door, host: Option<&str>, origin: Option<&str>) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, host.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let arrival = Arrival {
            door,
            is_line: false,
        };
        let names = ["till-server.shop".to_owned()];
        gate(arrival, &names, &Uri::from_static("/v1/status"), &headers)
            .map_err(|problem| problem.code())
    }

    /// Only names of this machine are served, and only our own page may be in between.
    #[test]
    fn web_pages_stay_outside() {
        let lan = Door::Lan("192.168.1.5".parse().unwrap());
        let unix = Door::Unix { uid: 1, gid: 1 };
        let host = Err("host_refused");
        let origin = Err("origin_refused");
        let table = [
            (Door::Loopback, Some("localhost:8487"), None, Ok(())),
            (Door::Loopback, Some("127.0.0.1"), None, Ok(())),
            (Door::Loopback, Some("[::1]:8487"), None, Ok(())),
            (Door::Loopback, None, None, host),
            (Door::Loopback, Some("evil.example:8487"), None, host),
            (Door::Loopback, Some("localhost.evil.example"), None, host),
            (Door::Loopback, Some("127.0.0.1.evil.example"), None, host),
            (Door::Loopback, Some("till-server.shop"), None, host),
            (Door::Loopback, Some("localhost:1@evil.example"), None, host),
            (Door::Loopback, Some("localhost:evil.example"), None, host),
            (Door::Loopback, Some("[::1]evil.example"), None, host),
            (Door::Loopback, Some("[::1]:1@evil.example"), None, host),
            (Door::Loopback, Some("localhost."), None, host),
            (Door::Loopback, Some("localhost:"), None, Ok(())),
            (
                Door::Loopback,
                Some("localhost:8487"),
                Some("http://localhost:8487"),
                Ok(()),
            ),
            (
                Door::Loopback,
                Some("localhost:8487"),
                Some("http://localhost:3000"),
                origin,
            ),
            (
                Door::Loopback,
                Some("localhost:8487"),
                Some("https://evil.example"),
                origin,
            ),
            (Door::Loopback, Some("localhost:8487"), Some("null"), origin),
            (lan, Some("till-server.shop:8488"), None, Ok(())),
            (lan, Some("192.168.1.5:8488"), None, Ok(())),
            (lan, Some("192.168.1.6:8488"), None, host),
            (lan, Some("evil.example"), None, host),
            (unix, Some("whatever"), None, Ok(())),
            (unix, None, None, Ok(())),
            (unix, Some("x"), Some("http://x"), origin),
        ];
        for (door, name, from, expected) in table {
            assert_eq!(
                passes(door, name, from),
                expected,
                "{door:?} {name:?} {from:?}"
            );
        }
    }
}
