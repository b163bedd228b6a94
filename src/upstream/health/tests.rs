//! What checks in a row make of an endpoint.

use super::super::settings::Endpoint;
use super::*;

fn endpoint() -> (Arc<Members>, Patient, Site, Settings) {
    let endpoint = Endpoint { host: "10.0.0.1".to_owned(), port: 80 };
    let site = Site::new(&endpoint);
    let settings = Settings { health: Some(Health::new(Probe::Tcp)), ..Settings::new("u", endpoint) };
    let members = Arc::new(Members::new());
    members.put(&settings, 1);
    let load = members.list.load()[0].load().clone();
    let patient = Patient { members: Arc::downgrade(&members), load, run: 0 };
    (members, patient, site, settings)
}

#[test]
fn only_so_many_checks_in_a_row_change_anything() {
    let (members, mut patient, site, settings) = endpoint();
    let health = settings.health.clone().unwrap();
    // Three in a row for down, two for up: what is good and bad, and whether it gets requests then.
    for (at, (good, up)) in [
        (false, true),
        (false, true),
        (true, true),
        (false, true),
        (false, true),
        (false, false),
        (true, false),
        (false, false),
        (true, false),
        (true, true),
        (false, true),
    ]
    .into_iter()
    .enumerate()
    {
        patient.told(&site, &if good { Ok(()) } else { Err("ill") }, &health);
        assert_eq!(members.status()[0].is_up(), up, "check {at}");
    }
}

#[test]
fn who_is_not_checked_any_more_is_not_down_for_ever() {
    let (members, patient, _, settings) = endpoint();
    members.set(&patient.load, Out::Down, true);
    members.put(&Settings { retries: 0, ..settings.clone() }, 1);
    assert_eq!(members.status()[0].state, "down");
    members.put(&Settings { health: None, ..settings }, 1);
    assert_eq!(members.status()[0].state, "up");
}
