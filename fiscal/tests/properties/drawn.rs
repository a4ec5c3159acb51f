//! The sales that are drawn for tests: the same for the same seed, for ever, and of every kind.

use std::collections::BTreeSet;

use fiscal::sign;
use fiscal::testing::{Random, sample_taxpayer, sample_taxpayer_without_vat};

use crate::shop::Shop;

/// A seed that once failed must draw the same sales in every later version: it is all that a report holds.
#[test]
fn the_same_seed_draws_the_same_sales() {
    let mut all = String::new();
    for seed in 0..60 {
        let mut shop = Shop::new(seed);
        for _ in 0..15 {
            let sold = shop.sell();
            all.push_str(&format!("{:?}\n", sold.sale));
        }
        all.push_str(&format!("{:?}\n", shop.invoices));
    }
    assert_eq!(
        sign::hash(&all).to_string(),
        "UbVRD3n2EE5xvcpAUElBwszl/fDINnDauldnm5+Dz1g="
    );
}

/// The numbers themselves: SplitMix64 as its authors give it, and ranges with both ends in them.
#[test]
fn random_numbers() {
    let mut random = Random::new(1_234_567);
    let bits = [random.bits(), random.bits(), random.bits()];
    assert_eq!(
        bits,
        [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423
        ]
    );
    let mut draw = |first, last| {
        (0..200)
            .map(|_| random.between(first, last))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(draw(-2, 2), BTreeSet::from([-2, -1, 0, 1, 2]));
    assert_eq!(draw(7, 7), BTreeSet::from([7]));
    assert_eq!(random.below(0), 0);
    assert!((0..100).all(|_| random.chance(100) && !random.chance(0)));
    let nothing: [u8; 0] = [];
    assert_eq!(random.pick(&nothing), None);
    let picked: BTreeSet<_> = (0..100).filter_map(|_| random.pick(&["a", "b"])).collect();
    assert_eq!(picked.len(), 2);
}

/// The two shops differ in their VAT number alone.
#[test]
fn sample_taxpayers() {
    let mut taxpayer = sample_taxpayer();
    assert_eq!(taxpayer.taxes.len(), 5);
    taxpayer.vat_number = None;
    assert_eq!(sample_taxpayer_without_vat(), taxpayer);
}
