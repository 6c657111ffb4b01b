//! Numbers as the service has them: decimals of up to 38 digits, exact, of magnitudes from 1E-130 below 1E+126.
//!
//! A number is kept without trailing zeros, so that equal numbers are equal values, however they were spelt.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// How many significant digits a number has at most.
pub const DIGITS_MAX: u32 = 38;
/// The largest power of ten by which the first digit of a number counts.
const MAGNITUDE_MAX: i32 = 125;
/// The smallest power of ten by which the first digit of a number counts.
const MAGNITUDE_MIN: i32 = -130;
/// The longest text that is looked at: no number needs more, and zeros in front are none that anybody writes.
const TEXT_BYTES_MAX: usize = 1_024;
/// Up to how many places behind the point a number is written without an exponent.
const PLAIN_PLACES_MAX: usize = 130;

/// An exact decimal: `coefficient × 10^exponent`, with its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    is_negative: bool,
    // Below 10^38, and no multiple of ten but zero itself.
    coefficient: u128,
    exponent: i32,
}

/// Why a text or a result is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// The text does not spell a number.
    Malformed(String),
    /// It takes more than 38 digits.
    TooManyDigits,
    /// Its magnitude is 1E+126 or more.
    Overflow,
    /// It is nearer to zero than 1E-130, and not zero.
    Underflow,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberError::Malformed(text) => {
                write!(f, "The parameter cannot be converted to a numeric value: {text}")
            }
            NumberError::TooManyDigits => {
                f.write_str("Attempting to store more than 38 significant digits in a Number")
            }
            NumberError::Overflow => {
                f.write_str("Number overflow. Attempting to store a number with magnitude larger than supported range")
            }
            NumberError::Underflow => f.write_str(
                "Number underflow. Attempting to store a number with magnitude smaller than supported range",
            ),
        }
    }
}

impl Number {
    /// Zero.
    pub const ZERO: Number = Number { is_negative: false, coefficient: 0, exponent: 0 };

    /// The number of these digits, without trailing zeros and within its bounds.
    fn normalised(is_negative: bool, mut coefficient: u128, mut exponent: i32) -> Result<Number, NumberError> {
        if coefficient == 0 {
            return Ok(Number::ZERO);
        }
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent += 1;
        }
        let digits = coefficient.ilog10() + 1;
        if digits > DIGITS_MAX {
            return Err(NumberError::TooManyDigits);
        }
        let number = Number { is_negative, coefficient, exponent };
        match number.magnitude() {
            magnitude if magnitude > MAGNITUDE_MAX => Err(NumberError::Overflow),
            magnitude if magnitude < MAGNITUDE_MIN => Err(NumberError::Underflow),
            _ => Ok(number),
        }
    }

    fn digits(self) -> i32 {
        self.coefficient.checked_ilog10().map_or(1, |log| i32::try_from(log).unwrap_or(0) + 1)
    }

    /// The power of ten of the first digit.
    fn magnitude(self) -> i32 {
        self.exponent + self.digits() - 1
    }

    /// The sum of both, exactly.
    ///
    /// # Errors
    /// Where it takes more than 38 digits or leaves the range.
    pub fn plus(self, other: Number) -> Result<Number, NumberError> {
        if self.coefficient == 0 {
            return Ok(other);
        }
        if other.coefficient == 0 {
            return Ok(self);
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        // Where the scaled number does not fit, the last digit of the other keeps the sum from being short.
        let distance = u32::try_from(high.exponent - low.exponent).unwrap_or(u32::MAX);
        let scale = 10_u128.checked_pow(distance).ok_or(NumberError::TooManyDigits)?;
        let scaled = high.coefficient.checked_mul(scale).ok_or(NumberError::TooManyDigits)?;
        let (is_negative, coefficient) = if high.is_negative == low.is_negative {
            (high.is_negative, scaled.checked_add(low.coefficient).ok_or(NumberError::TooManyDigits)?)
        } else if scaled >= low.coefficient {
            (high.is_negative, scaled - low.coefficient)
        } else {
            (low.is_negative, low.coefficient - scaled)
        };
        Number::normalised(is_negative, coefficient, low.exponent)
    }

    /// What is left when the other is taken away, exactly.
    ///
    /// # Errors
    /// As for [`Number::plus`].
    pub fn minus(self, other: Number) -> Result<Number, NumberError> {
        self.plus(Number { is_negative: !other.is_negative && other.coefficient != 0, ..other })
    }

    /// How many bytes it counts in an item: one for two digits, and one more.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        usize::try_from(self.digits()).unwrap_or(0).div_ceil(2) + 1
    }

    /// The number as a whole one of 64 bits, where it is one.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        let scale = 10_u128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let value = i128::try_from(self.coefficient.checked_mul(scale)?).ok()?;
        i64::try_from(if self.is_negative { -value } else { value }).ok()
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number::normalised(false, u128::from(value), 0).expect("64 bits are 20 digits")
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Number, NumberError> {
        let malformed = || NumberError::Malformed(text.chars().take(64).collect());
        if text.len() > TEXT_BYTES_MAX {
            return Err(malformed());
        }
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, spelt_exponent(power).ok_or_else(malformed)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !are_digits(whole) || !are_digits(fraction) {
            return Err(malformed());
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.len() > DIGITS_MAX as usize {
            return Err(NumberError::TooManyDigits);
        }
        if significant.is_empty() {
            return Ok(Number::ZERO);
        }
        let trailing = all.len() - all.trim_end_matches('0').len();
        let places = |count: usize| i32::try_from(count).expect("the text is short");
        let exponent = power.saturating_add(places(trailing) - places(fraction.len()));
        Number::normalised(is_negative, significant.parse().expect("up to 38 digits"), exponent)
    }
}

/// The power of ten behind an `E`; one that is out of every range stays out of it.
fn spelt_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.parse().unwrap_or(i32::MAX / 4).min(i32::MAX / 4);
    Some(if text.starts_with('-') { -value } else { value })
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.coefficient.to_string();
        let sign = if self.is_negative { "-" } else { "" };
        if let Ok(zeros) = usize::try_from(self.exponent) {
            return write!(f, "{sign}{digits}{}", "0".repeat(zeros));
        }
        let places = usize::try_from(self.exponent.unsigned_abs()).unwrap_or(usize::MAX);
        match digits.len().checked_sub(places) {
            Some(whole) if whole > 0 => write!(f, "{sign}{}.{}", &digits[..whole], &digits[whole..]),
            _ if places <= PLAIN_PLACES_MAX => write!(f, "{sign}0.{digits:0>places$}"),
            _ => write!(f, "{sign}{digits}E-{places}"),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.cmp_magnitude(*other),
            (true, true) => other.cmp_magnitude(*self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Number {
    /// Compares without the signs.
    fn cmp_magnitude(self, other: Number) -> Ordering {
        let zeros = (self.coefficient == 0).cmp(&(other.coefficient == 0)).reverse();
        if zeros != Ordering::Equal || self.coefficient == 0 {
            return zeros;
        }
        self.magnitude().cmp(&other.magnitude()).then_with(|| {
            // Of one magnitude, the digits decide, written out to the same length.
            let scaled = |number: Number| {
                let missing = u32::try_from(38 - number.digits()).unwrap_or(0);
                number.coefficient * 10_u128.pow(missing)
            };
            scaled(self).cmp(&scaled(other))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        text.parse().expect(text)
    }

    #[test]
    fn numbers_are_written_as_the_service_writes_them() {
        let cases = [
            ("0", "0"),
            ("-0", "0"),
            ("00012", "12"),
            ("1.50", "1.5"),
            ("-1.50E2", "-150"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("12e-1", "1.2"),
            ("1E-3", "0.001"),
            ("+7", "7"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ];
        for (spelt, written) in cases {
            assert_eq!(number(spelt).to_string(), written, "{spelt}");
        }
        assert_eq!(number("1E125").to_string().len(), 126);
    }

    #[test]
    fn what_is_no_number_is_refused_with_the_reason() {
        for text in ["", "-", "+", ".", "1e", "1e+", "abc", "1.2.3", "0x1", "1 ", "NaN", "Infinity", "--1"] {
            assert!(matches!(text.parse::<Number>(), Err(NumberError::Malformed(_))), "{text}");
        }
        assert_eq!("1E126".parse::<Number>(), Err(NumberError::Overflow));
        assert_eq!("1E999999999999999".parse::<Number>(), Err(NumberError::Overflow));
        assert_eq!("1E-131".parse::<Number>(), Err(NumberError::Underflow));
        assert_eq!("123456789012345678901234567890123456789".parse::<Number>(), Err(NumberError::TooManyDigits));
        assert_eq!("0E999999999999".parse::<Number>(), Ok(Number::ZERO));
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let sum = |a: &str, b: &str| number(a).plus(number(b)).map(|sum| sum.to_string());
        assert_eq!(sum("0.1", "0.2"), Ok("0.3".to_owned()));
        assert_eq!(sum("1E38", "-1"), Ok("9".repeat(38)));
        assert_eq!(sum("1E38", "1"), Err(NumberError::TooManyDigits));
        assert_eq!(sum("1E125", "1E-130"), Err(NumberError::TooManyDigits));
        assert_eq!(sum("9.99E125", "9E125"), Err(NumberError::Overflow));
        assert_eq!(sum("5", "-5"), Ok("0".to_owned()));
        assert_eq!(number("3").minus(number("5")), Ok(number("-2")));
        assert_eq!(number("3").minus(Number::ZERO), Ok(number("3")));
    }

    proptest! {
        #[test]
        fn numbers_come_back_from_their_text(digits in 0_u128..10_u128.pow(38), exponent in -130..88_i32, minus: bool) {
            let text = format!("{}{digits}E{exponent}", if minus { "-" } else { "" });
            if let Ok(number) = text.parse::<Number>() {
                prop_assert_eq!(number.to_string().parse::<Number>(), Ok(number));
            }
        }

        #[test]
        fn numbers_are_ordered_and_added_as_integers_are(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, scale in 0..4_u32) {
            let spelt = |value: i64| number(&format!("{value}E-{scale}"));
            prop_assert_eq!(spelt(a).cmp(&spelt(b)), a.cmp(&b));
            prop_assert_eq!(spelt(a).plus(spelt(b)), Ok(spelt(a + b)));
            prop_assert_eq!(spelt(a).minus(spelt(b)), Ok(spelt(a - b)));
            prop_assert_eq!(number(&a.to_string()).as_i64(), Some(a));
        }
    }
}
