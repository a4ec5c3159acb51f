//! The store agent: sends the outbox to head office, in order, and keeps what comes down.
