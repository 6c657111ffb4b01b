//! The records of a run's payload.
//!
//! Holds: each record lies in the payload right behind the one before, a walk from the middle sees the same records,
//! and what is written comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::format::record::{RECORD_HEADER_BYTES, RecordHeader, Records, write_record};
use millrace_fuzz::{Source, bounded};

fuzz_target!(|input: &[u8]| {
    bounded(0, 0, || walk(input));
    round_trip(input);
});

fn walk(payload: &[u8]) {
    let mut records = Records::new(payload);
    let mut count = 0;
    loop {
        let start = records.offset();
        let Some(record) = records.next() else { break };
        let header = RecordHeader::decode(&payload[start..]).expect("a record has a header");
        assert_eq!(header.encode(), payload[start..start + RECORD_HEADER_BYTES]);
        let key_start = start + RECORD_HEADER_BYTES;
        assert_eq!(record.key, &payload[key_start..key_start + record.key.len()]);
        assert_eq!(record.data_offset, key_start + record.key.len());
        let end = record.data_offset + record.data.len();
        assert_eq!(record.data, &payload[record.data_offset..end]);
        assert_eq!((records.offset(), header.record_bytes()), (end, end - start));
        assert_eq!(Records::from_offset(payload, start).next(), Some(record), "a walk from the middle");
        count += 1;
    }
    assert!(count * RECORD_HEADER_BYTES <= payload.len() && records.next().is_none());
    assert!(Records::from_offset(payload, payload.len() + 1).next().is_none());
}

fn round_trip(input: &[u8]) {
    let mut source = Source::new(input);
    let mut payload = Vec::new();
    let mut expected = Vec::new();
    while !source.is_empty() {
        let key = String::from_utf8_lossy(source.bytes(300)).into_owned();
        let data = source.bytes(100);
        write_record(&mut payload, &key, data);
        expected.push((key.into_bytes(), data.to_vec()));
    }
    let decoded: Vec<_> = Records::new(&payload).map(|record| (record.key.to_vec(), record.data.to_vec())).collect();
    assert_eq!(decoded, expected);
}
