//! What the control log keeps of a stream's capacity: the switches of its mode, what it is warmed up for, and the
//! highest rate of each of the last days.
//!
//! It changes by commands only, and those are rare: a peak is noted where it asks for more shards than what was noted
//! of its day, and no more often than every quarter of an hour, so that a stream of little traffic notes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ON_DEMAND_SHARDS, Rate};
use crate::error::{Error, Kind, Result};
use crate::shard::SHARDS_MAX;

const DAY_MS: u64 = 24 * 3_600_000;
/// How long a peak counts, in days.
const PEAK_DAYS: u32 = 30;
/// How many times a stream's mode can be switched in 24 hours.
const SWITCHES_MAX: usize = 2;

/// See the head of this file. All times are those of the wall clock, in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CapacityHistory {
    // When the mode was switched in the 24 hours before the last switch, that one included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    switched_ms: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_mib_per_second: Option<u32>,
    // By the day since 1970.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    peaks: BTreeMap<u32, Rate>,
}

impl CapacityHistory {
    /// The most that a stream can be warmed up for, in MiB/s: a shard for each. (AWS allows 10,240.)
    pub const WARM_MIB_MAX: u32 = SHARDS_MAX;

    /// Whether nothing was ever noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == CapacityHistory::default()
    }

    /// Whether the mode can be switched now.
    ///
    /// # Errors
    /// `LimitExceeded`: it was switched twice within the last 24 hours.
    pub fn check_switch(&self, now_ms: u64) -> Result<()> {
        let recent = self.switches_since(now_ms);
        let Some(first_ms) = recent.first().filter(|_| recent.len() >= SWITCHES_MAX) else { return Ok(()) };
        let minutes = first_ms.saturating_add(DAY_MS).saturating_sub(now_ms).div_ceil(60_000);
        let message = format!(
            "expected at most {SWITCHES_MAX} switches of the capacity mode in 24 hours, got another; \
             try again in {minutes} minutes"
        );
        Err(Error::new(Kind::LimitExceeded, message))
    }

    /// Notes a switch. What was noted of the traffic belongs to the mode that ends.
    pub fn switch(&mut self, now_ms: u64) {
        let mut switched_ms = self.switches_since(now_ms);
        switched_ms.push(now_ms);
        *self = CapacityHistory { switched_ms, ..CapacityHistory::default() };
    }

    fn switches_since(&self, now_ms: u64) -> Vec<u64> {
        self.switched_ms.iter().copied().filter(|at_ms| at_ms.saturating_add(DAY_MS) > now_ms).collect()
    }

    /// What the stream is warmed up for, in MiB/s, if it is.
    #[must_use]
    pub fn warm_mib_per_second(&self) -> Option<u32> {
        self.warm_mib_per_second
    }

    /// Checks what a stream is to be warmed up for.
    ///
    /// # Errors
    /// `InvalidArgument` for less than 1 or more than [`CapacityHistory::WARM_MIB_MAX`].
    pub fn check_warm(mib_per_second: Option<u32>) -> Result<()> {
        let Some(came) = mib_per_second.filter(|mib| !(1..=Self::WARM_MIB_MAX).contains(mib)) else { return Ok(()) };
        let most = Self::WARM_MIB_MAX;
        let message = format!("expected a warm throughput of 1 to {most} MiB/s, or none, got {came}");
        Err(Error::new(Kind::InvalidArgument, message))
    }

    /// Warms the stream up for so much, or releases what it was warmed up for.
    pub fn warm(&mut self, mib_per_second: Option<u32>) {
        self.warm_mib_per_second = mib_per_second;
    }

    /// Notes a rate that lasted. Peaks of more than thirty days ago are forgotten.
    pub fn note_peak(&mut self, now_ms: u64, rate: Rate) {
        let today = day(now_ms);
        let peak = self.peaks.entry(today).or_default();
        *peak = peak.max(rate);
        self.peaks.retain(|day, _| day.saturating_add(PEAK_DAYS) >= today);
    }

    /// Whether a rate that lasted is worth a command: more than what was noted of this day, and more than what any
    /// on-demand stream has anyway.
    #[must_use]
    pub fn is_news(&self, now_ms: u64, rate: Rate) -> bool {
        let noted = self.peaks.get(&day(now_ms)).map_or(0, |peak| peak.shards_for_twice());
        rate.shards_for_twice() > noted.max(ON_DEMAND_SHARDS)
    }

    /// The highest rate noted in the last thirty days. Where the clock went back, what was noted in the future counts.
    #[must_use]
    pub fn peak(&self, now_ms: u64) -> Rate {
        let today = day(now_ms);
        let counts = self.peaks.iter().filter(|(day, _)| day.saturating_add(PEAK_DAYS) >= today);
        counts.fold(Rate::default(), |peak, (_, rate)| peak.max(*rate))
    }

    /// How many shards of the same width the stream needs, for twice its peak and for what it is warmed up for. `latest`
    /// is a peak that was not noted yet.
    #[must_use]
    pub fn shards_needed(&self, now_ms: u64, latest: Rate) -> u32 {
        let for_peak = self.peak(now_ms).max(latest).shards_for_twice();
        for_peak.max(self.warm_mib_per_second.unwrap_or(0)).clamp(1, SHARDS_MAX)
    }
}

fn day(now_ms: u64) -> u32 {
    u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mib(mib: u64) -> Rate {
        Rate { bytes_per_second: mib << 20, records_per_second: 0 }
    }

    #[test]
    fn the_mode_is_switched_twice_in_any_24_hours_and_no_more() {
        let mut history = CapacityHistory::default();
        for at_ms in [0, 1_000] {
            history.check_switch(at_ms).expect("the first and the second");
            history.switch(at_ms);
        }
        let refused = history.check_switch(DAY_MS - 1).expect_err("the third within 24 hours");
        assert_eq!(refused.kind(), Kind::LimitExceeded);
        assert!(refused.message().ends_with("try again in 1 minutes"), "{refused}");
        history.check_switch(DAY_MS).expect("24 hours after the first");
        history.switch(DAY_MS);
        assert!(history.check_switch(DAY_MS + 999).is_err() && history.check_switch(DAY_MS + 1_000).is_ok());
        assert!(history.check_switch(0).is_err(), "a clock that goes back brings no switches back");
    }

    #[test]
    fn a_peak_counts_for_thirty_days_and_a_switch_forgets_it() {
        let mut history = CapacityHistory::default();
        history.note_peak(5 * DAY_MS, mib(40));
        history.note_peak(6 * DAY_MS, mib(10));
        assert_eq!(history.shards_needed(35 * DAY_MS, Rate::default()), 80);
        assert_eq!(history.shards_needed(36 * DAY_MS, Rate::default()), 20);
        assert_eq!(history.shards_needed(37 * DAY_MS, Rate::default()), 1);
        assert_eq!(history.shards_needed(0, Rate::default()), 80, "the clock went back");
        assert_eq!(history.shards_needed(6 * DAY_MS, mib(50)), 100, "what is not noted yet counts too");
        history.switch(7 * DAY_MS);
        assert_eq!(history.peak(7 * DAY_MS), Rate::default());
    }

    #[test]
    fn records_count_as_bytes_do() {
        let small = Rate { bytes_per_second: 100, records_per_second: 4_001 };
        assert_eq!(small.shards_for_twice(), 9);
        assert_eq!(Rate { bytes_per_second: u64::MAX, records_per_second: 0 }.shards_for_twice(), u32::MAX);
    }

    #[test]
    fn what_asks_for_no_more_shards_is_no_news() {
        let mut history = CapacityHistory::default();
        assert!(!history.is_news(0, mib(2)), "four shards stand anyway");
        assert!(history.is_news(0, mib(3)));
        history.note_peak(0, mib(3));
        assert!(!history.is_news(0, mib(3)));
        assert!(history.is_news(0, mib(4)) && history.is_news(DAY_MS, mib(3)));
    }

    #[test]
    fn warm_throughput_holds_until_it_is_released() {
        let mut history = CapacityHistory::default();
        history.warm(Some(200));
        assert_eq!(history.shards_needed(1 << 50, Rate::default()), 200);
        history.warm(None);
        assert_eq!(history.shards_needed(0, Rate::default()), 1);
        for refused in [0, CapacityHistory::WARM_MIB_MAX + 1, u32::MAX] {
            let error = CapacityHistory::check_warm(Some(refused)).expect_err("out of bounds");
            assert!(error.message().contains(&format!("1 to 10000 MiB/s, or none, got {refused}")), "{error}");
        }
    }

    #[test]
    fn a_history_has_its_golden_bytes_and_comes_back_from_them() {
        let mut history = CapacityHistory::default();
        assert_eq!(serde_json::to_string(&history).expect("JSON"), "{}");
        history.switch(1_000);
        history.warm(Some(8));
        history.note_peak(2 * DAY_MS, mib(3));
        let golden = r#"{"switchedMs":[1000],"warmMibPerSecond":8,"peaks":{"2":{"bytesPerSecond":3145728,"recordsPerSecond":0}}}"#;
        assert_eq!(serde_json::to_string(&history).expect("JSON"), golden);
        assert_eq!(serde_json::from_str::<CapacityHistory>(golden).expect("golden bytes decode"), history);
    }
}
