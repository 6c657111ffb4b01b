//! Shard iterators and page tokens that a caller brings.
//!
//! Holds: a token that was given out comes back as it was, for as long as it lives; one that was changed anywhere, or made
//! up, is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_fuzz::{Source, bounded, flip};
use millrace_kinesis::{ErrorName, IteratorPosition, PageToken, ShardIterator, TOKEN_LIFE_MS, TokenKey};

const NOW_MS: i64 = 1_700_000_000_000;
const OPERATION: &str = "ListShards";

fuzz_target!(|input: &[u8]| {
    let key = TokenKey::new([7; 32]);
    let text = String::from_utf8_lossy(input);
    assert!(bounded(input.len(), 8, || ShardIterator::open(&key, &text, NOW_MS)).is_err(), "nobody made this");
    assert!(bounded(input.len(), 8, || PageToken::open(&key, OPERATION, &text, NOW_MS)).is_err(), "nobody made this");

    let mut source = Source::new(input);
    let name = |source: &mut Source<'_>| -> String {
        source.bytes(128).iter().map(|byte| char::from(b'a' + byte % 26)).collect()
    };
    let position = match source.below(3) {
        0 => IteratorPosition::TrimHorizon,
        1 => IteratorPosition::Sequence(source.number(0)),
        _ => IteratorPosition::Timestamp(source.number(0)),
    };
    let (stream, stream_id, shard) = (name(&mut source), source.u64(), source.u32());
    let iterator = ShardIterator { stream, stream_id, shard, position, issued_ms: NOW_MS };
    let sealed = iterator.seal(&key);
    assert_eq!(ShardIterator::open(&key, &sealed, NOW_MS + TOKEN_LIFE_MS).as_ref(), Ok(&iterator));
    let late = ShardIterator::open(&key, &sealed, NOW_MS + TOKEN_LIFE_MS + 1).expect_err("it is too old");
    assert_eq!(late.name, ErrorName::ExpiredIterator);

    let stream = (name(&mut source), source.u64());
    let page = PageToken { operation: OPERATION.to_owned(), stream, after: name(&mut source), issued_ms: NOW_MS };
    let sealed_page = page.seal(&key);
    assert_eq!(PageToken::open(&key, OPERATION, &sealed_page, NOW_MS).as_ref(), Ok(&page));

    let mut forged = sealed.into_bytes();
    flip(&mut forged, source.u32());
    let forged = String::from_utf8_lossy(&forged);
    assert_ne!(ShardIterator::open(&key, &forged, NOW_MS).ok(), Some(iterator), "a token that was changed");
});
