//! The operator's page: who may read, who may change, what can be done, in three languages and at three sizes.

pub(crate) mod acts;
mod browser;
mod safety;
