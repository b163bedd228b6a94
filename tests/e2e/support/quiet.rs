//! Tests whose subject is time run alone; all others run beside each other.
//!
//! libtest gives each test a thread of its own, so the ticket is found through the thread.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Permission to run, held for as long as any part of the test's harness lives.
pub struct Ticket {
    _shared: Option<RwLockReadGuard<'static, ()>>,
    _alone: Option<RwLockWriteGuard<'static, ()>>,
}

/// Waits until no other test runs, and keeps others from starting. Call it first in a test.
pub fn alone() -> Rc<Ticket> {
    hold(|| Ticket { _shared: None, _alone: Some(ROOM.write().unwrap_or_else(PoisonError::into_inner)) })
}

/// Waits until no test runs that wants to be alone.
pub fn beside_others() -> Rc<Ticket> {
    hold(|| Ticket { _shared: Some(ROOM.read().unwrap_or_else(PoisonError::into_inner)), _alone: None })
}

fn hold(take: impl FnOnce() -> Ticket) -> Rc<Ticket> {
    HELD.with_borrow_mut(|held| {
        held.upgrade().unwrap_or_else(|| {
            let ticket = Rc::new(take());
            *held = Rc::downgrade(&ticket);
            ticket
        })
    })
}

static ROOM: RwLock<()> = RwLock::new(());

thread_local! {
    static HELD: RefCell<Weak<Ticket>> = const { RefCell::new(Weak::new()) };
}
