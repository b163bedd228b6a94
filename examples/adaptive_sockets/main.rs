//! An adaptive limit on real sockets: how much of what an upstream can do gets done, beside the best fixed limit.
//!
//! `cargo run --release --example adaptive_sockets [ROUNDS] [timeline] [SCENARIO…]` starts an upstream with a knee, sluicegate in
//! front of it, and clients that come at random and give up after a second; all in this process, over TCP. In turns, as often as
//! there are rounds, the limit is the fixed one that is best for the stage, and `{ adaptive = "knee", min = 1, max = 1000 }`. The
//! upstream has twenty useful places and takes 40 ms for a request, log-normal; with more at a time its throughput falls with
//! the square of the crowd, and it works on what its clients have given up.
//!
//! Goodput is what is answered in time, in percent of what the upstream could do, or of what is offered if that is less. What
//! the fixed limit falls short of 100 by, beyond what chance does to 1x, is the machine's doing. p99 is that of answers from
//! their admission on, over that of an idle upstream. The processor's share is that of this process, 100 being one processor:
//! clients and upstream are its largest part.
//!
//! With `timeline`, each half second is shown as well.

mod clients;
mod scenarios;
mod upstream;

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use sluicegate::access_log::Readers;
use sluicegate::admission::Limiter;
use sluicegate::config::{Flags, Sources, load};
use sluicegate::server::Server;

use clients::{Outcome, Stage};
use scenarios::{Part, Scenario, scenarios};
use upstream::Knob;

/// Who says what the limit is.
#[derive(Clone, Copy, PartialEq)]
enum Limit {
    Fixed,
    Adaptive,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (numbers, mut wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word.parse::<u32>().is_ok());
    let rounds = numbers.first().map_or(Ok(1), |rounds| rounds.parse())?;
    let with_timeline = wanted.iter().any(|word| word == "timeline");
    wanted.retain(|word| word != "timeline");
    let idle = run(&Scenario::steady("idle", 0.1), Limit::Fixed, false)?;
    let alone = idle[0].p99_admitted();
    println!("an idle upstream: p99 {:.0} ms", alone * 1e3);
    println!(
        "{:30} {:>6} {:>8} | {:>5} {:>9} {:>6} {:>9} | {:>5} {:>9} {:>6} {:>9} | {:>5}",
        "", "offer", "capacity", "fixed", "goodput", "p99", "processor", "knee", "goodput", "p99", "processor", "share"
    );
    for scenario in scenarios() {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| scenario.name.starts_with(wanted.as_str())) {
            continue;
        }
        let (mut fixed, mut adaptive) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            merge(&mut fixed, run(&scenario, Limit::Fixed, with_timeline)?);
            merge(&mut adaptive, run(&scenario, Limit::Adaptive, with_timeline)?);
        }
        for ((part, fixed), adaptive) in scenario.parts.iter().zip(&fixed).zip(&adaptive) {
            show(&scenario, part, [fixed, adaptive], alone);
        }
    }
    Ok(())
}

fn merge(sum: &mut Vec<Outcome>, round: Vec<Outcome>) {
    if sum.is_empty() {
        return *sum = round;
    }
    sum.iter_mut().zip(round).for_each(|(sum, outcome)| sum.add(outcome));
}

fn show(scenario: &Scenario, part: &Part, outcomes: [&Outcome; 2], alone: f64) {
    let Part { stage, knee, .. } = part;
    let capacity = knee.per_second(&scenario.work);
    let of_possible = 100.0 / capacity.min(stage.per_second);
    let [fixed, adaptive] = outcomes.map(|outcome| {
        format!(
            "{:>5.1} {:>7.1} % {:>4.1} x {:>7.0} %",
            outcome.limit(),
            of_possible * outcome.good_per_second(),
            outcome.p99_admitted() / alone,
            100.0 * outcome.processors(),
        )
    });
    let share = 100.0 * outcomes[1].good_per_second() / outcomes[0].good_per_second();
    println!(
        "{:30} {:>6.0} {capacity:>8.0} | {fixed} | {adaptive} | {share:>5.1}",
        format!("{}{}", scenario.name, stage.name),
        stage.per_second
    );
}

/// What came of each stage.
fn run(scenario: &Scenario, limit: Limit, with_timeline: bool) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let (address, knob) = upstream::start(scenario.work.clone(), scenario.parts[0].knee)?;
    let file = std::env::temp_dir().join(format!("sluicegate-adaptive-{}.toml", std::process::id()));
    let best = scenario.parts[0].best;
    let is = match limit {
        Limit::Fixed => best.to_string(),
        Limit::Adaptive => "{ adaptive = \"knee\", min = 1, max = 1000 }".to_owned(),
    };
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nthreads = 1\nmax_connections = 20000\n[admin]\nlisten = \"off\"\n[log]\naccess = false\n\
         [upstreams.default]\nurl = \"http://{address}\"\n[routes.default]\nlimit = {is}\n"
    );
    std::fs::write(&file, text)?;
    let loaded = load(&Sources::try_from_process(vec![file.clone()], Flags::default())?);
    std::fs::remove_file(file)?;
    let settings = loaded?.settings;
    let server = Server::start(settings.server, settings.plan, Readers::default())?;
    let proxy = server.addresses()[0];
    let handle = server.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let control = handle.clone();
    // What is done beside the workers: the limit's house is kept here, as in the program.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(control.tend());
    });
    let current = handle.proxy();
    let limiter = current.limiters()[0].clone();
    let over = Arc::new(AtomicBool::new(false));
    if with_timeline {
        let (limiter, knob, over) = (limiter.clone(), knob.clone(), over.clone());
        std::thread::spawn(move || timeline(&limiter, &knob, &over));
    }
    let begin = |stage: usize| {
        let Part { knee, best, .. } = scenario.parts[stage];
        knob.set(knee);
        if let (Limit::Fixed, Some(best)) = (limit, NonZeroU32::new(best)) {
            limiter.set_limit(best);
        }
    };
    let stages: Vec<Stage> = scenario.parts.iter().map(|part| part.stage.clone()).collect();
    let outcomes = runtime.block_on(clients::run(proxy, &stages, begin, || limiter.limit()));
    over.store(true, Relaxed);
    Ok(outcomes)
}

/// Each half second: the limit, who holds a permit, how many the upstream works on, and what it has finished since.
fn timeline(limiter: &Limiter, knob: &Knob, over: &AtomicBool) {
    let (start, mut before) = (Instant::now(), 0);
    while !over.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(500));
        let (inside, finished) = knob.seen();
        println!(
            "{:6.1} s  limit {:4}  in flight {:4}  inside {inside:4}  finished {:5}",
            start.elapsed().as_secs_f64(),
            limiter.limit(),
            limiter.in_flight(),
            finished - std::mem::replace(&mut before, finished),
        );
    }
}
