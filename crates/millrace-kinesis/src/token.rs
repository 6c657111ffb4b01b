//! Opaque tokens: shard iterators and the tokens of paginated lists.
//!
//! ```text
//! base64( | kind (1) | issued (8) | body | tag (16) | )
//! ```
//! The tag is the first half of an HMAC-SHA-256 over all before it, with a key that the store keeps: nobody without it
//! can make a token, one kind is never taken for another, and tokens outlive a restart. They expire after 300 seconds.
//! Numbers are little endian.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{ErrorName, ServiceError};
use crate::time::in_words;

/// How long a token can be used, in milliseconds.
pub const TOKEN_LIFE_MS: i64 = 300_000;
/// The longest token, in characters: what the model allows for a shard iterator.
pub const TOKEN_CHARACTERS_MAX: usize = 512;
const TAG_BYTES: usize = 16;
const ITERATOR: u8 = 1;
const PAGE: u8 = 2;

/// The key with which a store's tokens are made.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

/// Where in its shard a shard iterator points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IteratorPosition {
    /// At the oldest record that is kept.
    TrimHorizon,
    /// At the record of this sequence within the stream, or the next one that there is.
    Sequence(u64),
    /// At the first record that arrived at or after this time, in milliseconds since 1970.
    Timestamp(u64),
}

/// A shard iterator.
///
/// ```
/// use millrace_kinesis::{IteratorPosition, ShardIterator, TokenKey};
/// let key = TokenKey::new([7; 32]);
/// let iterator = ShardIterator {
///     stream: "clicks".to_owned(),
///     stream_id: 3,
///     shard: 0,
///     position: IteratorPosition::Sequence(42),
///     issued_ms: 1_700_000_000_000,
/// };
/// let text = iterator.seal(&key);
/// assert_eq!(ShardIterator::open(&key, &text, 1_700_000_300_000)?, iterator);
/// assert!(ShardIterator::open(&key, &text, 1_700_000_300_001).is_err());
/// assert!(ShardIterator::open(&TokenKey::new([8; 32]), &text, 1_700_000_000_000).is_err());
/// # Ok::<(), millrace_kinesis::ServiceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIterator {
    /// The stream's name, at most 128 bytes.
    pub stream: String,
    /// The stream's number: another stream of the same name has another one.
    pub stream_id: u64,
    /// The shard's number.
    pub shard: u32,
    /// Where it points.
    pub position: IteratorPosition,
    /// When it was made, in milliseconds since 1970.
    pub issued_ms: i64,
}

/// Where a paginated list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The operation that it belongs to.
    pub operation: String,
    /// The stream whose things are listed: its name and number; empty and 0 where it is none.
    pub stream: (String, u64),
    /// The last thing that was listed.
    pub after: String,
    /// When it was made, in milliseconds since 1970.
    pub issued_ms: i64,
}

impl TokenKey {
    /// The key of these bytes, which nobody can foresee.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> TokenKey {
        TokenKey(bytes)
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::new_from_slice(&self.0).expect("a key of any length is one");
        mac.chain_update(bytes)
    }

    fn seal(&self, kind: u8, issued_ms: i64, body: &[u8]) -> String {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&issued_ms.to_le_bytes());
        bytes.extend_from_slice(body);
        let tag = self.mac(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG_BYTES]);
        STANDARD.encode(bytes)
    }

    /// When a token was made, and its body; `None` where it is none of this kind and key.
    fn open(&self, kind: u8, text: &str) -> Option<(i64, Vec<u8>)> {
        if text.len() > TOKEN_CHARACTERS_MAX {
            return None;
        }
        let bytes = STANDARD.decode(text).ok()?;
        let (bytes, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        self.mac(bytes).verify_truncated_left(tag).ok()?;
        let mut fields = Fields(bytes);
        let (found, issued_ms) = (fields.array::<1>()?[0], i64::from_le_bytes(fields.array()?));
        (found == kind).then(|| (issued_ms, fields.0.to_vec()))
    }
}

impl ShardIterator {
    /// The iterator as the caller gets it.
    #[must_use]
    pub fn seal(&self, key: &TokenKey) -> String {
        let (tag, number) = match self.position {
            IteratorPosition::TrimHorizon => (0, 0),
            IteratorPosition::Sequence(sequence) => (1, sequence),
            IteratorPosition::Timestamp(ms) => (2, ms),
        };
        let mut body = Vec::with_capacity(21 + self.stream.len());
        body.extend_from_slice(&self.stream_id.to_le_bytes());
        body.extend_from_slice(&self.shard.to_le_bytes());
        body.push(tag);
        body.extend_from_slice(&number.to_le_bytes());
        body.extend_from_slice(self.stream.as_bytes());
        key.seal(ITERATOR, self.issued_ms, &body)
    }

    /// The iterator that a caller brings, who may have put it in quotes.
    ///
    /// # Errors
    /// `InvalidArgumentException` where it is none of this store, `ExpiredIteratorException` where it is too old.
    pub fn open(key: &TokenKey, text: &str, now_ms: i64) -> Result<ShardIterator, ServiceError> {
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let opened = key.open(ITERATOR, bare).and_then(|(issued_ms, body)| ShardIterator::read(issued_ms, &body));
        let iterator = opened.ok_or_else(|| ServiceError::new(ErrorName::InvalidArgument, "Invalid ShardIterator."))?;
        if now_ms.saturating_sub(iterator.issued_ms) > TOKEN_LIFE_MS {
            let message = expired("Iterator", "iterator", iterator.issued_ms, now_ms);
            return Err(ServiceError::new(ErrorName::ExpiredIterator, message));
        }
        Ok(iterator)
    }

    fn read(issued_ms: i64, body: &[u8]) -> Option<ShardIterator> {
        let mut fields = Fields(body);
        let stream_id = u64::from_le_bytes(fields.array()?);
        let shard = u32::from_le_bytes(fields.array()?);
        let (tag, number) = (fields.array::<1>()?[0], u64::from_le_bytes(fields.array()?));
        let position = match (tag, number) {
            (0, 0) => IteratorPosition::TrimHorizon,
            (1, sequence) => IteratorPosition::Sequence(sequence),
            (2, ms) => IteratorPosition::Timestamp(ms),
            _ => return None,
        };
        Some(ShardIterator { stream: fields.rest()?, stream_id, shard, position, issued_ms })
    }
}

impl PageToken {
    /// The token as the caller gets it.
    #[must_use]
    pub fn seal(&self, key: &TokenKey) -> String {
        let mut body = self.stream.1.to_le_bytes().to_vec();
        for text in [&self.operation, &self.stream.0] {
            // Names of operations and streams are far shorter.
            let (length, text) = u8::try_from(text.len()).map_or((0, ""), |length| (length, text.as_str()));
            body.push(length);
            body.extend_from_slice(text.as_bytes());
        }
        body.extend_from_slice(self.after.as_bytes());
        key.seal(PAGE, self.issued_ms, &body)
    }

    /// The token that a caller brings to an operation.
    ///
    /// # Errors
    /// `InvalidArgumentException` where it is none of this operation and store, `ExpiredNextTokenException` where it is
    /// too old.
    pub fn open(key: &TokenKey, operation: &str, text: &str, now_ms: i64) -> Result<PageToken, ServiceError> {
        let opened = key.open(PAGE, text).and_then(|(issued_ms, body)| PageToken::read(issued_ms, &body));
        let token = opened
            .filter(|token| token.operation == operation)
            .ok_or_else(|| ServiceError::new(ErrorName::InvalidArgument, "Invalid NextToken."))?;
        if now_ms.saturating_sub(token.issued_ms) > TOKEN_LIFE_MS {
            let message = expired("NextToken", "token", token.issued_ms, now_ms);
            return Err(ServiceError::new(ErrorName::ExpiredNextToken, message));
        }
        Ok(token)
    }

    fn read(issued_ms: i64, body: &[u8]) -> Option<PageToken> {
        let mut fields = Fields(body);
        let stream_id = u64::from_le_bytes(fields.array()?);
        let (operation, stream) = (fields.text()?, fields.text()?);
        Some(PageToken { operation, stream: (stream, stream_id), after: fields.rest()?, issued_ms })
    }
}

fn expired(what: &str, thing: &str, issued_ms: i64, now_ms: i64) -> String {
    format!(
        "{what} expired. The {thing} was created at time {} while right now it is {} which is further in the future than \
         the tolerated delay of {TOKEN_LIFE_MS} milliseconds.",
        in_words(issued_ms),
        in_words(now_ms)
    )
}

/// Reads fields from the start of bytes.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.array::<1>()?[0]);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn rest(self) -> Option<String> {
        String::from_utf8(self.0.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_421_889_722_000;

    fn key() -> TokenKey {
        TokenKey::new([7; 32])
    }

    fn iterator() -> ShardIterator {
        ShardIterator {
            stream: "n".repeat(128),
            stream_id: u64::MAX,
            shard: u32::MAX,
            position: IteratorPosition::Timestamp(u64::MAX),
            issued_ms: NOW,
        }
    }

    fn page() -> PageToken {
        PageToken {
            operation: "ListStreamConsumers".to_owned(),
            stream: ("n".repeat(128), 7),
            after: "c".repeat(128),
            issued_ms: NOW,
        }
    }

    #[test]
    fn the_longest_tokens_keep_to_the_limit_and_come_back() {
        let (iterator, page) = (iterator(), page());
        let (text, token) = (iterator.seal(&key()), page.seal(&key()));
        assert!(text.len() <= TOKEN_CHARACTERS_MAX && token.len() <= TOKEN_CHARACTERS_MAX);
        assert_eq!(ShardIterator::open(&key(), &text, NOW), Ok(iterator.clone()));
        assert_eq!(ShardIterator::open(&key(), &format!("\"{text}\""), NOW), Ok(iterator));
        assert_eq!(PageToken::open(&key(), "ListStreamConsumers", &token, NOW), Ok(page));
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let bytes = STANDARD.decode(iterator().seal(&key())).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let error = ShardIterator::open(&key(), &STANDARD.encode(forged), NOW).expect_err("a forged iterator");
            assert_eq!(error.message.as_deref(), Some("Invalid ShardIterator."), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(ShardIterator::open(&key(), &STANDARD.encode(&bytes[..length]), NOW).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_token_is_of_one_kind_and_one_operation() {
        let error = ShardIterator::open(&key(), &page().seal(&key()), NOW).expect_err("a page token");
        assert_eq!(error.name, ErrorName::InvalidArgument);
        assert!(PageToken::open(&key(), "ListStreamConsumers", &iterator().seal(&key()), NOW).is_err());
        let error = PageToken::open(&key(), "ListShards", &page().seal(&key()), NOW).expect_err("another operation's");
        assert_eq!(error.message.as_deref(), Some("Invalid NextToken."));
    }

    #[test]
    fn an_old_iterator_is_refused_in_the_recorded_words() {
        let text = iterator().seal(&key());
        let error = ShardIterator::open(&key(), &text, NOW + 301_000).expect_err("an old iterator");
        assert_eq!(error.name, ErrorName::ExpiredIterator);
        assert_eq!(
            error.message.as_deref(),
            Some(
                "Iterator expired. The iterator was created at time Thu Jan 22 01:22:02 UTC 2015 while right now it is Thu \
                 Jan 22 01:27:03 UTC 2015 which is further in the future than the tolerated delay of 300000 milliseconds."
            )
        );
        let error = PageToken::open(&key(), "ListStreamConsumers", &page().seal(&key()), NOW + 300_001);
        assert_eq!(error.expect_err("an old token").name, ErrorName::ExpiredNextToken);
    }
}
