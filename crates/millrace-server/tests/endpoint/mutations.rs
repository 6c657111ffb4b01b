//! Whatever is asked of any operation: an answer, or an error that the model or the protocol names. Never a failure of
//! the server.

use std::io::{Read, Write};
use std::net::TcpStream;

use millrace_kinesis::Schema;
use serde_json::json;

use super::client::{Ask, Endpoint};
use super::requests::{Dice, broken, cbor, request};

const SEEDS: u64 = 16;
/// What any operation may answer with, beside what the model names for it.
const COMMON: [&str; 3] = ["SerializationException", "ValidationException", "InvalidArgumentException"];

#[test]
fn every_operation_answers_or_refuses_whatever_it_is_asked() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 2);
    let (mut answered, mut refused) = (0, 0);
    for operation in Schema::get().operations() {
        for seed in 0..SEEDS {
            let mut dice = Dice::new(seed + 1_000);
            let mut document = request(operation, &mut dice);
            if dice.one_in(2) {
                document = broken(document, &mut dice);
            }
            let ask = if dice.one_in(3) {
                let mut body = Vec::new();
                cbor(&document, &mut dice, &mut body);
                Ask::encoded(operation.name, "application/x-amz-cbor-1.1", body)
            } else {
                Ask::operation(operation.name, &document)
            };
            let reply = endpoint.send(&ask);
            let which = format!("{} with seed {seed}: {document}", operation.name);
            match (reply.status, reply.header("x-amzn-errortype")) {
                (200, None) => answered += 1,
                (400, Some(name)) => {
                    assert!(COMMON.contains(&name) || operation.errors.contains(&name), "{which}: {name}");
                    refused += 1;
                }
                other => unreachable!("{which}: {other:?} {}", reply.text()),
            }
        }
    }
    assert!(answered > 20 && refused > 300, "{answered} {refused}");
    assert_eq!(endpoint.ask("ListStreams", json!({})).status, 200, "the server is still there");
    endpoint.stop();
}

#[test]
fn bytes_that_are_no_http_end_their_connection_and_nothing_else() {
    let endpoint = Endpoint::start();
    let mut dice = Dice::new(7);
    for length in 0..64_usize {
        let mut bytes: Vec<u8> = (0..length * 7).map(|_| dice.below(256).to_le_bytes()[0]).collect();
        if dice.one_in(2) {
            // The preface of HTTP/2, with frames that are none behind it.
            bytes.splice(0..0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".iter().copied());
        }
        let mut stream = TcpStream::connect(endpoint.address()).expect("a connection");
        let _may_be_refused = stream.write_all(&bytes);
        let _may_be_gone = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _may_be_reset = stream.read_to_end(&mut answer);
    }
    assert_eq!(endpoint.ask("ListStreams", json!({})).status, 200, "the server is still there");
    endpoint.stop();
}
