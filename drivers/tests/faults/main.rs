//! Faults from seeds: machine, encoder and a printer made of software in one virtual time.
//!
//! `cargo nextest run -p drivers --test faults` lives through a slice; `FAULT_SEEDS=40 FAULT_JOBS=1000` asks
//! for 1,000 random jobs under 40 seeds of faults each. A failure names its seed, and `FAULT_SEED` runs that
//! one alone.

mod dice;
mod judge;
mod line;
mod spool;
mod trouble;
mod world;

use world::{Planted, Tally, World, all, fleet};

/// Receipts in one world.
const RECEIPTS: usize = 20;

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("it is a number"))
}

/// One world; an error says which.
fn live(seed: u64, kinds: Vec<u64>, planted: Planted) -> Result<Tally, String> {
    let fleet = fleet();
    let place = usize::try_from(seed).expect("it is small") % fleet.len();
    let mut world = World::new(seed, fleet[place].clone(), RECEIPTS, kinds, planted);
    match world.run() {
        Ok(()) => Ok(world.tally),
        Err(why) => Err(format!("FAULT_SEED={seed}, printer {place}: {why}")),
    }
}

fn add(sum: &mut Tally, one: Tally) {
    sum.printed += one.printed;
    sum.processed += one.processed;
    sum.healthy += one.healthy;
    sum.sent += one.sent;
    sum.unknown += one.unknown;
    sum.held += one.held;
    sum.restarts += one.restarts;
    sum.losses += one.losses;
}

/// Many worlds, on as many threads as there are cores.
fn live_all(seeds: &[u64]) -> (Tally, Vec<String>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let results = std::thread::scope(|scope| {
        let parts: Vec<_> = seeds
            .chunks(seeds.len().div_ceil(threads))
            .map(|part| {
                scope.spawn(|| {
                    let one = |seed: &u64| live(*seed, all(), Planted::Nothing);
                    part.iter().map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = parts.into_iter().map(|part| part.join().expect("no panic"));
        joined.flatten().collect::<Vec<_>>()
    });
    let mut sum = Tally::default();
    let mut broken = Vec::new();
    for result in results {
        match result {
            Ok(tally) => add(&mut sum, tally),
            Err(why) => broken.push(why),
        }
    }
    (sum, broken)
}

/// Without trouble, each receipt is one original and nothing else.
#[test]
fn a_quiet_day() {
    for seed in 0..14 {
        let tally = live(seed, Vec::new(), Planted::Nothing).unwrap();
        assert_eq!(
            (tally.unknown, tally.held, tally.losses),
            (0, 0, 0),
            "{seed}"
        );
        let done = tally.printed + tally.processed + tally.healthy + tally.sent;
        assert_eq!(done, RECEIPTS, "{seed}");
    }
}

/// No invariant breaks under any seed, and all kinds of ends are seen.
#[test]
fn seeded_faults() {
    if let Ok(seed) = std::env::var("FAULT_SEED") {
        let seed = seed.parse().expect("it is a number");
        live(seed, all(), Planted::Nothing).unwrap();
        return;
    }
    let jobs = number("FAULT_JOBS", 140);
    let worlds = jobs.div_ceil(u64::try_from(RECEIPTS).unwrap());
    let seeds = (0..number("FAULT_SEEDS", 4))
        .flat_map(|fault| (0..worlds).map(move |world| fault * 1_000_003 + world));
    let (sum, broken) = live_all(&seeds.collect::<Vec<_>>());
    println!("{sum:?}");
    assert!(
        broken.is_empty(),
        "{} broken: {:#?}",
        broken.len(),
        &broken[..broken.len().min(5)]
    );
    let seen = [
        sum.printed,
        sum.processed,
        sum.healthy,
        sum.sent,
        sum.unknown,
        sum.held,
        sum.restarts,
        sum.losses,
    ];
    assert!(seen.iter().all(|count| *count > 0), "{sum:?}");
}

/// We are killed at each keeping of a state, before and after it: every kind of printer, every edge.
#[test]
fn killed_at_every_edge() {
    for seed in 0..28 {
        live(seed, vec![20, 21], Planted::Nothing).unwrap();
    }
}

/// A defect must turn the suite red.
fn is_found(planted: Planted, kinds: &[u64]) {
    let found = (0..70).find_map(|seed| live(seed, kinds.to_vec(), planted).err());
    let why = found.unwrap_or_else(|| panic!("{planted:?} is not found"));
    println!("{why}");
}

#[test]
fn finds_originals_that_are_sent_again() {
    is_found(Planted::ResendsOriginals, &[6, 7]);
}

#[test]
fn finds_a_belief_in_foreign_acks() {
    is_found(Planted::BelievesForeignAcks, &[14]);
}

#[test]
fn finds_states_that_are_kept_too_late() {
    is_found(Planted::KeepsTooLate, &[20, 21]);
}

#[test]
fn finds_pictures_that_swallow_the_next_job() {
    is_found(Planted::FillsNothing, &[6, 7]);
}

#[test]
fn finds_a_link_that_is_never_opened_again() {
    is_found(Planted::ForgetsTheLink, &[4, 5]);
}
