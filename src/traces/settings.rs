//! Where spans go and which requests have any, once the configuration has been checked.

use crate::upstream;

/// Which requests are traced, and who collects their spans.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The collector. Its base path is the whole path that spans are sent to.
    pub collector: upstream::Settings,
    /// Which share of those requests is traced of which nobody says whether they are, from 0 to 1. Default 1.
    pub sample: f64,
}
