//! What is done about an upstream beside its requests.

use super::forward::Upstream;
use super::health::keep_checked;
use super::line::Patience;
use super::resolve::{System, keep_resolved};

impl<B> Upstream<B> {
    /// Whether no endpoint gets requests at the moment.
    pub fn is_closed(&self) -> bool {
        self.members.line.is_closed()
    }

    /// Waits until an endpoint gets requests, for as long as `wait_for_endpoint` says. One that does may be gone again when
    /// this returns; [`send`](Upstream::send) says so.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line, and the others go on.
    pub async fn until_open(&self, patience: Patience) {
        let time = self.settings.wait_for_endpoint;
        if !time.is_zero() {
            self.members.line.wait(time, patience, || (!self.is_closed()).then_some(())).await;
        }
    }
}

impl<B: Send + Sync + 'static> Upstream<B> {
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
