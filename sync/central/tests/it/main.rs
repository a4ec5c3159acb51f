//! Tests of head office: the service as it runs, on a real Postgres, with a clock that is set by the test.

mod schema;
mod service;
mod support;
