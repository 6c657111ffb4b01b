use proptest::prelude::*;

use super::*;

/// The exact count that the sketch is held against.
#[derive(Default)]
struct Exact(HashMap<HashKey, Weight>);

impl Exact {
    fn add(&mut self, hash: HashKey, weight: Weight) {
        self.0.entry(hash).or_insert(weight.times(0.0)).add(weight);
    }

    fn halve(&mut self) {
        self.0.values_mut().for_each(|weight| *weight = weight.times(0.5));
    }

    fn total(&self) -> f64 {
        self.0.values().map(|weight| weight.load).sum()
    }
}

/// Sums of the same numbers in another order differ in their last bits.
fn is_at_most(smaller: f64, larger: f64) -> bool {
    smaller <= larger * (1.0 + 1e-9) + 1e-9
}

fn check(sketch: &KeySketch, exact: &Exact) -> Result<(), TestCaseError> {
    let bound = exact.total() / sketch.capacity as f64;
    let keys = sketch.keys();
    prop_assert!(keys.len() <= sketch.capacity);
    let sum: f64 = keys.iter().map(|key| key.load).sum();
    prop_assert!(is_at_most(sum, exact.total()) && is_at_most(exact.total(), sum), "{} of {}", sum, exact.total());
    prop_assert!(is_at_most(sketch.total().load, sum) && is_at_most(sum, sketch.total().load));
    for KeyLoad { hash, load, error, records, .. } in &keys {
        let truth = exact.0[hash];
        prop_assert!(is_at_most(truth.load, *load), "{:?}: {} for {}", hash, load, truth.load);
        prop_assert!(is_at_most(load - error, truth.load), "{:?}: {} for {}", hash, load - error, truth.load);
        prop_assert!(is_at_most(*error, bound), "{:?}: an error of {}, at most {}", hash, error, bound);
        prop_assert!(is_at_most(*records, truth.records));
    }
    for (hash, truth) in &exact.0 {
        let kept = keys.iter().any(|key| key.hash == *hash);
        prop_assert!(kept || is_at_most(truth.load, bound), "{:?} with {} was lost", hash, truth.load);
    }
    Ok(())
}

proptest! {
    #[test]
    fn loads_are_those_of_an_exact_count_within_the_total_divided_by_the_capacity(
        capacity in 1_usize..40,
        // Few keys and many: both heavier than the bound and lighter.
        records in proptest::collection::vec((0_u128..60, 1_u32..2_000, 0_u64..20), 0..600),
    ) {
        let (mut sketch, mut exact) = (KeySketch::new(capacity), Exact::default());
        let mut second = 0;
        for (draw, load, step) in records {
            // Low keys are drawn more often than high ones.
            let hash = HashKey(draw * draw / 60);
            let before = second / HALF_LIFE_SECONDS;
            second += step / 19 * 40;
            (before..second / HALF_LIFE_SECONDS).for_each(|_| exact.halve());
            let weight = Weight { load: f64::from(load), records: 1.0, bytes: f64::from(load) };
            sketch.add(hash, b"key", weight, second);
            exact.add(hash, weight);
        }
        check(&sketch, &exact)?;
    }
}

#[test]
fn a_key_that_falls_silent_fades_and_after_an_hour_nothing_is_left() {
    let mut sketch = KeySketch::new(8);
    let weight = Weight { load: 1_024.0, records: 1.0, bytes: 10.0 };
    sketch.add(HashKey(1), b"old", weight, 0);
    sketch.fade(120);
    assert_eq!((sketch.keys()[0].load, sketch.total().load), (256.0, 256.0));
    sketch.fade(120 + 64 * 60);
    assert_eq!((sketch.keys(), sketch.total().load), (Vec::new(), 0.0));
    sketch.add(HashKey(2), b"new", weight, 120 + 64 * 60);
    assert_eq!(sketch.keys()[0].key, "new");
}

#[test]
fn keys_come_with_their_names_the_heaviest_first() {
    let mut sketch = KeySketch::new(4);
    for (key, load) in [("a", 3.0), ("b", 9.0), ("c", 5.0), ("b", 1.0)] {
        sketch.add(HashKey::of_key(key.as_bytes()), key.as_bytes(), Weight { load, records: 1.0, bytes: load }, 0);
    }
    let keys: Vec<_> = sketch.keys().into_iter().map(|key| (key.key, key.load, key.records)).collect();
    assert_eq!(keys, [("b".into(), 10.0, 2.0), ("c".into(), 5.0, 1.0), ("a".into(), 3.0, 1.0)]);
}
