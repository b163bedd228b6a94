//! How many connections there may be to an upstream, those being made included.
//!
//! A connection is counted before it is dialled and until its socket has closed, whoever has it: a pool, an exchange, one
//! that was abandoned, or a tunnel. Who finds no room closes a connection that idles, or waits in line for one to close or
//! to come back. The first in line alone looks; whoever comes while somebody waits goes behind. Where there is room,
//! nothing of this costs more than a look at a number.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::forward::{Step, Told};

/// The count of one upstream. A cheap handle.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: AtomicU32,
    most: ArcSwap<Most>,
    waiting: AtomicU32,
    /// One permit: whoever has it is the first in line.
    line: Semaphore,
    /// Something came back that the first in line may want.
    freed: Notify,
}

/// How many connections there may be.
pub(super) enum Most {
    Fixed(u32),
    /// As many as this says whenever one is to be made; `None` is any number.
    Measured(Measure),
}

/// Says how many connections there may be. Nobody may wait in it.
pub(super) type Measure = Box<dyn Fn() -> Option<u32> + Send + Sync>;

/// The right to one connection, to be dropped when its socket has closed.
#[derive(Debug)]
pub(super) struct Spot(Room);

/// There was no room for too long.
#[derive(Debug)]
pub(super) struct Full;

impl Room {
    /// Room for any number.
    pub(super) fn new() -> Self {
        Room(Arc::new(Inner {
            open: AtomicU32::new(0),
            most: ArcSwap::from_pointee(Most::Measured(Box::new(|| None))),
            waiting: AtomicU32::new(0),
            line: Semaphore::new(1),
            freed: Notify::new(),
        }))
    }

    /// From now on there may be so many. Those that there are stay.
    pub(super) fn set_most(&self, most: Most) {
        self.0.most.store(Arc::new(most));
        self.freed();
    }

    /// How many there are.
    pub(super) fn open(&self) -> u32 {
        self.0.open.load(SeqCst)
    }

    /// Whether somebody waits, behind whom one has to go.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.waiting.load(SeqCst) > 0
    }

    /// The right to make one more connection.
    pub(super) fn try_enter(&self) -> Option<Spot> {
        let most = match &**self.0.most.load() {
            Most::Fixed(most) => *most,
            Most::Measured(measure) => measure().unwrap_or(u32::MAX),
        };
        let more = |open| (open < most).then_some(open + 1);
        self.0.open.fetch_update(SeqCst, SeqCst, more).ok().map(|_| Spot(self.clone()))
    }

    /// A connection has closed, or can be used by somebody else.
    ///
    /// What came back was put in its place before this looks for those who wait; they count themselves before they look
    /// there. One of the two sees what the other has done.
    pub(super) fn freed(&self) {
        if self.is_crowded() {
            self.0.freed.notify_one();
        }
    }

    /// Waits in line until `find` finds something. `make_room` is asked to close something that idles when it does not.
    ///
    /// # Errors
    /// Nothing was found for as long as `patience`.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line.
    pub(super) async fn wait<T>(
        &self,
        patience: Duration,
        mut find: impl FnMut() -> Option<T>,
        make_room: impl Fn(),
    ) -> Result<T, Full> {
        let _counted = Counted::new(&self.0.waiting);
        let found = async {
            let _first = self.0.line.acquire().await.expect("it is never closed");
            loop {
                let mut freed = pin!(self.0.freed.notified());
                // From here on it hears of what it does not see.
                freed.as_mut().enable();
                if let Some(found) = find() {
                    return found;
                }
                make_room();
                freed.await;
            }
        };
        timeout(patience, found).await.map_err(|_| Full)
    }

    /// The same, and `told` hears when it begins to wait and when that is over. A waiter that leaves says nothing.
    pub(super) async fn wait_and_tell<T>(
        &self,
        told: &mut Told<'_>,
        patience: Duration,
        find: impl FnMut() -> Option<T>,
        make_room: impl Fn(),
    ) -> Result<T, Full> {
        told(Step::Waits);
        let waited = self.wait(patience, find, make_room).await;
        told(Step::Goes);
        waited
    }
}

impl Spot {
    pub(super) fn room(&self) -> &Room {
        &self.0
    }
}

impl Drop for Spot {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, SeqCst);
        self.0.freed();
    }
}

/// One of those who wait.
struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, SeqCst);
        Counted(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl fmt::Debug for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Most::Fixed(most) => f.debug_tuple("Fixed").field(most).finish(),
            Most::Measured(measure) => f.debug_tuple("Measured").field(&measure()).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::task::JoinSet;
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn room_for(most: u32) -> Room {
        let room = Room::new();
        room.set_most(Most::Fixed(most));
        room
    }

    fn enter(room: &Room) -> impl Future<Output = Result<Spot, Full>> {
        room.wait(LONG, || room.try_enter(), || ())
    }

    #[tokio::test]
    async fn those_who_wait_enter_in_the_order_in_which_they_came() {
        let room = room_for(1);
        let spot = room.try_enter().unwrap();
        let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(enter(&room))).collect();
        waiters.iter_mut().for_each(|waiter| assert_pending!(waiter.poll()));
        assert!(room.is_crowded());
        drop(spot);
        // One is woken, and nobody else.
        assert_eq!(waiters.iter().map(|waiter| waiter.is_woken()).collect::<Vec<_>>(), [true, false, false]);
        let first = assert_ready!(waiters[0].poll()).unwrap();
        assert!(waiters[1].is_woken() && !waiters[2].is_woken());
        assert_pending!(waiters[1].poll());
        drop(first);
        let _second = assert_ready!(waiters[1].poll()).unwrap();
        assert_pending!(waiters[2].poll());
    }

    #[tokio::test]
    async fn a_waiter_that_leaves_holds_up_nobody() {
        let room = room_for(1);
        let spot = room.try_enter().unwrap();
        let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(enter(&room))).collect();
        waiters.iter_mut().for_each(|waiter| assert_pending!(waiter.poll()));
        drop(spot);
        // It has been woken, and never looks.
        drop(waiters.remove(0));
        let found = assert_ready!(waiters[0].poll()).unwrap();
        assert_eq!(room.open(), 1);
        drop((found, waiters));
        assert!(!room.is_crowded() && room.open() == 0);
        assert!(room.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_too_long_is_told() {
        let room = room_for(1);
        let _spot = room.try_enter().unwrap();
        let made_room = AtomicUsize::new(0);
        let waited = room.wait(
            Duration::from_secs(2),
            || room.try_enter(),
            || {
                made_room.fetch_add(1, SeqCst);
            },
        );
        assert!(waited.await.is_err() && !room.is_crowded());
        assert_eq!(made_room.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn what_is_measured_is_asked_each_time_and_a_larger_number_wakes() {
        let room = room_for(0);
        let mut waiter = task::spawn(enter(&room));
        assert_pending!(waiter.poll());
        let most = Arc::new(AtomicU32::new(1));
        let measured = most.clone();
        room.set_most(Most::Measured(Box::new(move || Some(measured.load(SeqCst)))));
        let _spot = assert_ready!(waiter.poll()).unwrap();
        assert!(room.try_enter().is_none());
        most.store(2, SeqCst);
        assert!(room.try_enter().is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_is_forgotten_and_there_are_never_too_many() {
        const MOST: u32 = 3;
        let room = room_for(MOST);
        let mut tasks = JoinSet::new();
        for task in 0..16_u64 {
            let room = room.clone();
            tasks.spawn(async move {
                let mut random = fastrand::Rng::with_seed(task);
                for _ in 0..2_000 {
                    // Some leave while they wait.
                    let patience = if random.u8(..) < 64 { Duration::from_micros(random.u64(..50)) } else { LONG };
                    let now = if room.is_crowded() { None } else { room.try_enter() };
                    let spot = match now {
                        Some(spot) => Ok(spot),
                        None => room.wait(patience, || room.try_enter(), || ()).await,
                    };
                    assert!(room.open() <= MOST);
                    if random.bool() {
                        tokio::task::yield_now().await;
                    }
                    drop(spot);
                }
            });
        }
        while let Some(ended) =
            timeout(Duration::from_secs(60), tasks.join_next()).await.expect("somebody waits for ever")
        {
            ended.unwrap();
        }
        assert!(room.open() == 0 && !room.is_crowded());
    }
}
