//! Moments as the service's headers and messages spell them. Where a moment comes from is the caller's matter.

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// The first of January 1970 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A moment in UTC, apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Utc {
    year: i64,
    month: i64,
    day: i64,
    weekday: i64,
    second_of_day: i64,
}

impl Utc {
    /// By Howard Hinnant's algorithm, which counts years from March so that the leap day comes last.
    fn of(ms: i64) -> Utc {
        let days = ms.div_euclid(DAY_MS);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Utc { year, month, day, weekday: days.rem_euclid(7), second_of_day: ms.rem_euclid(DAY_MS) / 1_000 }
    }

    fn clock(self) -> (i64, i64, i64) {
        (self.second_of_day / 3_600, self.second_of_day / 60 % 60, self.second_of_day % 60)
    }
}

/// A moment as signatures spell it: `20150830T123600Z`.
pub(crate) fn basic_iso(ms: i64) -> String {
    let utc = Utc::of(ms);
    let (hour, minute, second) = utc.clock();
    format!("{:04}{:02}{:02}T{hour:02}{minute:02}{second:02}Z", utc.year, utc.month, utc.day)
}

/// The moment that a text such as `20150830T123600Z` spells, in milliseconds since 1970.
#[must_use]
pub fn parse_basic_iso(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shape = |index: usize| match index {
        8 => bytes[index] == b'T',
        15 => bytes[index] == b'Z',
        _ => bytes[index].is_ascii_digit(),
    };
    if bytes.len() != 16 || !(0..16).all(shape) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    in_range.then(|| (days_of(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000)
}

fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A moment as messages spell it: `Thu Jan 22 01:22:02 UTC 2015`.
pub(crate) fn in_words(ms: i64) -> String {
    let utc = Utc::of(ms);
    let (hour, minute, second) = utc.clock();
    let name = |names: &[&'static str], index: i64| usize::try_from(index).ok().and_then(|at| names.get(at).copied());
    let weekday = name(&WEEKDAYS, utc.weekday).unwrap_or_default();
    let month = name(&MONTHS, utc.month - 1).unwrap_or_default();
    format!("{weekday} {month} {:02} {hour:02}:{minute:02}:{second:02} UTC {}", utc.day, utc.year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spelt_as_the_service_does() {
        let ms = 1_421_889_722_000;
        assert_eq!(in_words(ms), "Thu Jan 22 01:22:02 UTC 2015");
        assert_eq!(basic_iso(ms), "20150122T012202Z");
        assert_eq!(basic_iso(951_782_400_000), "20000229T000000Z");
        assert_eq!(in_words(0), "Thu Jan 01 00:00:00 UTC 1970");
    }

    #[test]
    fn what_was_spelt_is_read_back_and_nothing_else_is() {
        for day in (-100_000..200_000).step_by(97) {
            let ms = day * DAY_MS + 45_296_000;
            if (0..10_000).contains(&Utc::of(ms).year) {
                assert_eq!(parse_basic_iso(&basic_iso(ms)), Some(ms));
            }
        }
        for text in
            ["", "20150122T012202", "20151322T012202Z", "20150122T252202Z", "2015-122T012202Z", "é0150122T01220Z"]
        {
            assert_eq!(parse_basic_iso(text), None, "{text}");
        }
    }
}
