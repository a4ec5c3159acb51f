//! The rules in force: which of them hits a request.

use std::collections::BTreeMap;

use clock::Timestamp;

use super::{Call, Fault, FaultCount, FaultKind};

/// The rules in force, in the order they were given.
#[derive(Debug)]
pub(crate) struct Faults {
    /// What rules without a seed of their own draw from.
    seed: u64,
    /// How many rules there have been.
    added: u64,
    rules: Vec<Rule>,
    /// How many requests have been hit, by what.
    hits: Vec<FaultCount>,
}

/// A rule and how far it has come.
#[derive(Debug)]
struct Rule {
    fault: Fault,
    seed: u64,
    /// How many chances have been drawn, by device and call.
    drawn: BTreeMap<(u32, Call), u64>,
}

impl Faults {
    /// No rules; those to come draw from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            added: 0,
            rules: Vec::new(),
            hits: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.added += 1;
        self.rules.push(Rule {
            seed: fault.seed.unwrap_or(mixed(self.seed ^ mixed(self.added))),
            fault,
            drawn: BTreeMap::new(),
        });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Those that may still hit something.
    pub(crate) fn list(&self, now: Timestamp) -> Vec<Fault> {
        let rules = self.rules.iter().map(|rule| &rule.fault);
        rules
            .filter(|fault| !fault.is_over_at(now))
            .cloned()
            .collect()
    }

    /// What goes wrong with this request. The first rule that hits it is used up by one; rules that
    /// let it pass count it.
    pub(crate) fn take(&mut self, device: u32, call: Call, now: Timestamp) -> Option<FaultKind> {
        let mut hit = None;
        for rule in &mut self.rules {
            if !rule.fault.matches(device, call, now) {
                continue;
            }
            if rule.fault.skip > 0 {
                rule.fault.skip -= 1;
            } else if rule.draws_a_hit(device, call) {
                if rule.fault.times != u32::MAX {
                    rule.fault.times -= 1;
                }
                hit = Some(rule.fault.fault.clone());
                break;
            }
        }
        self.rules.retain(|rule| rule.fault.times > 0);
        if let Some(fault) = &hit {
            self.count(fault);
        }
        hit
    }

    fn count(&mut self, fault: &FaultKind) {
        match self.hits.iter_mut().find(|hit| hit.fault == *fault) {
            Some(hit) => hit.count += 1,
            None => self.hits.push(FaultCount {
                fault: fault.clone(),
                count: 1,
            }),
        }
    }

    /// How many requests have been hit, by what.
    pub(crate) fn hits(&self) -> &[FaultCount] {
        &self.hits
    }

    /// Whether an outage of everything holds, so that no connection is taken.
    pub(crate) fn is_offline(&self, now: Timestamp) -> bool {
        self.rules.iter().any(|rule| {
            let fault = &rule.fault;
            let is_total = fault.device.is_none() && fault.call.is_none() && fault.skip == 0;
            let is_endless = fault.times == u32::MAX && fault.per_mille.is_none_or(|p| p == 1000);
            fault.fault == FaultKind::Offline && is_total && is_endless && fault.holds_at(now)
        })
    }
}

impl Rule {
    /// Each device and call has a row of chances of its own, so that a request's luck does not hang on
    /// what others send meanwhile.
    fn draws_a_hit(&mut self, device: u32, call: Call) -> bool {
        let Some(per_mille) = self.fault.per_mille else {
            return true;
        };
        let count = self.drawn.entry((device, call)).or_default();
        *count += 1;
        let name = call.to_string();
        let name = name
            .bytes()
            .fold(0, |sum, byte| mixed(sum ^ u64::from(byte)));
        let row = mixed(self.seed ^ mixed(u64::from(device)) ^ name);
        mixed(row ^ mixed(*count)) % 1000 < u64::from(per_mille)
    }
}

/// Spreads a number over all bits (SplitMix64's step).
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn rules(seed: u64, list: impl IntoIterator<Item = Fault>) -> Faults {
        let mut faults = Faults::new(seed);
        list.into_iter().for_each(|fault| faults.add(fault));
        faults
    }

    /// A rule passes its first requests, hits as many as it says, and is gone.
    #[test]
    fn rules_skip_hit_and_end() {
        let rule = Fault {
            device: Some(7),
            skip: 1,
            times: 2,
            ..Fault::next(Call::SubmitReceipt, FaultKind::LoseAnswer)
        };
        let mut faults = rules(0, [rule]);
        let mut hits = |device, call| faults.take(device, call, NOW).is_some();
        assert!(!hits(8, Call::SubmitReceipt));
        assert!(!hits(7, Call::Ping));
        assert!(!hits(7, Call::SubmitReceipt));
        assert!(hits(7, Call::SubmitReceipt));
        assert!(hits(7, Call::SubmitReceipt));
        assert!(!hits(7, Call::SubmitReceipt));
        assert!(faults.list(NOW).is_empty());
    }

    /// The requests that a chance hits, of a thousand.
    fn hit(faults: &mut Faults, device: u32, call: Call) -> Vec<u32> {
        let mut hits = |_: &u32| faults.take(device, call, NOW).is_some();
        (0..1000).filter(|no| hits(no)).collect()
    }

    /// A chance is met about as often as it says, by the same requests for the same seed, by others for
    /// another seed, rule, device or call, and whatever others send meanwhile.
    #[test]
    fn chances_come_from_the_seed() {
        let rule = || Fault::chance(250, FaultKind::LoseAnswer);
        let first = hit(&mut rules(1, [rule()]), 7, Call::Ping);
        assert!((200..300).contains(&first.len()), "{}", first.len());
        assert_eq!(first, hit(&mut rules(1, [rule()]), 7, Call::Ping));
        assert_ne!(first, hit(&mut rules(2, [rule()]), 7, Call::Ping));
        let mut mingled = rules(1, [rule()]);
        assert_ne!(first, hit(&mut mingled, 8, Call::Ping));
        assert_ne!(first, hit(&mut mingled, 7, Call::GetStatus));
        assert_eq!(first, hit(&mut mingled, 7, Call::Ping));
        let seeded = |seed| Fault {
            seed: Some(seed),
            ..rule()
        };
        let own = hit(&mut rules(1, [seeded(9)]), 7, Call::Ping);
        assert_eq!(own, hit(&mut rules(2, [seeded(9)]), 7, Call::Ping));
        let mut faults = rules(1, [Fault::chance(0, FaultKind::Reset), rule()]);
        assert_ne!(first, hit(&mut faults, 7, Call::Ping));
        let all = hit(
            &mut rules(1, [Fault::chance(1000, FaultKind::Reset)]),
            7,
            Call::Ping,
        );
        assert_eq!(all.len(), 1000);
    }

    /// A rule holds from its first moment until before its last; an outage of everything takes no
    /// connection meanwhile, one of a device does.
    #[test]
    fn rules_hold_in_their_time() {
        let outage = Fault::outage(at(10), at(20));
        let of_one = Fault {
            device: Some(7),
            ..outage.clone()
        };
        let mut all = rules(0, [outage]);
        let mut one = rules(0, [of_one]);
        for (seconds, holds) in [(9, false), (10, true), (19, true), (20, false)] {
            let now = at(seconds);
            assert_eq!(all.is_offline(now), holds, "{seconds}");
            assert!(!one.is_offline(now));
            assert_eq!(all.take(8, Call::Ping, now).is_some(), holds, "{seconds}");
            assert_eq!(one.take(7, Call::Ping, now).is_some(), holds, "{seconds}");
            assert_eq!(one.take(8, Call::Ping, now), None);
        }
        assert_eq!((all.list(at(19)).len(), all.list(at(20)).len()), (1, 0));
    }
}
