//! Memory that a start or a rush has taken and nobody uses any more goes back to the system.
//!
//! The allocator keeps what was freed, in as many pools as there were threads, and a shop's machine would
//! never see it again: after 100,000 sales that is more than the daemon needs to live. And most of what is
//! resident is the program itself: whatever a start has run through, and what lies beside it: the kernel maps sixteen
//! pages for each that is run.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;

/// So long without an event in the ledger is rest.
const QUIET: Duration = Duration::from_secs(20);

/// Once, before there are threads: small pieces that were freed are not kept in the allocator's fast bins, which every
/// larger piece (an answer, a receipt's JSON) has emptied and merged. Each thread has a cache of its own besides.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "a call into the C library that takes two numbers, before there is another thread"
)]
pub(crate) fn begin() {
    // SAFETY: see the reason above. Where it fails, nothing has changed.
    unsafe {
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Other C libraries have no such bins.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn begin() {}

/// Lets go of code that is not running, again and again while nothing is written to the ledger, until the stop signal.
pub(crate) async fn rest(ledger: &Ledger, stop: &CancellationToken) {
    let committed = ledger.committed();
    let mut seen = *committed.borrow();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = ledger.time().clock().sleep(QUIET) => {}
        }
        let now = *committed.borrow();
        if now == seen {
            #[cfg(target_os = "linux")]
            code::let_go();
        }
        seen = now;
    }
}

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

/// The program's code in memory.
#[cfg(target_os = "linux")]
mod code {
    use std::ops::Range;

    /// Unmaps the pages of code: they stay in the system's cache as long as there is room, and what still runs is mapped
    /// again when it is run, without a read from the disk.
    #[expect(
        unsafe_code,
        reason = "madvise(2) on pages of this program's own file that can be run and never written: whoever reads one \
                  next finds the same bytes, from the file"
    )]
    pub(super) fn let_go() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let Ok(program) = std::fs::read_link("/proc/self/exe") else {
            return;
        };
        for pages in of(&program.to_string_lossy(), &maps) {
            // SAFETY: see the reason above. Where it fails, nothing has changed.
            unsafe {
                libc::madvise(
                    std::ptr::with_exposed_provenance_mut(pages.start),
                    pages.len(),
                    libc::MADV_DONTNEED,
                );
            }
        }
    }

    /// Where `/proc/self/maps` says that pages of this file are mapped as code: private, readable, never writable.
    fn of(program: &str, maps: &str) -> Vec<Range<usize>> {
        let place = |line: &str| {
            // Five fields and blanks, then the file's path, which may have blanks too.
            let (_, path) = line.split_once('/')?;
            let mut fields = line.split(' ');
            let (start, end) = fields.next()?.split_once('-')?;
            let is_code = fields.next()? == "r-xp" && program.strip_prefix('/') == Some(path);
            let address = |text| usize::from_str_radix(text, 16).ok();
            is_code.then_some(address(start)?..address(end)?)
        };
        maps.lines().filter_map(place).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Code of the program is found, and nothing else: no data, no library, no stack.
        #[test]
        fn only_code_of_the_program() {
            let maps = "\
55e0-55f0 r--p 00000000 fe:00 12 /usr/bin/a till
55f0-5600 r-xp 00010000 fe:00 12 /usr/bin/a till
5600-5610 rw-p 00020000 fe:00 12 /usr/bin/a till
5610-5620 rwxp 00020000 fe:00 12 /usr/bin/a till
7f00-7f10 r-xp 00000000 fe:00 13 /usr/lib/libc.so.6
7f10-7f20 r-xp 00000000 00:00 0 [vdso]
7f20-7f30 rw-p 00000000 00:00 0
";
            let found = of("/usr/bin/a till", maps);
            assert_eq!((found.len(), &found[0]), (1, &(0x55f0..0x5600)));
            assert!(of("/usr/bin/other", maps).is_empty());
        }

        /// This very program is found, and goes on after its pages were let go.
        #[test]
        fn the_program_goes_on() {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let program = std::fs::read_link("/proc/self/exe").unwrap();
            assert!(!of(&program.to_string_lossy(), &maps).is_empty());
            let_go();
            assert_eq!("a rest".split(' ').count(), 2);
        }
    }
}
