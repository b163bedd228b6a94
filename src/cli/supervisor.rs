//! What a service manager is told, where one listens: systemd's notify protocol on `NOTIFY_SOCKET`, see sd_notify(3).

use sd_notify::NotifyState;

/// It serves. `status` is the line that `systemctl status` shows.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It loads its configuration again; [`reloaded`] says what became of it.
pub(super) fn reloading() {
    // systemd 253 and later waits for the reload, and wants to know when it began.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager can't be told when the reload began"),
    }
}

/// It goes on serving, with the new configuration or without.
pub(super) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// It drains, and ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager can't be told (NOTIFY_SOCKET)");
    }
}
