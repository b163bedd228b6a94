//! Names that are made up, on a clock that does not wait.

use std::sync::Mutex;

use tokio::time::{Instant, timeout};

use super::super::balance::Balance;
use super::super::endpoint::Seat;
use super::*;

/// What is answered, one after the other; the last again and again.
struct Made {
    answers: Mutex<Vec<io::Result<Vec<SocketAddr>>>>,
    asked: Mutex<Vec<Instant>>,
}

impl Made {
    fn up(mut answers: Vec<io::Result<Vec<SocketAddr>>>) -> Self {
        answers.reverse();
        Made { answers: Mutex::new(answers), asked: Mutex::default() }
    }
}

impl Names for Made {
    async fn look_up(&self, host: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        assert_eq!(host, "api");
        self.asked.lock().unwrap().push(Instant::now());
        let mut answers = self.answers.lock().unwrap();
        match &answers[..] {
            [Ok(last)] => Ok(last.clone()),
            [Err(last)] => Err(last.kind().into()),
            _ => answers.pop().expect("there is one at least"),
        }
    }
}

fn at(n: u8) -> SocketAddr {
    SocketAddr::new([10, 0, 0, n].into(), 80)
}

fn nothing() -> io::Result<Vec<SocketAddr>> {
    Err(io::ErrorKind::NotFound.into())
}

fn upstream(resolve: Resolve) -> (Settings, Arc<Members>) {
    let endpoint = Endpoint { host: "api".to_owned(), port: 80 };
    let settings = Settings { resolve, ..Settings::new("u", endpoint) };
    let members = Arc::new(Members::new());
    members.put(&settings, 1);
    (settings, members)
}

fn seat(members: &Members) -> Option<Seat> {
    members.seat(Balance::LeastInFlight, &[], true)
}

fn states(members: &Members) -> Vec<(String, &'static str)> {
    members.status().into_iter().map(|endpoint| (endpoint.name.to_string(), endpoint.state)).collect()
}

/// Looks up for so many milliseconds.
async fn look(millis: u64, members: &Arc<Members>, settings: &Settings, names: &Made) -> bool {
    timeout(Duration::from_millis(millis), keep_resolved(members, settings, names)).await.is_ok()
}

const EVERY: Resolve = Resolve::Every(Duration::from_secs(30));

#[tokio::test(start_paused = true)]
async fn each_address_is_an_endpoint_and_those_that_are_gone_finish_what_they_have() {
    let names = Made::up(vec![Ok(vec![at(2), at(1), at(2)]), Ok(vec![at(2), at(3)])]);
    let (settings, members) = upstream(EVERY);
    assert!(!look(500, &members, &settings, &names).await);
    members.prune(0);
    assert_eq!(states(&members), [("10.0.0.1:80".into(), "up"), ("10.0.0.2:80".into(), "up")]);
    let seats = [seat(&members).unwrap(), seat(&members).unwrap(), seat(&members).unwrap()];
    let load = |n: usize| members.list.load()[n].load().clone();
    let (gone, stays) = (load(0), load(1));
    assert_eq!(gone.in_flight() + stays.in_flight(), 3);
    assert!(!look(500, &members, &settings, &names).await);
    members.prune(0);
    let expected = [("10.0.0.2:80".into(), "up"), ("10.0.0.3:80".into(), "up"), ("10.0.0.1:80".into(), "leaving")];
    assert_eq!(states(&members), expected);
    assert!(Arc::ptr_eq(&stays, &load(0)), "what is under way there went on being counted");
    for _ in 0..20 {
        assert_ne!(&**seat(&members).unwrap().endpoint(), "10.0.0.1:80");
    }
    drop(seats);
    members.prune(0);
    assert_eq!(states(&members), expected[..2]);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_first_answer_has_its_slot_at_the_first_address() {
    let names = Made::up(vec![Ok(vec![at(1)])]);
    let (mut settings, members) = upstream(EVERY);
    settings.slots = vec![std::num::NonZeroU32::new(2).unwrap()];
    members.put(&settings, 1);
    let seats = [seat(&members).unwrap(), seat(&members).unwrap()];
    assert!(!look(500, &members, &settings, &names).await);
    assert_eq!((members.slots(), members.list.load()[0].load().taken()), (2, 2));
    drop(seats);
    assert_eq!((members.slots(), members.list.load()[0].load().taken()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_fails_or_finds_nothing_changes_nothing() {
    let names = Made::up(vec![Ok(vec![at(1)]), nothing(), Ok(Vec::new())]);
    let (settings, members) = upstream(EVERY);
    assert!(!look(100000, &members, &settings, &names).await);
    assert_eq!(names.asked.lock().unwrap().len(), 4);
    members.prune(0);
    assert_eq!(states(&members), [("10.0.0.1:80".into(), "up")]);
}

#[tokio::test(start_paused = true)]
async fn without_any_address_nothing_is_sent_and_it_is_looked_up_every_second() {
    let names = Made::up(vec![nothing(), nothing(), Ok(vec![at(1)])]);
    let (settings, members) = upstream(EVERY);
    assert!(seat(&members).is_some(), "whoever comes before the first answer looks it up by himself");
    assert!(!look(500, &members, &settings, &names).await);
    assert_eq!(states(&members), [("api:80".into(), "unresolved")]);
    assert!(seat(&members).is_none());
    assert!(!look(60000, &members, &settings, &names).await);
    members.prune(0);
    assert_eq!(states(&members), [("10.0.0.1:80".into(), "up")]);
    let asked = names.asked.lock().unwrap();
    let pauses: Vec<_> = asked.windows(2).skip(1).map(|two| (two[1] - two[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 30], "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn once_is_until_it_has_succeeded() {
    let names = Made::up(vec![nothing(), Ok(vec![at(1)]), Ok(vec![at(2)])]);
    let (settings, members) = upstream(Resolve::Once);
    assert!(look(10000, &members, &settings, &names).await);
    members.prune(0);
    assert_eq!(states(&members), [("10.0.0.1:80".into(), "up")]);
    // A reload does not ask again.
    members.put(&settings, 1);
    assert!(look(10000, &members, &settings, &names).await);
    assert_eq!(names.asked.lock().unwrap().len(), 2);
    assert_eq!(states(&members), [("10.0.0.1:80".into(), "up")]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_addresses_and_forgets_those_of_names_that_are_gone() {
    let names = Made::up(vec![Ok(vec![at(1)])]);
    let (settings, members) = upstream(EVERY);
    assert!(!look(500, &members, &settings, &names).await);
    members.prune(0);
    let load = members.list.load()[0].load().clone();
    members.put(&Settings { retries: 3, ..settings.clone() }, 1);
    assert_eq!(states(&members), [("10.0.0.1:80".into(), "up")]);
    assert!(Arc::ptr_eq(&load, members.list.load()[0].load()));
    let other = Settings::new("u", Endpoint { host: "10.0.0.9".to_owned(), port: 80 });
    members.put(&other, 1);
    // What was found out meanwhile is of no use any more.
    members.resolved(&settings.endpoints[0], vec![at(5)]);
    members.prune(0);
    assert_eq!(states(&members), [("10.0.0.9:80".into(), "up")]);
}
