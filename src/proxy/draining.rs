//! What the end of a drain does to requests.

use super::shared::Shared;
use crate::access_log::Log;
use crate::admission::Limiter;

impl Shared {
    /// Ends every wait with the reason `draining`. Returns how many there were.
    pub fn close_limits(&self) -> u32 {
        self.limiters().iter().chain(&self.retired).map(Limiter::close).sum()
    }

    /// Requests are about to be cut: those whose clients seem to leave from here on have not left, as the log and the counts
    /// say then.
    pub fn cut(&self) {
        self.registry().cut();
        self.readers.log.iter().for_each(Log::cut);
    }
}
