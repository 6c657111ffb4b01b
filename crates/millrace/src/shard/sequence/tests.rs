use proptest::prelude::*;

use super::*;

fn codec(created_s: u64, stream_id: u64) -> SequenceCodec {
    SequenceCodec::new(created_s, stream_id).expect("fields in range")
}

/// Numbers that were given by an independent implementation with big integers. They are stored in checkpoints of
/// other systems: they must never change.
const GOLDEN: [(u64, u64, u32, u64, &str); 6] = [
    (1_700_000_000, 7, 3, 42, "49521131618406377614412876484864007814367007187377586224"),
    (0, 0, 0, 0, "49518762164229033735704088314794365495680507885557645312"),
    (1, 1, 1, 1, "49518762164230427532278996478740787035936274391194664976"),
    (
        1_767_225_600,
        0xfe_dcba_9876,
        9_999,
        0x0123_4567_89ab_cdef,
        "49521225317217409955330511997618929016773816031601914096",
    ),
    (1_700_000_000, 7, 3, 1 << 52, "49521131618406377954695243405799297847465126217562193968"),
    (CREATED_S_MAX, STREAM_ID_MAX, u32::MAX, u64::MAX, "49566652649881092762527786659392812657668593483125882864"),
];

#[test]
fn golden_numbers_are_written_and_read_back() {
    for (created_s, stream_id, shard, sequence, text) in GOLDEN {
        let codec = codec(created_s, stream_id);
        let place = (ShardId(shard), SequenceNumber(sequence));
        assert_eq!(codec.encode(place.0, place.1), text);
        assert_eq!(codec.decode(text).expect("its own number"), place);
    }
}

#[test]
fn the_largest_number_still_begins_495() {
    let largest = codec(CREATED_S_MAX, STREAM_ID_MAX).encode(ShardId(u32::MAX), SequenceNumber(u64::MAX));
    assert!(largest.starts_with("495"), "{largest}");
}

#[test]
fn fields_out_of_range_are_refused() {
    for (created_s, stream_id) in [(CREATED_S_MAX + 1, 0), (0, STREAM_ID_MAX + 1)] {
        let error = SequenceCodec::new(created_s, stream_id).expect_err("out of range");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
}

fn refusal(text: &str) -> String {
    let error = codec(1_700_000_000, 7).decode(text).expect_err(text);
    assert_eq!(error.kind(), Kind::SequenceInvalid);
    error.message().to_owned()
}

#[test]
fn text_that_is_not_56_digits_is_refused() {
    let digits = GOLDEN[0].4;
    let with_first = |first: &str| format!("{first}{}", &digits[first.len()..]);
    let malformed = [
        "",
        "0",
        &digits[1..],
        &format!("0{digits}"),
        &with_first("+"),
        &with_first(" "),
        &with_first("٤"),
        &"9".repeat(10_000),
    ];
    for text in malformed {
        let message = refusal(text);
        assert!(message.starts_with("expected 56 decimal digits, got "), "{message}");
        assert!(message.len() < 300, "a message does not repeat endless input");
    }
}

#[test]
fn numbers_with_another_beginning_are_refused() {
    let others = [
        &"0".repeat(56),
        &"9".repeat(56),
        // One below the smallest and one above the largest number of Millrace.
        "49518762164229033735704088314794365495680507885557645311",
        "49566652649881092762527786659392812657668593483125882880",
        // A number that Kinesis itself gave, from the AWS command line's reference.
        "49600871682957036442365024926191073437251060580128653314",
    ];
    for text in others {
        assert!(refusal(text).starts_with("expected a sequence number that was given by Millrace"));
    }
}

#[test]
fn numbers_of_a_later_layout_are_refused() {
    let message = refusal("49521131618406377614412876484864007814367007187377586229");
    assert!(message.starts_with("expected a sequence number of version 0, got version 5"), "{message}");
}

#[test]
fn numbers_of_another_stream_name_it() {
    for (created_s, stream_id) in [(1_700_000_001, 7), (1_700_000_000, 8)] {
        let foreign = codec(created_s, stream_id).encode(ShardId(3), SequenceNumber(42));
        let message = refusal(&foreign);
        let other = format!("is of another stream: it was created at {created_s} s, stream id {stream_id}");
        assert!(message.ends_with(&other), "{message}");
    }
}

#[test]
fn numbers_of_another_shard_name_both() {
    let codec = codec(1_700_000_000, 7);
    let text = codec.encode(ShardId(3), SequenceNumber(42));
    assert_eq!(codec.decode_for_shard(&text, ShardId(3)).expect("its own shard"), SequenceNumber(42));
    let error = codec.decode_for_shard(&text, ShardId(0)).expect_err("another shard");
    assert_eq!(error.kind(), Kind::SequenceInvalid);
    assert_eq!(error.message(), "Invalid sequence number. It encodes shardId-000000000003, not shardId-000000000000");
}

fn any_codec() -> impl Strategy<Value = SequenceCodec> {
    (0..=CREATED_S_MAX, 0..=STREAM_ID_MAX).prop_map(|(created_s, stream_id)| codec(created_s, stream_id))
}

/// Sequences of all sizes: those of real streams are small.
fn any_sequence() -> impl Strategy<Value = SequenceNumber> {
    (any::<u64>(), 0..64_u32).prop_map(|(sequence, shift)| SequenceNumber(sequence >> shift))
}

proptest! {
    #[test]
    fn numbers_are_read_back_as_they_were_given(codec in any_codec(), shard: u32, sequence in any_sequence()) {
        let text = codec.encode(ShardId(shard), sequence);
        prop_assert_eq!(text.len(), 56);
        prop_assert!(text.starts_with("495"));
        prop_assert_eq!(codec.decode(&text).expect("its own number"), (ShardId(shard), sequence));
        let mut digits = [0; SEQUENCE_DIGITS];
        codec.write_into(ShardId(shard), sequence, &mut digits);
        prop_assert_eq!(text.as_bytes(), digits);
    }

    #[test]
    fn numbers_of_one_shard_are_ordered_as_their_sequences(
        codec in any_codec(), shard: u32, first in any_sequence(), second in any_sequence(),
    ) {
        // Texts of equal length compare as the integers they spell.
        let texts = [first, second].map(|sequence| codec.encode(ShardId(shard), sequence));
        prop_assert_eq!(texts[0].cmp(&texts[1]), first.cmp(&second));
    }

    #[test]
    fn any_56_digits_are_read_and_written_without_loss(text in "[0-9]{56}") {
        let mut digits = [0; SEQUENCE_DIGITS];
        parse(&text).expect("56 digits").write_digits(&mut digits);
        prop_assert_eq!(text.as_bytes(), digits);
    }

    #[test]
    fn one_changed_digit_is_never_the_same_place(
        codec in any_codec(), shard: u32, sequence in any_sequence(), at in 0..SEQUENCE_DIGITS, digit in 0..10_u8,
    ) {
        let text = codec.encode(ShardId(shard), sequence);
        let mut changed = text.clone().into_bytes();
        changed[at] = b'0' + digit;
        let changed = String::from_utf8(changed).expect("digits");
        prop_assume!(changed != text);
        prop_assert_ne!(codec.decode(&changed).ok(), Some((ShardId(shard), sequence)));
    }
}
