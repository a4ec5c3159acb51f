//! What all tests begin with.

pub(crate) use fiscal_hq::testing::*;
