use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{Full, StreamBody};
use tokio::time::{Instant, advance, sleep};
use tokio_test::task::{Spawn, spawn};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok};
use tower::{Layer, Service, service_fn};

use super::*;

fn limiter(limit: u32, queue: u32) -> Limiter {
    Limiter::new(Settings { queue, ..Settings::new("test", NonZeroU32::new(limit).unwrap()) })
}

fn waiting(limiter: &Limiter) -> Spawn<Acquire> {
    let mut acquire = spawn(limiter.acquire());
    assert_pending!(acquire.poll());
    acquire
}

#[tokio::test]
async fn permits_are_given_up_to_the_limit_and_not_beyond() {
    let limiter = limiter(2, 0);
    let first = limiter.acquire().await.unwrap();
    let second = limiter.acquire().await.unwrap();
    let rejection = limiter.acquire().await.unwrap_err();
    assert_eq!(rejection.reason, Reason::NoPermit);
    assert_eq!(rejection.waited, Waited { position: 1, wait: Duration::ZERO });
    drop(first);
    assert_eq!(limiter.in_flight(), 1);
    assert!(limiter.try_acquire().is_some());
    drop(second);
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn the_next_in_line_has_the_permit_before_it_is_woken() {
    let limiter = limiter(1, 4);
    let permit = limiter.acquire().await.unwrap();
    let mut first = waiting(&limiter);
    let mut second = waiting(&limiter);
    drop(permit);
    assert!(first.is_woken());
    assert!(!second.is_woken());
    // Nobody slips in between.
    assert_eq!(limiter.in_flight(), 1);
    assert!(limiter.try_acquire().is_none());
    let permit = assert_ready_ok!(first.poll());
    assert_eq!(permit.waited().unwrap().position, 1);
    assert_pending!(second.poll());
    drop(permit);
    assert_eq!(assert_ready_ok!(second.poll()).waited().unwrap().position, 2);
}

#[tokio::test]
async fn a_newcomer_stands_behind_those_who_wait() {
    let limiter = limiter(2, 4);
    let _one = limiter.acquire().await.unwrap();
    let two = limiter.acquire().await.unwrap();
    let mut waiter = waiting(&limiter);
    let mut newcomer = waiting(&limiter);
    drop(two);
    assert_pending!(newcomer.poll());
    assert_ready_ok!(waiter.poll());
}

#[tokio::test]
async fn a_full_queue_rejects_and_one_that_leaves_makes_room() {
    let limiter = limiter(1, 2);
    let _permit = limiter.acquire().await.unwrap();
    let first = waiting(&limiter);
    let _second = waiting(&limiter);
    let rejection = limiter.acquire().await.unwrap_err();
    assert_eq!((rejection.reason, rejection.waited.position), (Reason::QueueFull, 3));
    drop(first);
    assert_eq!(limiter.queue_len(), 1);
    let _third = waiting(&limiter);
    assert_eq!(limiter.queue_len(), 2);
}

#[tokio::test]
async fn a_granted_permit_that_nobody_collects_goes_to_the_next() {
    let limiter = limiter(1, 2);
    let permit = limiter.acquire().await.unwrap();
    let first = waiting(&limiter);
    let mut second = waiting(&limiter);
    drop(permit);
    drop(first);
    assert!(second.is_woken());
    assert_ready_ok!(second.poll());
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_within_twenty_milliseconds_of_its_timeout() {
    let limiter = limiter(1, 4);
    let _permit = limiter.acquire().await.unwrap();
    let start = Instant::now();
    let mut waits = Vec::new();
    for late in [0, 3, 7, 15] {
        let limiter = limiter.clone();
        waits.push(tokio::spawn(async move {
            sleep(Duration::from_millis(late)).await;
            let since = Instant::now();
            let rejection = limiter.acquire().await.unwrap_err();
            (rejection, since.elapsed())
        }));
    }
    for wait in waits {
        let (rejection, took) = wait.await.unwrap();
        assert_eq!(rejection.reason, Reason::QueueTimeout);
        let late = took - Duration::from_secs(10);
        assert!(late <= Duration::from_millis(20), "{late:?}");
        assert_eq!(rejection.waited.wait, took);
    }
    assert!(start.elapsed() < Duration::from_secs(11));
    assert_eq!(limiter.queue_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_housekeeper_is_there_again_for_the_next_who_wait() {
    let limiter = limiter(1, 4);
    let _permit = limiter.acquire().await.unwrap();
    for _ in 0..3 {
        assert_eq!(limiter.acquire().await.unwrap_err().reason, Reason::QueueTimeout);
        advance(Duration::from_secs(100)).await;
    }
}

#[tokio::test]
async fn raising_the_limit_wakes_and_lowering_it_cuts_nobody() {
    let limiter = limiter(1, 4);
    let first = limiter.acquire().await.unwrap();
    let mut second = waiting(&limiter);
    let mut third = waiting(&limiter);
    limiter.set_limit(NonZeroU32::new(3).unwrap());
    let second = assert_ready_ok!(second.poll());
    let third = assert_ready_ok!(third.poll());
    assert_eq!(limiter.in_flight(), 3);

    limiter.set_limit(NonZeroU32::MIN);
    let mut fourth = waiting(&limiter);
    drop(first);
    drop(second);
    assert_pending!(fourth.poll());
    drop(third);
    assert_ready_ok!(fourth.poll());
}

#[tokio::test]
async fn closing_ends_all_waits_and_leaves_permits_alone() {
    let limiter = limiter(1, 40);
    let permit = limiter.acquire().await.unwrap();
    let mut waits: Vec<_> = (0..40).map(|_| waiting(&limiter)).collect();
    assert_eq!(limiter.close(), 40);
    for wait in &mut waits {
        assert_eq!(assert_ready_err!(wait.poll()).reason, Reason::Closed);
    }
    assert_eq!(limiter.in_flight(), 1);
    drop(permit);
    assert_eq!(limiter.acquire().await.unwrap_err().reason, Reason::Closed);
    assert!(limiter.try_acquire().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_rejection_says_how_long_the_queue_takes() {
    let limiter = limiter(1, 1);
    assert_eq!(limiter.acquire().await.map(drop), Ok(()));
    let mut permit = limiter.acquire().await.unwrap();
    // One completion a second.
    for _ in 0..20 {
        let mut next = waiting(&limiter);
        advance(Duration::from_secs(1)).await;
        drop(permit);
        permit = assert_ready_ok!(next.poll());
    }
    let _waiter = waiting(&limiter);
    let rejection = limiter.acquire().await.unwrap_err();
    let drains_in = rejection.drains_in.unwrap().as_secs_f64();
    assert!((1.5..2.5).contains(&drains_in), "{drains_in}");
}

/// Threads that acquire, wait, give up and resize at random; the limit holds at every moment, and nothing is left over.
#[test]
fn the_limit_holds_in_a_storm() {
    const LIMIT: u32 = 3;
    let limiter = limiter(LIMIT, 50);
    let inside = Arc::new(AtomicU32::new(0));
    let barrier = Arc::new(Barrier::new(4));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (limiter, inside, barrier) = (limiter.clone(), inside.clone(), barrier.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                barrier.wait();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..40)
                        .map(|task| {
                            let (limiter, inside) = (limiter.clone(), inside.clone());
                            let mut random = fastrand::Rng::with_seed(seed ^ (thread * 1000 + task));
                            tokio::spawn(async move {
                                for _ in 0..100 {
                                    let patience = Duration::from_micros(random.u64(0..3000));
                                    let Ok(Ok(permit)) = tokio::time::timeout(patience, limiter.acquire()).await else {
                                        continue;
                                    };
                                    assert!(inside.fetch_add(1, Ordering::SeqCst) < LIMIT);
                                    if random.bool() {
                                        tokio::task::yield_now().await;
                                    }
                                    inside.fetch_sub(1, Ordering::SeqCst);
                                    drop(permit);
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((limiter.in_flight(), limiter.queue_len()), (0, 0));
    let permits: Vec<_> = (0..LIMIT).map(|_| limiter.try_acquire().unwrap()).collect();
    assert!(limiter.try_acquire().is_none());
    drop(permits);
}

type Frames = Vec<Result<http_body::Frame<Bytes>, std::io::Error>>;

fn stream(frames: Frames) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
    StreamBody::new(futures_util::stream::iter(frames))
}

fn data(bytes: &'static str) -> Result<http_body::Frame<Bytes>, std::io::Error> {
    Ok(http_body::Frame::data(Bytes::from_static(bytes.as_bytes())))
}

async fn next_frame<B: Body + Unpin>(body: &mut B) -> Option<Result<http_body::Frame<B::Data>, B::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

#[tokio::test]
async fn the_permit_comes_back_with_the_last_frame_not_with_the_drop() {
    let limiter = limiter(1, 0);
    let permit = limiter.try_acquire().unwrap();
    let mut body = PermitBody::new(stream(vec![data("a"), data("b")]), permit);
    next_frame(&mut body).await;
    next_frame(&mut body).await;
    assert_eq!(limiter.in_flight(), 1);
    assert!(next_frame(&mut body).await.is_none());
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn a_body_of_known_length_gives_its_permit_back_with_its_last_byte() {
    let limiter = limiter(1, 0);
    let mut body = PermitBody::new(Full::new(Bytes::from_static(b"all")), limiter.try_acquire().unwrap());
    assert_eq!(body.size_hint().exact(), Some(3));
    next_frame(&mut body).await;
    assert_eq!(limiter.in_flight(), 0);
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn an_empty_a_failed_and_a_dropped_body_give_their_permits_back() {
    let limiter = limiter(1, 0);
    drop(PermitBody::new(stream(vec![data("a")]), limiter.try_acquire().unwrap()));
    assert_eq!(limiter.in_flight(), 0);

    let _empty = PermitBody::new(Full::new(Bytes::new()), limiter.try_acquire().unwrap());
    assert_eq!(limiter.in_flight(), 0);

    let error = Err(std::io::ErrorKind::BrokenPipe.into());
    let mut failing = PermitBody::new(stream(vec![error]), limiter.try_acquire().unwrap());
    assert!(next_frame(&mut failing).await.unwrap().is_err());
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn a_waiting_request_reads_its_body_ahead_and_passes_it_on_whole() {
    let limiter = limiter(1, 1);
    let permit = limiter.try_acquire().unwrap();
    let echo = service_fn(|request: Request<Spool<_>>| async move {
        let mut body = request.into_body();
        let mut text = Vec::new();
        while let Some(frame) = next_frame(&mut body).await {
            text.extend(frame?.into_data().unwrap());
        }
        Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from(text))))
    });
    let mut service = AdmissionLayer::new(limiter.clone()).layer(echo);
    let mut call = spawn(service.call(Request::new(stream(vec![data("one "), data("two")]))));
    assert_pending!(call.poll());
    drop(permit);
    let mut response = assert_ready_ok!(call.poll());
    let body = next_frame(response.body_mut()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(body, "one two");
}

#[tokio::test]
async fn a_body_that_fails_while_its_request_waits_ends_the_wait() {
    let limiter = limiter(1, 1);
    let _permit = limiter.try_acquire().unwrap();
    let never = service_fn(|_: Request<Spool<_>>| async move {
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let mut service = AdmissionLayer::new(limiter.clone()).layer(never);
    let body = stream(vec![data("a"), Err(std::io::ErrorKind::TimedOut.into())]);
    let mut call = spawn(service.call(Request::new(body)));
    let error = assert_ready!(call.poll()).map(drop).unwrap_err();
    assert!(matches!(error, Error::Body(error) if error.kind() == std::io::ErrorKind::TimedOut));
    assert_eq!(limiter.queue_len(), 0);
}

#[tokio::test]
async fn who_must_not_be_told_to_continue_yet_is_not_read_ahead() {
    let limiter = limiter(1, 1);
    let _permit = limiter.try_acquire().unwrap();
    let never = service_fn(|_: Request<Spool<_>>| async move {
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let mut service = AdmissionLayer::new(limiter.clone()).layer(never);
    let body = stream(vec![Err(std::io::ErrorKind::TimedOut.into())]);
    let request = Request::builder().header("expect", "100-continue").body(body).unwrap();
    assert_pending!(spawn(service.call(request)).poll());
}

#[tokio::test]
async fn a_request_holds_the_narrow_permit_while_it_waits_for_the_wide_one() {
    let (narrow, wide) = (limiter(2, 4), limiter(1, 4));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let first = limits.acquire().await.unwrap();
    assert_eq!((narrow.in_flight(), wide.in_flight()), (1, 1));
    let mut second = spawn(limits.acquire());
    assert_pending!(second.poll());
    assert_eq!((narrow.in_flight(), narrow.queue_len(), wide.queue_len()), (2, 0, 1));
    // The third stands at the first gate and holds nothing.
    let mut third = spawn(limits.acquire());
    assert_pending!(third.poll());
    assert_eq!((narrow.queue_len(), wide.queue_len()), (1, 1));
    drop(first);
    drop(assert_ready_ok!(second.poll()));
    drop(assert_ready_ok!(third.poll()));
    assert_eq!((narrow.in_flight(), wide.in_flight()), (0, 0));
}

#[tokio::test]
async fn one_that_is_rejected_or_leaves_at_the_wide_gate_gives_the_narrow_permit_back() {
    let (narrow, wide) = (limiter(5, 4), limiter(1, 1));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let _first = limits.acquire().await.unwrap();
    let mut second = spawn(limits.acquire());
    assert_pending!(second.poll());
    let rejection = limits.acquire().await.unwrap_err();
    assert_eq!((rejection.reason, rejection.limit), (Reason::QueueFull, 1));
    assert_eq!(narrow.in_flight(), 2);
    drop(second);
    assert_eq!((narrow.in_flight(), wide.queue_len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn several_limits_share_one_wait_budget_the_smallest() {
    let patient = |name: &str, seconds| {
        let settings = Settings::new(name, NonZeroU32::MIN);
        Limiter::new(Settings { queue_timeout: Duration::from_secs(seconds), ..settings })
    };
    let (narrow, wide) = (patient("narrow", 3), patient("wide", 60));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let (first, _second) = (narrow.acquire().await.unwrap(), wide.acquire().await.unwrap());
    let start = Instant::now();
    let waiting = tokio::spawn(async move { limits.acquire().await.map(drop) });
    sleep(Duration::from_secs(2)).await;
    drop(first);
    let rejection = waiting.await.unwrap().unwrap_err();
    assert_eq!((rejection.reason, rejection.limit), (Reason::QueueTimeout, 1));
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(3) && took <= Duration::from_millis(3020), "{took:?}");
    assert_eq!(rejection.waited.wait, took);
    assert_eq!(narrow.in_flight(), 0);
}

/// Random requests over nested and overlapping limits, on several threads: every limit holds, nothing is left over.
#[test]
fn nested_limits_hold_in_a_storm_and_end_at_zero() {
    let shared: Vec<_> = (1..=4).map(|limit| limiter(limit, 100)).collect();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..25)
                        .map(|task| {
                            let shared = shared.clone();
                            let mut random = fastrand::Rng::with_seed(seed ^ (thread * 1000 + task));
                            tokio::spawn(async move {
                                for _ in 0..1000 {
                                    // Some of them, in the one order.
                                    let mine: Vec<_> = shared.iter().filter(|_| random.bool()).cloned().collect();
                                    let Some(limits) = Limits::new(mine) else { continue };
                                    let patience = Duration::from_micros(random.u64(0..2000));
                                    let permit = tokio::time::timeout(patience, limits.acquire()).await;
                                    for limiter in limits.limiters() {
                                        assert!(limiter.in_flight() <= limiter.limit());
                                    }
                                    tokio::task::yield_now().await;
                                    drop(permit);
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(shared.iter().all(|limiter| limiter.in_flight() == 0 && limiter.queue_len() == 0));
}
