//! Receipts: what a consumer shows to acknowledge, hide or restore a record that it was handed.
//!
//! A receipt names queue and record and proves itself with 64 bits that nobody can foresee, made anew for each delivery.
//! The bits are compared with what the queue has noted, so that a receipt ends with its delivery, and none can be made
//! up. Outside it is 48 hexadecimal digits; whoever has one should not look into it.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// A delivery of a record by a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The queue's id.
    pub(super) queue: u64,
    /// The record.
    pub(super) sequence: u64,
    pub(super) nonce: u64,
}

const DIGITS: usize = 48;

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}{:016x}", self.queue, self.sequence, self.nonce)
    }
}

impl FromStr for Receipt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Receipt> {
        parse(text).ok_or_else(|| {
            let message = format!(
                "expected a receipt as a queue gave it, {DIGITS} hexadecimal digits, got {:?}",
                text.chars().take(64).collect::<String>()
            );
            Error::new(Kind::ReceiptInvalid, message)
        })
    }
}

fn parse(text: &str) -> Option<Receipt> {
    let is_one = text.len() == DIGITS && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let word = |index: usize| u64::from_str_radix(text.get(16 * index..16 * index + 16)?, 16).ok();
    if is_one { Some(Receipt { queue: word(0)?, sequence: word(1)?, nonce: word(2)? }) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_receipt_comes_back_from_its_text(queue: u64, sequence: u64, nonce: u64) {
            let receipt = Receipt { queue, sequence, nonce };
            prop_assert_eq!(receipt.to_string().parse::<Receipt>().expect("a receipt's own text"), receipt);
        }

        #[test]
        fn no_other_text_is_one(text in "\\PC{0,60}|[0-9a-fA-F+]{48}") {
            match text.parse::<Receipt>() {
                Ok(receipt) => prop_assert_eq!(receipt.to_string(), text),
                Err(error) => prop_assert_eq!(error.kind(), Kind::ReceiptInvalid),
            }
        }
    }
}
