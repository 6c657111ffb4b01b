//! What the documentation says of each operation is what the server does.

use std::collections::HashMap;

use millrace_kinesis::Schema;
use serde_json::json;

use super::client::Endpoint;
use super::requests::{Dice, request};

const PAGE: &str = include_str!("../../../../docs/compatibility.md");

/// Whether the page says that an operation is there.
fn documented() -> HashMap<&'static str, bool> {
    let rows = PAGE.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (name, state) = (cells.next()?, cells.next()?);
        Schema::get().operation(name).map(|_| (name, state == "yes"))
    });
    rows.collect()
}

#[test]
fn the_page_tells_of_every_operation_and_tells_the_truth() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let documented = documented();
    for operation in Schema::get().operations() {
        let is_documented = *documented.get(operation.name).unwrap_or_else(|| unreachable!("{}", operation.name));
        // A request that the model finds valid, so that it comes as far as the operation.
        let refusals = (0..40).map(|seed| {
            let mut dice = Dice::new(seed);
            endpoint.ask(operation.name, request(operation, &mut dice)).text()
        });
        let is_missing = refusals.into_iter().any(|text| text.contains("Millrace does not support"));
        assert_eq!(is_documented, !is_missing, "{}", operation.name);
    }
    assert_eq!(endpoint.ask("ListStreams", json!({})).status, 200);
    endpoint.stop();
}
