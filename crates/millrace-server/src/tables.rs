//! The tables of a store, and the one thread that has them: requests are decided there one after the other, and it alone
//! waits for the disk.
//!
//! 1. It takes all requests that wait, up to a bound, and decides each on the state that those before it left.
//! 2. What a request changes is appended to the log, then applied.
//! 3. One sync covers all of them; then all are answered.
//!
//! Invariant: no answer tells what a crash could take back. A read, or a condition that failed, waits for the sync of the
//! writes whose result it saw.

use std::sync::Arc;

use millrace::clock::Clock;
use millrace::{Engine, Error, Kind, Position, StateLog, StatePart};
use millrace_dynamodb::{Context, Decision, ErrorName, Request, ServiceError, Step, StepsError, Tables};
use serde_json::Value;
use tokio::sync::{OnceCell, mpsc, oneshot};

use crate::streams::blocking;

/// How many requests wait for the thread at most; more wait before they are taken in.
const WAITING_MAX: usize = 1_024;
/// How many requests share a sync at most.
const GROUP_MAX: usize = 256;

/// What the ARNs of tables name.
#[derive(Clone, Debug)]
pub(crate) struct TableNames {
    pub region: String,
    pub account: String,
}

/// Hands requests to the thread that has the tables, and starts it with the first.
#[derive(Debug)]
pub(crate) struct TableKeeper {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    names: TableNames,
    jobs: OnceCell<mpsc::Sender<Job>>,
}

/// A request that waits, and where its answer goes.
#[derive(Debug)]
struct Job {
    request: Request,
    answer: oneshot::Sender<Result<Value, ServiceError>>,
}

impl TableKeeper {
    pub fn new(engine: Arc<Engine>, clock: Arc<dyn Clock>, names: TableNames) -> TableKeeper {
        TableKeeper { engine, clock, names, jobs: OnceCell::new() }
    }

    /// Opens the tables where the store has some, so that damage is told before anybody asks. It keeps nobody from the
    /// streams: each call of a table is told the same.
    pub async fn open_if_there(&self) {
        if self.engine.has_state_log().unwrap_or(true)
            && let Err(error) = self.jobs().await
        {
            tracing::error!(code = error.code(), "the tables cannot be used: {}", error.message());
        }
    }

    /// Answers a request once all that it saw and did is durable.
    pub async fn call(&self, request: Request) -> Result<Value, ServiceError> {
        let jobs = self.jobs().await.map_err(|error| of_engine(&error))?;
        let (answer, answered) = oneshot::channel();
        let gone = || ServiceError::new(ErrorName::ServiceUnavailable, "The server is being stopped; try again.");
        jobs.send(Job { request, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn jobs(&self) -> Result<&mpsc::Sender<Job>, Error> {
        let open = || async {
            let engine = Arc::clone(&self.engine);
            let (clock, names) = (Arc::clone(&self.clock), self.names.clone());
            let held = blocking(move || Held::open(&engine, clock, names)).await?;
            let (sender, jobs) = mpsc::channel(WAITING_MAX);
            // It ends when the last sender does, which is the server's.
            tokio::task::spawn_blocking(|| serve(held, jobs));
            Ok(sender)
        };
        self.jobs.get_or_try_init(open).await
    }
}

/// Takes requests as long as there is a server.
fn serve(mut held: Held, mut jobs: mpsc::Receiver<Job>) {
    let mut group = Vec::new();
    while let Some(first) = jobs.blocking_recv() {
        let waiting = std::iter::from_fn(|| jobs.try_recv().ok());
        let decided = std::iter::once(first).chain(waiting).take(GROUP_MAX);
        group.extend(decided.map(|Job { request, answer }| (answer, held.decide(&request))));
        let synced = held.sync();
        for (to, answer) in group.drain(..) {
            let answer = synced.as_ref().map_err(of_engine).and(answer);
            // Whoever asked may have gone meanwhile.
            let _nobody_waits = to.send(answer);
        }
        held.compact();
    }
}

/// The tables with their log.
#[derive(Debug)]
struct Held {
    tables: Tables,
    log: StateLog,
    end: Position,
    clock: Arc<dyn Clock>,
    names: TableNames,
}

impl Held {
    fn open(engine: &Engine, clock: Arc<dyn Clock>, names: TableNames) -> Result<Held, Error> {
        let mut tables = Tables::default();
        let log = engine.open_state_log(|part| replay(&mut tables, part))?;
        Ok(Held { tables, log, end: Position::default(), clock, names })
    }

    fn decide(&mut self, request: &Request) -> Result<Value, ServiceError> {
        let context = self.context()?;
        let Decision { steps, is_atomic, answer } = self.tables.decide(request, &context)?;
        let groups: Vec<&[Step]> = if is_atomic || steps.is_empty() { vec![&steps] } else { steps.chunks(1).collect() };
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            self.end = self.log.append(Step::encode_all(group)).map_err(|error| of_engine(&error))?;
            for step in group {
                self.tables.apply(step).expect("a step that was decided on this state follows on it");
            }
        }
        Ok(answer)
    }

    fn context(&self) -> Result<Context, ServiceError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| ServiceError::new(ErrorName::InternalServerError, format!("no randomness: {error}")))?;
        let TableNames { region, account } = self.names.clone();
        Ok(Context { now_ms: self.clock.wall_ms(), region, account, random: u128::from_le_bytes(random) })
    }

    fn sync(&self) -> Result<(), Error> {
        self.log.sync_to(self.end)
    }

    fn compact(&mut self) {
        if !self.log.wants_snapshot() {
            return;
        }
        let parts = self.tables.snapshot().iter().map(|steps| Step::encode_all(steps)).collect();
        // What stands in the log counts as before, and the next group tries again.
        if let Err(error) = self.log.compact(parts) {
            tracing::warn!(code = error.code(), "the log of the tables could not be compacted: {}", error.message());
        }
    }
}

/// Follows the log.
fn replay(tables: &mut Tables, part: StatePart) -> Result<(), Error> {
    let parts = match part {
        StatePart::Snapshot(parts) => {
            *tables = Tables::default();
            parts
        }
        StatePart::Steps(steps) => vec![steps],
    };
    for part in parts {
        for step in Step::decode_all(&part).map_err(of_steps)? {
            tables.apply(&step).map_err(|misstep| {
                Error::new(Kind::Corrupt, format!("a step of the tables does not follow: {}", misstep.0))
            })?;
        }
    }
    Ok(())
}

fn of_steps(error: StepsError) -> Error {
    match error {
        StepsError::Newer(version) => {
            let message = format!("the log of the tables holds steps of version {version}; upgrade Millrace");
            Error::new(Kind::FormatNewer, message)
        }
        StepsError::Malformed(what) => {
            Error::new(Kind::Corrupt, format!("expected steps in the log of the tables, got {what}"))
        }
    }
}

/// What an error of the engine is for a client of the tables.
fn of_engine(error: &Error) -> ServiceError {
    match error.kind() {
        Kind::InvalidArgument => ServiceError::new(ErrorName::Validation, error.message()),
        Kind::Closed => ServiceError::new(ErrorName::ServiceUnavailable, error.message()),
        // What happened to the disk is for the log; the caller gets the code, by which the log is searched.
        _ => {
            tracing::error!(code = error.code(), "{}", error.message());
            ServiceError::new(ErrorName::InternalServerError, format!("Internal server error: {}", error.code()))
        }
    }
}
