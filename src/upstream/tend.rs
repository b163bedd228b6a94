//! What is done about an upstream beside its requests.

use tokio::time::Instant;

use super::error::Failure;
use super::forward::Upstream;
use super::health::keep_checked;
use super::line::Patience;
use super::resolve::{System, keep_resolved};
use super::settings::Settings;

impl Upstream {
    /// Whether no endpoint gets requests at the moment.
    pub fn is_closed(&self) -> bool {
        self.members.line.is_closed()
    }

    /// How its endpoints are, in words: `1 drained by hand, 2 down`.
    pub fn standing(&self) -> String {
        self.members.standing()
    }

    /// Whether it is worth while for somebody so patient to wait for a permit, where no endpoint gets requests.
    ///
    /// # Errors
    /// [`Failure::Paused`] where the pause is too long. [`Failure::NoEndpoint`] where there are slots, and nobody waits for
    /// an endpoint: what still runs has all of them, and there will be none for others.
    pub fn is_worth_waiting(&self, patience: Patience) -> Result<(), Failure> {
        let Settings { wait_for_endpoint, slots, .. } = &self.settings;
        match self.members.line.back() {
            Some(back) if !patience.outlasts(back, *wait_for_endpoint) => Err(paused_until(back)),
            None if self.is_closed() && !slots.is_empty() && wait_for_endpoint.is_zero() => Err(Failure::NoEndpoint),
            _ => Ok(()),
        }
    }

    /// Waits until an endpoint gets requests: where all are paused, for as long as `patience` lasts, else for as long as
    /// `wait_for_endpoint` says. One that gets some may be gone again when this returns; [`send`](Upstream::send) says so.
    ///
    /// # Errors
    /// [`Failure::Paused`] as soon as its patience will not last until the end of a pause.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line, and the others go on.
    pub async fn until_open(&self, patience: Patience) -> Result<(), Failure> {
        let line = &self.members.line;
        match line.wait(self.settings.wait_for_endpoint, patience, || (!self.is_closed()).then_some(())).await {
            Some(()) => Ok(()),
            None => line.back().map_or(Ok(()), |back| Err(paused_until(back))),
        }
    }
}

fn paused_until(back: Instant) -> Failure {
    Failure::Paused(back.saturating_duration_since(Instant::now()))
}

impl Upstream {
    /// Looks after the endpoints: keeps the addresses of their names up to date, and asks how they are. To be run for as long as the upstream is in
    /// force, on a runtime that no request waits for.
    ///
    /// # Cancel safety
    /// It can be dropped at any time; what it has found stays.
    pub async fn tend(&self) {
        let resolving = keep_resolved(&self.members, &self.settings, &System);
        let checking = async {
            if let Some(health) = &self.settings.health {
                keep_checked(&self.members, &self.settings, health).await;
            }
        };
        tokio::join!(resolving, checking);
    }
}
