//! The endpoint over real connections: what each operation answers, what is refused and how, and that nothing that comes
//! over the network ends it.

mod capacity;
mod channels;
mod client;
mod compatibility;
mod door;
mod fanout;
mod limits;
mod mutations;
mod neighbours;
mod phases;
mod policies;
mod queues;
mod quotas;
mod records;
#[path = "../../../millrace-kinesis/tests/mutations/requests.rs"]
mod requests;
mod reshard;
mod settings;
mod stand_in;
mod streams;
mod transport;
