//! `torture crash` and `torture faults`: the campaigns, from the command line. `--help` says more.

use std::time::{Duration, Instant};

use lexopt::prelude::{Long, Short, Value, ValueExt};
use millrace_torture::{crash, faults};

const HELP: &str = "\
Breaks the disk, the power and the clock under Millrace by seed, and holds it to what it has promised.

  torture crash  [--seed N] [--count N] [--minutes N]   crash images of random histories
  torture faults [--seed N] [--count N] [--minutes N]   each operation of a history fails in turn

  --seed N      the first seed, or `random`   (default 1)
  --count N     how many seeds                (default 10; without bound where --minutes is given)
  --minutes N   go on for so long
  --job I/N     of these seeds, take every N-th from the I-th on: so that N processes share them

A seed that fails is replayed by `--seed N --count 1`. The exit code is 1 then.";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Campaign {
    Crash,
    Faults,
}

struct Arguments {
    campaign: Campaign,
    seed: u64,
    count: Option<u64>,
    minutes: Option<f64>,
    /// Of how many jobs this is which, counted from 0.
    job: (u64, u64),
}

fn parse_job(text: &str) -> Option<(u64, u64)> {
    let (job, jobs) = text.split_once('/')?;
    let (job, jobs) = (job.parse::<u64>().ok()?.checked_sub(1)?, jobs.parse().ok()?);
    (job < jobs).then_some((job, jobs))
}

fn parse() -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments { campaign: Campaign::Crash, seed: 1, count: None, minutes: None, job: (0, 1) };
    let mut campaign = None;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) if campaign.is_none() && name == "crash" => campaign = Some(Campaign::Crash),
            Value(name) if campaign.is_none() && name == "faults" => campaign = Some(Campaign::Faults),
            Long("seed") => {
                let value = parser.value()?;
                arguments.seed = if value == "random" { u64::from(fastrand::u32(..)) } else { value.parse()? };
            }
            Long("count") => arguments.count = Some(parser.value()?.parse()?),
            Long("minutes") => arguments.minutes = Some(parser.value()?.parse()?),
            Long("job") => {
                let value = parser.value()?.string()?;
                arguments.job = parse_job(&value).ok_or("expected a job such as 1/2")?;
            }
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    arguments.campaign = campaign.ok_or("expected `crash` or `faults`; see --help")?;
    Ok(Some(arguments))
}

fn main() -> std::process::ExitCode {
    match parse() {
        Ok(Some(arguments)) => run(&arguments),
        Ok(None) => {
            println!("{HELP}");
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("torture: {error}");
            std::process::ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> std::process::ExitCode {
    let Arguments { campaign, seed, count, minutes, job: (job, jobs) } = *arguments;
    let begun = now();
    let is_over = |played: u64| match (count, minutes) {
        (None, None) => played >= 10,
        (count, minutes) => {
            count.is_some_and(|count| played >= count)
                || minutes.is_some_and(|minutes| now() - begun >= Duration::from_secs_f64(minutes * 60.0))
        }
    };
    let mut told = begun;
    let (mut images, mut failures) = (crash::Counts::default(), faults::Counts::default());
    let summary = |images: &crash::Counts, failures: &faults::Counts| match campaign {
        Campaign::Crash => images.to_string(),
        Campaign::Faults => failures.to_string(),
    };
    let mut played = job;
    while !is_over(played) {
        let seed = seed + played;
        let outcome = match campaign {
            Campaign::Crash => crash::play(seed, &mut images),
            Campaign::Faults => faults::sweep(seed, &mut failures),
        };
        if let Err(fault) = outcome {
            let name = if campaign == Campaign::Crash { "crash" } else { "faults" };
            println!("seed {seed}: {fault}\nreplay: npm run torture -- {name} --seed {seed} --count 1");
            return std::process::ExitCode::FAILURE;
        }
        played += jobs;
        if now() - told > Duration::from_secs(10) {
            told = now();
            println!("  {}", summary(&images, &failures));
        }
    }
    println!("{}; the first seed was {seed}", summary(&images, &failures));
    std::process::ExitCode::SUCCESS
}

#[expect(clippy::disallowed_methods, reason = "how long a campaign runs is a matter of real time")]
fn now() -> Instant {
    Instant::now()
}
