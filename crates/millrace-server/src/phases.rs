//! What streams and consumers are said to pass through: `CREATING`, `UPDATING`, `DELETING`.
//!
//! What is asked for is done when it is answered. Where an operator has given durations, it is told for so long as if it
//! were under way, and refused what the service would refuse meanwhile, so that a program meets the states before it
//! meets the service. Nothing of it is kept: a restart ends all phases.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::options::PhaseDurations;

/// Something that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Creating,
    Updating,
    Deleting,
}

impl Phase {
    /// The phase as the service tells it; `ACTIVE` where there is none.
    pub fn told(phase: Option<Phase>) -> &'static str {
        match phase {
            None => "ACTIVE",
            Some(Phase::Creating) => "CREATING",
            Some(Phase::Updating) => "UPDATING",
            Some(Phase::Deleting) => "DELETING",
        }
    }
}

/// The phases of things by name, each up to its time; `T` is what is still told of a thing that is gone.
#[derive(Debug)]
pub(crate) struct Phases<T> {
    durations: PhaseDurations,
    passing: Mutex<HashMap<String, Passing<T>>>,
}

#[derive(Debug)]
struct Passing<T> {
    phase: Phase,
    until_ms: u64,
    gone: Option<T>,
}

impl<T: Clone> Phases<T> {
    pub fn new(durations: PhaseDurations) -> Phases<T> {
        Phases { durations, passing: Mutex::default() }
    }

    /// A thing was created at this time. All times are of one clock that never goes back, in milliseconds.
    pub fn created(&self, name: &str, now_ms: u64) {
        self.begin(name, Phase::Creating, None, now_ms);
    }

    /// A thing was changed.
    pub fn updated(&self, name: &str, now_ms: u64) {
        self.begin(name, Phase::Updating, None, now_ms);
    }

    /// A thing is gone, and this is what was known of it.
    pub fn deleted(&self, name: &str, gone: T, now_ms: u64) {
        self.begin(name, Phase::Deleting, Some(gone), now_ms);
    }

    fn begin(&self, name: &str, phase: Phase, gone: Option<T>, now_ms: u64) {
        let PhaseDurations { creating_ms, updating_ms, deleting_ms } = self.durations;
        let lasts_ms = match phase {
            Phase::Creating => creating_ms,
            Phase::Updating => updating_ms,
            Phase::Deleting => deleting_ms,
        };
        let mut passing = self.passing.lock();
        passing.retain(|_, passing| now_ms < passing.until_ms);
        passing.remove(name);
        if lasts_ms > 0 {
            passing.insert(name.to_owned(), Passing { phase, until_ms: now_ms.saturating_add(lasts_ms), gone });
        }
    }

    /// What a thing passes through.
    pub fn of(&self, name: &str, now_ms: u64) -> Option<Phase> {
        self.find(name, now_ms, |passing| Some(passing.phase))
    }

    /// What is told of a thing that is gone, as long as anything is.
    pub fn gone(&self, name: &str, now_ms: u64) -> Option<T> {
        self.find(name, now_ms, |passing| passing.gone.clone())
    }

    /// All that are gone and still told of.
    pub fn all_gone(&self, now_ms: u64) -> Vec<T> {
        let passing = self.passing.lock();
        passing
            .values()
            .filter(|passing| now_ms < passing.until_ms)
            .filter_map(|passing| passing.gone.clone())
            .collect()
    }

    /// How many are being created.
    pub fn creating(&self, now_ms: u64) -> usize {
        let passing = self.passing.lock();
        passing.values().filter(|passing| passing.phase == Phase::Creating && now_ms < passing.until_ms).count()
    }

    fn find<R>(&self, name: &str, now_ms: u64, read: impl FnOnce(&Passing<T>) -> Option<R>) -> Option<R> {
        if self.durations == PhaseDurations::default() {
            return None;
        }
        self.passing.lock().get(name).filter(|passing| now_ms < passing.until_ms).and_then(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATIONS: PhaseDurations = PhaseDurations { creating_ms: 10, updating_ms: 20, deleting_ms: 30 };

    #[test]
    fn a_phase_lasts_as_long_as_it_was_said_to() {
        let phases = Phases::new(DURATIONS);
        phases.created("a", 100);
        assert_eq!((phases.of("a", 109), phases.of("a", 110)), (Some(Phase::Creating), None));
        assert_eq!((phases.creating(109), phases.creating(110)), (1, 0));
        phases.updated("a", 105);
        assert_eq!((phases.of("a", 124), phases.of("a", 125)), (Some(Phase::Updating), None));
        phases.deleted("a", 7, 200);
        assert_eq!((phases.gone("a", 229), phases.gone("a", 230)), (Some(7), None));
        assert_eq!((phases.all_gone(229), phases.all_gone(230)), (vec![7], vec![]));
        assert_eq!(phases.of("b", 229), None);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let phases = Phases::new(DURATIONS);
        (0..100).for_each(|n| phases.deleted(&n.to_string(), n, 0));
        phases.created("a", 30);
        assert_eq!(phases.passing.lock().len(), 1);
    }

    #[test]
    fn without_durations_nothing_is_ever_under_way() {
        let phases = Phases::new(PhaseDurations::default());
        phases.created("a", 0);
        phases.deleted("b", 1, 0);
        assert_eq!((phases.of("a", 0), phases.gone("b", 0), phases.creating(0)), (None, None, 0));
        assert!(phases.passing.lock().is_empty());
    }
}
