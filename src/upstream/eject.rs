//! Endpoints that fail time after time get no requests for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::endpoint::Seat;
use super::load::Out;

/// When an endpoint is left alone, and for how long. What counts are connections that can't be made and those that end
/// before the head of an answer; what the upstream says is its own affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eject {
    /// So many failures in a row, with no answer between them. Default 5.
    pub failures: u32,
    /// For so long. Default 10 s.
    pub time: Duration,
}

impl Default for Eject {
    fn default() -> Self {
        Eject { failures: 5, time: Duration::from_secs(10) }
    }
}

impl Seat {
    /// It has answered after so long, whatever it was.
    pub(super) fn answered(&self, time: Duration) {
        self.member().load().answered_after(time);
    }

    /// There was no answer, or none that can be passed on.
    pub(super) fn erred(&self) {
        self.member().load().erred();
    }

    /// It could not be reached, or has closed the connection before it answered.
    pub(super) fn failed(&self, eject: Option<Eject>) {
        let load = self.member().load();
        load.erred();
        let Some(Eject { failures, time }) = eject else { return };
        if load.failed() < failures || load.is_out() {
            return;
        }
        // Without a runtime there would be nobody to take it back.
        let (Ok(runtime), Some(members)) = (Handle::try_current(), self.members()) else { return };
        if !members.take_out_unless_last(load, Out::Ejected) {
            return;
        }
        tracing::warn!(endpoint = %self.endpoint(), failures, ?time, "an endpoint gets no requests for a while");
        let (members, load, name) = (Arc::downgrade(&members), load.clone(), self.endpoint().clone());
        runtime.spawn(async move {
            let _back = Back(Some(move || {
                load.answered();
                // It may have been taken back before, as the last one left.
                if members.upgrade().is_some_and(|members| members.set(&load, Out::Ejected, false)) {
                    tracing::info!(endpoint = %name, "an endpoint gets requests again");
                }
            }));
            sleep(time).await;
        });
    }
}

/// Takes it back when it is dropped: also where the worker that waits for that ends before its time.
struct Back<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Back<F> {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|back| back());
    }
}
