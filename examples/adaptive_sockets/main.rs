//! An adaptive limit on real sockets: how much of what an upstream can do gets done.
//!
//! `cargo run --release --example adaptive_sockets [SCENARIO…]` starts an upstream with a knee, sluicegate with
//! `limit = { adaptive = "knee", min = 1, max = 1000 }` in front of it, and clients that come at random and give up after a
//! second; all in this process, over TCP. The upstream has twenty useful places and takes 40 ms for a request, log-normal; with
//! more at a time its throughput falls with the square of the crowd, and it works on what its clients have given up.
//!
//! Goodput is what is answered in time, in percent of what the upstream could do, or of what is offered if that is less. p99 is
//! that of answers, as their clients see it, and in brackets from admission on; both are over that of an idle upstream.

mod clients;
mod upstream;

use std::error::Error;
use std::time::Duration;

use sluicegate::access_log::Readers;
use sluicegate::config::{Flags, Sources, load};
use sluicegate::server::Server;

use clients::{Outcome, Stage};
use upstream::{Knee, Work};

/// A run: what the upstream is like, and what clients ask of it, one stage after the other.
struct Scenario {
    name: &'static str,
    work: Work,
    stages: Vec<(Stage, Knee)>,
}

const PLACES: f64 = 20.0;
const SERVICE: Duration = Duration::from_millis(40);

fn main() -> Result<(), Box<dyn Error>> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let idle = run(&Scenario::steady("idle", 0.1))?;
    let alone = idle[0].p99();
    println!("an idle upstream: p99 {:.0} ms", alone * 1e3);
    println!("{:34} {:>6} {:>9} {:>9} {:>16} {:>7}", "", "offer", "capacity", "goodput", "p99", "limit");
    for scenario in scenarios() {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| scenario.name.starts_with(wanted.as_str())) {
            continue;
        }
        for (outcome, (stage, knee)) in run(&scenario)?.iter().zip(&scenario.stages) {
            let capacity = knee.per_second(&scenario.work);
            let possible = capacity.min(stage.per_second);
            println!(
                "{:34} {:>6.0} {:>9.0} {:>7.1} % {:>16} {:>7.1}",
                format!("{}{}", scenario.name, stage.name),
                stage.per_second,
                capacity,
                100.0 * outcome.good_per_second() / possible,
                format!("{:.1} x ({:.1} x)", outcome.p99() / alone, outcome.p99_admitted() / alone),
                outcome.limit,
            );
        }
    }
    Ok(())
}

fn scenarios() -> Vec<Scenario> {
    let full = PLACES / SERVICE.as_secs_f64();
    let knee = |places: f64| Knee { places, pause: Duration::ZERO };
    let stage = |name, load: f64, seconds| Stage { name, per_second: load * full, seconds, skipped: 0.0 };
    let steady = [("1x", 1.0), ("2x", 2.0), ("5x", 5.0), ("10x", 10.0)];
    let mut all: Vec<Scenario> = steady.into_iter().map(|(name, load)| Scenario::steady(name, load)).collect();
    let fall = Work::log_normal(SERVICE, 0.5);
    all.push(Scenario {
        name: "fall",
        work: fall.clone(),
        stages: vec![
            (stage(": before", 2.0, 15.0), knee(PLACES)),
            (stage(": 15 s at 40 %", 2.0, 15.0), knee(0.4 * PLACES)),
        ],
    });
    all.push(Scenario {
        name: "steps",
        work: fall.clone(),
        stages: vec![
            (stage(": before", 2.0, 15.0), knee(PLACES)),
            (stage(": first second of half", 2.0, 1.0), knee(0.5 * PLACES)),
            (stage(": then 4 s", 2.0, 4.0), knee(0.5 * PLACES)),
            (stage(": then 15 s", 2.0, 15.0), knee(0.5 * PLACES)),
            (stage(": 2 s of the double", 2.0, 2.0), knee(PLACES)),
            (stage(": then 3 s", 2.0, 3.0), knee(PLACES)),
            (stage(": then 15 s", 2.0, 15.0), knee(PLACES)),
        ],
    });
    let slower = |millis| Knee { places: PLACES, pause: Duration::from_millis(millis) };
    all.push(Scenario {
        name: "slower",
        work: fall.clone(),
        stages: vec![
            (stage(": 40 ms", 0.8, 15.0), slower(0)),
            (stage(": and 80 ms of pause", 0.8, 20.0), slower(80)),
            (stage(": then 20 s", 0.8, 20.0), slower(80)),
        ],
    });
    all.push(Scenario {
        name: "surge",
        work: fall,
        stages: vec![(stage(": idle", 0.02, 15.0), knee(PLACES)), (stage(": then 3x", 3.0, 15.0), knee(PLACES))],
    });
    let heavy = Work::log_normal(SERVICE, 1.5);
    all.push(Scenario { name: "heavy tail", work: heavy, ..Scenario::steady("", 2.0) });
    let classes = Work { classes: vec![(0.9, SERVICE / 5, 0.5), (0.1, SERVICE.mul_f64(8.2), 0.5)] };
    all.push(Scenario { name: "two classes", work: classes, ..Scenario::steady("", 2.0) });
    all
}

impl Scenario {
    fn steady(name: &'static str, load: f64) -> Self {
        let per_second = load * PLACES / SERVICE.as_secs_f64();
        let stage = Stage { name: "", per_second, seconds: 20.0, skipped: 5.0 };
        let knee = Knee { places: PLACES, pause: Duration::ZERO };
        Scenario { name, work: Work::log_normal(SERVICE, 0.5), stages: vec![(stage, knee)] }
    }
}

/// What came of each stage.
fn run(scenario: &Scenario) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let (address, knob) = upstream::start(scenario.work.clone(), scenario.stages[0].1)?;
    let file = std::env::temp_dir().join(format!("sluicegate-adaptive-{}.toml", std::process::id()));
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nthreads = 1\nmax_connections = 20000\n[admin]\nlisten = \"off\"\n[log]\naccess = false\n\
         [upstreams.default]\nurl = \"http://{address}\"\n\
         [routes.default]\nlimit = {{ adaptive = \"knee\", min = 1, max = 1000 }}\n"
    );
    std::fs::write(&file, text)?;
    let loaded = load(&Sources::try_from_process(vec![file.clone()], Flags::default())?);
    std::fs::remove_file(file)?;
    let settings = loaded?.settings;
    let server = Server::start(settings.server, settings.plan, Readers::default())?;
    let proxy = server.listening()[0].to_string();
    let handle = server.handle();
    let stages: Vec<Stage> = scenario.stages.iter().map(|(stage, _)| stage.clone()).collect();
    let knees: Vec<Knee> = scenario.stages.iter().map(|(_, knee)| *knee).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let control = handle.clone();
    // What is done beside the workers: the limit's house is kept here, as in the program.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(control.tend());
    });
    let begin = |stage: usize| knob.set(knees[stage]);
    let limit = || handle.proxy().limiters()[0].limit();
    Ok(runtime.block_on(clients::run(&proxy, &stages, begin, limit)))
}
