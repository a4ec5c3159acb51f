//! What a process takes of the machine, as Linux tells it.

use serde::Serialize;

/// A tick of the processor time that Linux tells, in microseconds.
const TICK_US: u64 = 10_000;

/// A process that is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gauge(pub(super) u32);

/// Open handles by kind, and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Handles {
    pub(super) files: u64,
    pub(super) sockets: u64,
    /// Those of timers, events, pipes.
    pub(super) others: u64,
    pub(super) threads: u64,
}

impl Gauge {
    fn path(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }

    fn read(self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A line's number, such as `VmRSS:   1234 kB`.
    fn number(self, file: &str, name: &str) -> u64 {
        let text = self.read(file);
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    }

    /// Resident memory in KiB.
    pub(super) fn rss_kib(self) -> u64 {
        self.number("status", "VmRSS:")
    }

    /// The same, what is shared with other processes in parts.
    pub(super) fn pss_kib(self) -> u64 {
        self.number("smaps_rollup", "Pss:")
    }

    /// What it has open.
    pub(super) fn handles(self) -> Handles {
        let mut handles = Handles {
            files: 0,
            sockets: 0,
            others: 0,
            threads: self.number("status", "Threads:"),
        };
        for entry in std::fs::read_dir(self.path("fd")).unwrap() {
            // One may be closed in this moment.
            let Ok(target) = std::fs::read_link(entry.unwrap().path()) else {
                continue;
            };
            let target = target.to_string_lossy();
            match target.split_once(":[") {
                None if target.starts_with('/') => handles.files += 1,
                Some(("socket", _)) => handles.sockets += 1,
                _ => handles.others += 1,
            }
        }
        handles
    }

    /// Processor time so far, of all threads, in microseconds.
    pub(super) fn cpu_us(self) -> u64 {
        let stat = self.read("stat");
        // The name in parentheses may hold anything; utime and stime are the 12th and 13th after it.
        let fields = stat.rsplit(')').next().unwrap();
        let times = fields.split_whitespace().skip(11).take(2);
        times
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum::<u64>()
            * TICK_US
    }
}

/// The value below which so many thousandths lie; 0 of none.
pub(super) fn quantile(values: &mut [u64], per_mille: usize) -> u64 {
    values.sort_unstable();
    let place = values.len() * per_mille / 1000;
    let last = values.len().saturating_sub(1);
    values.get(place.min(last)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::TcpListener;

    use super::*;

    /// What this process opens is seen, by its kind; what it works costs time, what it holds is resident.
    #[test]
    fn what_is_taken_is_seen() {
        let gauge = Gauge(std::process::id());
        let before = gauge.handles();
        let files: Vec<_> = (0..5).map(|_| File::open("/proc/self/status")).collect();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let opened = gauge.handles();
        assert!(opened.files >= before.files + 5, "{before:?} {opened:?}");
        assert!(opened.sockets > before.sockets, "{before:?} {opened:?}");
        drop((files, socket));
        let (rss, cpu) = (gauge.rss_kib(), gauge.cpu_us());
        let mut held = Vec::new();
        let mut sum = 0_u64;
        while gauge.cpu_us() < cpu + 3 * TICK_US {
            held = vec![1_u8; 64 << 20];
            sum += held.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
        assert!(sum > 0 && gauge.rss_kib() > rss + 32_000, "{rss}");
        assert!(gauge.pss_kib() > 32_000);
        drop(held);
    }

    #[test]
    fn quantiles() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(quantile(&mut values, 500), 101);
        assert_eq!(quantile(&mut values, 990), 199);
        assert_eq!(quantile(&mut [7], 990), 7);
        assert_eq!(quantile(&mut [], 500), 0);
    }
}
