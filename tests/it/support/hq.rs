//! A small head office over HTTP: takes a batch only where its past of the store ends, hands commands down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use fiscald::ledger::Ledger;
use fiscald::ledger::hq::JoinedHq;
use secrecy::SecretString;
use sync_wire::chain::ChainHash;
use sync_wire::command::{Command, CommandDone, Order};
use sync_wire::enrol::{self, Enrol, Enrolled, ExpectedTill, Past};
use sync_wire::entry::{Entry, Fact};
use sync_wire::exchange::{self, Down, Up};
use sync_wire::seal::SealKey;
use sync_wire::state::{StoreState, Wanted};
use tokio::net::TcpListener;
use uuid::Uuid;

/// The store has joined a head office that is nowhere: what that wants is handed in with [`want`].
pub(crate) async fn join_nowhere(ledger: &Ledger) {
    let (seal_key, _) = SealKey::new().unwrap();
    let hq = JoinedHq {
        url: "https://hq.example".to_owned(),
        ca: None,
        store_id: Uuid::from_u128(1),
        tenant_id: Uuid::from_u128(2),
        tenant: "Example Traders".to_owned(),
        store: "Harare 1".to_owned(),
        secret: SecretString::from("secret"),
        seal_key,
        epoch: Uuid::from_u128(3),
        past: None,
    };
    let joined = ledger.write(move |core| core.hq_join(&hq, "test"));
    joined.await.unwrap();
}

/// Head office wants this, and the store follows.
pub(crate) async fn want(ledger: &Ledger, wanted: Wanted) {
    let applied = ledger.write(move |core| core.hq_apply(&wanted));
    assert!(applied.await.unwrap());
}

pub(crate) const STORE: Uuid = Uuid::from_u128(77);

/// What head office has.
#[derive(Default)]
pub(crate) struct Kept {
    /// Codes that are still good.
    pub(crate) codes: Vec<String>,
    /// The store's half of the sealing key.
    pub(crate) seal_key: String,
    /// How the store described itself when it joined.
    pub(crate) known: Vec<enrol::KnownTill>,
    pub(crate) expected: Vec<ExpectedTill>,
    pub(crate) epochs: Vec<Uuid>,
    pub(crate) lines: Vec<(i64, Vec<u8>)>,
    pub(crate) commands: Vec<Command>,
    pub(crate) wanted: Wanted,
    pub(crate) now: i64,
    pub(crate) state: Option<StoreState>,
    /// Bytes of all exchanges as they came over the line.
    pub(crate) came: u64,
    /// It answers no exchange.
    pub(crate) away: bool,
    secret: String,
}

impl Kept {
    fn hash(&self) -> ChainHash {
        hash(&self.lines)
    }

    /// Goes back to where a new series leaves the one that is known.
    fn leave(&mut self, up: &Up) {
        let Some(fork) = &up.fork else { return };
        let is_new = self.epochs.last() == Some(&fork.parent) && fork.parent != up.epoch;
        let common = self.lines.partition_point(|line| line.0 <= fork.at);
        if is_new && hash(&self.lines[..common]) == fork.hash {
            self.lines.truncate(common);
        }
    }

    fn last(&self) -> i64 {
        self.lines.last().map_or(0, |line| line.0)
    }

    fn take(&mut self, up: &Up, lines: &[&[u8]]) -> u32 {
        self.leave(up);
        let is_here = (up.after, up.after_hash) == (self.last(), self.hash());
        let is_known = self.epochs.last().is_none_or(|epoch| *epoch == up.epoch);
        let leaves = up.fork.as_ref().map(|fork| fork.parent);
        if !is_here || !(is_known || leaves == self.epochs.last().copied()) || lines.is_empty() {
            return 0;
        }
        if self.epochs.last() != Some(&up.epoch) {
            self.epochs.push(up.epoch);
        }
        for line in lines {
            let entry = Entry::read(line).unwrap();
            self.lines.push((entry.seq, line.to_vec()));
        }
        u32::try_from(lines.len()).unwrap()
    }
}

fn hash(lines: &[(i64, Vec<u8>)]) -> ChainHash {
    let chained = |hash: ChainHash, line: &(i64, Vec<u8>)| hash.then(&line.1);
    lines.iter().fold(ChainHash::START, chained)
}

/// A head office that runs.
#[derive(Clone)]
pub(crate) struct Hq {
    kept: Arc<Mutex<Kept>>,
    pub(crate) url: String,
}

impl Hq {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hq = Self {
            kept: Arc::default(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let router = Router::new()
            .route(enrol::PATH, post(enrolled))
            .route(enrol::PAST_PATH, get(past))
            .route(exchange::PATH, post(exchanged))
            .with_state(hq.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        hq
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the store for something.
    pub(crate) fn order(&self, order: Order, expires: i64) -> i64 {
        let mut kept = self.lock();
        let no = i64::try_from(kept.commands.len()).unwrap() + 1;
        kept.commands.push(Command {
            id: Uuid::from_u128(1_000 + u128::try_from(no).unwrap()),
            no,
            actor: "hq:Rudo".to_owned(),
            expires,
            order,
        });
        no
    }

    /// How a command ended; each one at most once.
    pub(crate) fn done(&self, no: i64) -> Option<CommandDone> {
        let facts = self.facts();
        let mut ends = facts.into_iter().filter_map(|fact| match fact {
            Fact::CommandDone(done) if done.no == no => Some(done),
            _ => None,
        });
        let end = ends.next();
        assert!(ends.next().is_none(), "{no} has ended twice");
        end
    }

    pub(crate) fn facts(&self) -> Vec<Fact> {
        let kept = self.lock();
        let facts = kept
            .lines
            .iter()
            .map(|(_, line)| Entry::read(line).unwrap().fact().unwrap());
        facts.collect()
    }

    /// Knows the store no more.
    pub(crate) fn forget(&self) {
        self.lock().secret = "another".to_owned();
    }

    fn may(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        shown == Some(&format!("Bearer {}", self.lock().secret))
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    (status, serde_json::json!({ "detail": detail }).to_string()).into_response()
}

async fn enrolled(State(hq): State<Hq>, body: Bytes) -> Response {
    let asked: Enrol = serde_json::from_slice(&body).unwrap();
    let mut kept = hq.lock();
    let Some(place) = kept.codes.iter().position(|code| *code == asked.code) else {
        return problem(StatusCode::CONFLICT, "the code was used, or is none");
    };
    kept.codes.remove(place);
    kept.secret = format!("secret-{}", kept.codes.len() + kept.lines.len());
    kept.seal_key = asked.seal_key;
    kept.known = asked.tills;
    let past = kept.epochs.last().map(|epoch| Past {
        epoch: *epoch,
        acked: kept.last(),
        hash: kept.hash(),
    });
    let enrolled = Enrolled {
        store_id: STORE,
        tenant_id: Uuid::from_u128(88),
        tenant: "Example Traders".to_owned(),
        store: "Harare 1".to_owned(),
        secret: kept.secret.clone(),
        tills: kept.expected.clone(),
        past,
    };
    serde_json::to_string(&enrolled).unwrap().into_response()
}

#[derive(serde::Deserialize)]
struct After {
    after: i64,
}

/// A few lines a page, so that there are several.
async fn past(State(hq): State<Hq>, headers: HeaderMap, Query(after): Query<After>) -> Response {
    if !hq.may(&headers) {
        return problem(StatusCode::UNAUTHORIZED, "unknown secret");
    }
    let kept = hq.lock();
    let lines = kept
        .lines
        .iter()
        .filter(|line| line.0 > after.after)
        .take(7);
    let mut page = Vec::new();
    for (_, line) in lines {
        page.extend_from_slice(line);
        page.push(b'\n');
    }
    page.into_response()
}

async fn exchanged(State(hq): State<Hq>, headers: HeaderMap, body: Bytes) -> Response {
    if !hq.may(&headers) {
        return problem(StatusCode::UNAUTHORIZED, "unknown secret");
    }
    if hq.lock().away {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "nobody is here");
    }
    let text = zstd::decode_all(&*body).unwrap();
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let up: Up = serde_json::from_slice(lines.next().unwrap()).unwrap();
    let lines: Vec<&[u8]> = lines.collect();
    assert_eq!(lines.len(), usize::try_from(up.entries).unwrap());
    let mut kept = hq.lock();
    kept.came += u64::try_from(body.len()).unwrap();
    let taken = kept.take(&up, &lines);
    let commands = kept
        .commands
        .iter()
        .filter(|command| command.no > up.commands_seen);
    let down = Down {
        epoch: kept.epochs.last().copied(),
        acked: kept.last(),
        hash: kept.hash(),
        taken,
        commands: commands.cloned().collect(),
        wanted: kept.wanted.clone(),
        now: kept.now,
    };
    kept.state = Some(up.state);
    serde_json::to_string(&down).unwrap().into_response()
}
