//! Defects that the proof of "exactly once" plants, to show that it can fail. There are none but where the feature
//! `testing` is on and `HQ_PLANTED` names one.

/// Whether this defect is planted.
#[cfg(feature = "testing")]
pub(super) fn is(name: &str) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let planted = PLANTED.get_or_init(|| std::env::var("HQ_PLANTED").ok());
    planted.as_deref() == Some(name)
}

/// Whether this defect is planted: never.
#[cfg(not(feature = "testing"))]
pub(super) const fn is(_: &str) -> bool {
    false
}
