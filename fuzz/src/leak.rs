//! Nothing may be left behind by an input: what is allocated is counted, and an input that leaves more each time that it
//! is played is a finding. What a first time fills (tables, patterns that are compiled once) is not.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

use crate::input::Target;

/// Times that an input must leave something behind before it is told of.
const TIMES: usize = 4;

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator, counted in bytes.
struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

fn count(bytes: usize, sign: isize) {
    let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
    LIVE.fetch_add(sign * bytes, Ordering::Relaxed);
}

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, 1);
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Plays an input; panics if it leaves something behind every time.
pub(crate) fn watched(run: Target, input: &[u8]) {
    for _ in 0..TIMES {
        let before = LIVE.load(Ordering::Relaxed);
        run(input);
        if LIVE.load(Ordering::Relaxed) <= before {
            return;
        }
    }
    panic!("bytes are left behind each time that this input is played");
}
