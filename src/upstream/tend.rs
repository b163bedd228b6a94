//! What is done about an upstream beside its requests.

use super::forward::Upstream;
use super::health::keep_checked;
use super::resolve::{System, keep_resolved};

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
