//! Where new sales of a till go: to itself, or to the till that it was switched to.
//!
//! A sale that is repeated must find its receipt where it was issued, so a key that the first till knows stays
//! there. And who names a till by its number means it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fiscal::draft::Draft;

use super::Shared;
use super::problem::{Problem, ProblemCode as P};
use crate::ledger::{Reader, TillId, TillInfo};

/// The switches as they were when the tills last changed.
#[derive(Debug, Default)]
pub(super) struct Switches(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The count of changes at which they were read.
    at: Option<u64>,
    all: Arc<BTreeMap<TillId, TillId>>,
}

impl Shared {
    /// The till that a sale is for.
    pub(super) async fn switched(
        &self,
        till: Arc<TillInfo>,
        draft: &Draft,
        key: Option<&str>,
    ) -> Result<Arc<TillInfo>, Problem> {
        let Some(to) = self.switches().await?.get(&till.id).copied() else {
            return Ok(till);
        };
        if draft.device_id.is_some() {
            return Ok(till);
        }
        let from = till.id;
        let known = key.map(str::to_owned).or_else(|| draft.invoice_no.clone());
        if let Some(known) = known {
            let earlier = self.ask(move |reader| reader.by_key(from, &known)).await?;
            if earlier.is_some() {
                return Ok(till);
            }
        }
        let tills = self.ask(Reader::tills).await?;
        let found = tills.into_iter().find(|till| till.id == to);
        let gone = || Problem::new(P::TillUnknown, "the till that new sales go to is gone");
        found.map(Arc::new).ok_or_else(gone)
    }

    async fn switches(&self) -> Result<Arc<BTreeMap<TillId, TillId>>, Problem> {
        let at = *self.ledger.tills_changed().borrow();
        {
            let known = self
                .switches
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if known.at == Some(at) {
                return Ok(Arc::clone(&known.all));
            }
        }
        let all = self.ask(Reader::switches).await?;
        let all = Arc::new(all.into_iter().collect::<BTreeMap<_, _>>());
        *self
            .switches
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Known {
            at: Some(at),
            all: Arc::clone(&all),
        };
        Ok(all)
    }
}
