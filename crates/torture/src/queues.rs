//! What was told of a stream's queue, and what must be true of it because of it: once nobody hides them any more, it hands
//! out each record of the stream that was not acknowledged, and none that was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use millrace::{
    Commit, DeadLetters, Durability, Error, Kind, Message, QueueConfig, QueueOptions, QueueStart, Receive, Stream,
};

use crate::ledger::{Complaint, End, Ledger, locked, must, number_of, sequences_in};

/// How the queue of a stream is called.
const QUEUE: &str = "work";
/// For how long a record is hidden that was handed out, in milliseconds.
pub const HIDDEN_MS: u64 = 30_000;

/// What was told of the queue of a stream.
#[derive(Clone, Debug, Default)]
pub struct QueueLedger {
    /// Whether there is one; where it is in doubt, the next open tells.
    is_there: bool,
    /// Whether one is being made, or nobody knows what became of it.
    pub is_in_doubt: bool,
    /// The records whose acknowledgement was answered, and whether it is durable.
    acknowledged: BTreeMap<u64, bool>,
    /// Those of which nobody knows: the call failed, or a loss of power may have taken it back.
    doubtful: BTreeSet<u64>,
}

impl QueueLedger {
    /// The store was opened again: holds the queue of a stream against what was told.
    ///
    /// # Errors
    /// What does not follow from it.
    pub fn examine(&mut self, stream: &Stream, end: End) -> Result<(), Complaint> {
        let name = stream.name();
        let is_there = match stream.queue(QUEUE) {
            Ok(_) => true,
            Err(error) if error.kind() == Kind::QueueNotFound => false,
            Err(error) => return Err(Complaint::Refused(error)),
        };
        must!(is_there || !self.is_there, "{name}: its queue is gone");
        must!(!is_there || self.is_there || self.is_in_doubt, "{name}: it has a queue that nobody made");
        (self.is_there, self.is_in_doubt) = (is_there, false);
        if end == End::Lost {
            let lost = self.acknowledged.iter().filter(|(_, is_durable)| !**is_durable);
            self.doubtful.extend(lost.map(|(number, _)| number));
            self.acknowledged.retain(|_, is_durable| *is_durable);
        }
        self.acknowledged.values_mut().for_each(|is_durable| *is_durable = true);
        Ok(())
    }

    /// Holds what was handed out, when nothing was hidden, against all records that the stream has.
    /// A clock that has jumped may hide some of them for twelve hours.
    fn check(
        &mut self,
        stream: &str,
        readable: &BTreeSet<u64>,
        handed_out: &[u64],
        clock_has_jumped: bool,
    ) -> Result<(), Complaint> {
        let mut once = BTreeSet::new();
        for number in handed_out {
            must!(once.insert(*number), "{stream}: its queue hands record {number} out twice at once");
            must!(readable.contains(number), "{stream}: its queue hands out record {number}, which there is not");
            must!(
                !self.acknowledged.contains_key(number),
                "{stream}: record {number} was acknowledged, and comes again"
            );
            self.doubtful.remove(number);
        }
        for number in readable.difference(&once) {
            let is_done = clock_has_jumped || self.acknowledged.contains_key(number) || self.doubtful.contains(number);
            must!(is_done, "{stream}: its queue has lost record {number}");
        }
        Ok(())
    }
}

/// Makes the queue of a stream.
///
/// # Errors
/// Those of [`Stream::create_queue`].
pub fn create(stream: &Stream, ledger: &Mutex<Ledger>) -> Result<(), Error> {
    let name = stream.name();
    locked(ledger).note(name, |told| told.queue.is_in_doubt = true);
    let config = QueueConfig { dead_letters: DeadLetters::None, ..QueueConfig::default() };
    stream.create_queue(QUEUE, QueueOptions { start: QueueStart::TrimHorizon, config, ..QueueOptions::default() })?;
    locked(ledger).note(name, |told| (told.queue.is_there, told.queue.is_in_doubt) = (true, false));
    Ok(())
}

/// Receives all that the queue of a stream has, at a time when nothing is hidden, and acknowledges some of it.
///
/// # Errors
/// What the engine has broken, or refuses.
pub fn work(stream: &Stream, ledger: &Mutex<Ledger>, random: &mut fastrand::Rng) -> Result<(), Complaint> {
    let name = stream.name();
    let told = || locked(ledger).streams.get(name).map(|told| told.queue.clone()).unwrap_or_default();
    if !told().is_there {
        return Ok(());
    }
    let queue = stream.queue(QUEUE)?;
    // What a stream's policy has not made durable yet is not handed out.
    stream.flush()?;
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let received = queue.receive(Receive::default())?.messages;
        if received.is_empty() {
            break;
        }
        messages.extend(received);
    }
    let handed_out =
        messages.iter().map(|message| Ok(number_of(message.data()?))).collect::<Result<Vec<_>, Error>>()?;
    // Captures look at the ledger while this reads.
    let as_told = locked(ledger).clone();
    let readable = sequences_in(stream, &as_told)?.into_keys().collect();
    let mut checked = told();
    let clock_has_jumped = locked(ledger).clock_has_jumped;
    checked.check(name, &readable, &handed_out, clock_has_jumped)?;
    let done: Vec<_> = messages.iter().zip(handed_out).filter(|_| random.bool()).collect();
    checked.doubtful.extend(done.iter().map(|(_, number)| number));
    put(ledger, name, checked.clone());
    let receipts: Vec<_> = done.iter().map(|(message, _)| message.receipt.as_str()).collect();
    let settled = queue.acknowledge(&receipts, Commit::Caller)?;
    for (result, (_, number)) in settled.results.into_iter().zip(&done) {
        result?;
        checked.doubtful.remove(number);
        checked.acknowledged.insert(*number, false);
    }
    put(ledger, name, checked.clone());
    queue.wait_acknowledged(settled.end)?;
    if stream.describe().config.durability == Durability::Synced {
        checked.acknowledged.values_mut().for_each(|is_durable| *is_durable = true);
    }
    put(ledger, name, checked);
    Ok(())
}

fn put(ledger: &Mutex<Ledger>, stream: &str, queue: QueueLedger) {
    locked(ledger).note(stream, |told| told.queue = queue);
}
