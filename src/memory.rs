//! Memory that a rush has taken and nobody uses any more goes back to the system.
//!
//! The allocator keeps what was freed, in as many pools as there were threads, and a shop's machine would
//! never see it again: after 100,000 sales that is more than the daemon needs to live.

/// Gives back what is free. It takes a few milliseconds: for a moment of rest.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "a call into the C library that takes no pointer, leaves what is in use alone, and may be made \
              by any thread at any time"
)]
pub(crate) fn give_back() {
    // SAFETY: see the reason above; malloc_trim(3) is thread-safe.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
