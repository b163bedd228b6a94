//! The configuration in force, for those who ask the running process about it.

use super::explain;
use crate::admin::{Configuration, Explained, Question};
use crate::config::{Settings, Written};

/// What was loaded last. It is made into text when somebody asks.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    pub(super) settings: Settings,
    pub(super) written: Written,
}

impl Configuration for InForce {
    fn shown(&self) -> String {
        self.written.show(&self.settings, true)
    }

    fn explain(&self, Question { method, url, headers, from }: &Question) -> Result<Explained, String> {
        let request = explain::request(method, url, headers)?;
        let (route, text) = explain::answer(&self.settings, *from, &request)
            .ok_or_else(|| "The routes conflict, so none can be told.".to_owned())?;
        Ok(Explained { route, text })
    }
}
