//! How old what is read is: the largest age of the last half to whole minute, of a shard and of the stream.

/// How long an age counts at least, in seconds.
const HALF_SECONDS: u64 = 30;

/// The largest of the ages that came lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Age {
    half: u64,
    present_ms: u64,
    previous_ms: u64,
}

impl Age {
    /// Records of this age were read in this second of a monotonic clock.
    pub fn record(&mut self, age_ms: u64, second: u64) {
        let half = second / HALF_SECONDS;
        if half > self.half {
            self.previous_ms = if half == self.half + 1 { self.present_ms } else { 0 };
            self.present_ms = 0;
            self.half = half;
        }
        self.present_ms = self.present_ms.max(age_ms);
    }

    /// The largest, seen in this second, in milliseconds.
    #[must_use]
    pub fn read(&self, second: u64) -> u64 {
        match (second / HALF_SECONDS).saturating_sub(self.half) {
            0 => self.present_ms.max(self.previous_ms),
            1 => self.present_ms,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_age_counts_for_half_a_minute_and_for_a_minute_at_most() {
        let mut age = Age::default();
        age.record(500, 10);
        age.record(20, 29);
        assert_eq!((age.read(29), age.read(59), age.read(60)), (500, 500, 0));
        age.record(30, 31);
        assert_eq!((age.read(31), age.read(60), age.read(89), age.read(90)), (500, 30, 30, 0));
        age.record(1, 200);
        assert_eq!(age.read(200), 1);
    }
}
