//! What is answered before the proxy looks at a request.

use std::sync::Arc;

use http::{Method, Request, Response};

use super::worker::Worker;
use crate::proxy::{Body, Client, Proxy, Refusal, RequestBody};

impl Worker {
    /// The answer to a request that goes no further: one that asks for our health, or declares too large a body.
    pub(super) fn answer_at_once(
        &self,
        client: &Arc<Client>,
        request: &Request<RequestBody>,
    ) -> Option<Response<Body>> {
        if let Some(path) = &self.settings.health_path
            && request.uri().path() == path
            && matches!(*request.method(), Method::GET | Method::HEAD)
        {
            return Some(Proxy::say_health(request, self.control.is_draining()));
        }
        let too_large = request.body().is_declared_too_large();
        too_large.then(|| self.proxy.refuse_request(client, request, Refusal::BodyTooLarge))
    }
}
