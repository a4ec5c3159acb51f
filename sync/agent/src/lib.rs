//! The store agent: sends the outbox to head office (HQ), in order, and keeps what comes down.
//!
//! It knows no ledger: the store behind it is a [`Store`], the way to HQ a [`Link`]. What an answer means is decided
//! by pure functions ([`plan`]). HQ takes lines only where the store's past at HQ ends; so the agent needs no memory
//! of its own, and may be killed between any two steps.

mod agent;
pub mod entrance;
pub mod http;
pub mod plan;
#[cfg(test)]
mod simulation;
mod store;

#[cfg(any(test, feature = "simulation"))]
pub use agent::Planted;
pub use agent::{Agent, Next, Pace, Random, Standing, Trouble};
pub use http::HttpLink;
pub use store::{Exchanged, Line, Link, LinkError, Position, Store, StoreError};
