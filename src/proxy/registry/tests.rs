use super::*;

fn enter(registry: &Registry, worker: usize, id: &'static str) -> Arc<Live> {
    registry.enter(worker, &HeaderValue::from_static(id), None, Instant::now())
}

#[test]
fn a_place_is_free_again_once_nobody_holds_it_and_no_tag_comes_twice() {
    let registry = Registry::new(2);
    let (a, b) = (enter(&registry, 0, "a"), enter(&registry, 1, "b"));
    let also_a = a.clone();
    drop(a);
    assert_eq!(registry.all().len(), 2, "one still holds it");
    let before = [also_a.tag(), b.tag()];
    drop(also_a);
    let c = enter(&registry, 0, "c");
    assert_eq!(registry.shards[0].lock().slots.len(), 1, "the place was not used again");
    assert!(!before.contains(&c.tag()) && before[0] != before[1]);
    let ids: Vec<_> = registry.all().iter().map(|live| live.id.clone()).collect();
    assert_eq!(ids, ["b", "c"]);
}

#[test]
fn whoever_polls_a_request_is_woken_when_it_is_cancelled() {
    let registry = Registry::new(1);
    let (a, b) = (enter(&registry, 0, "a"), enter(&registry, 0, "b"));
    let mut polled = tokio_test::task::spawn(std::future::poll_fn(|cx| a.poll_cancelled(cx)));
    assert!(polled.poll().is_pending());
    assert_eq!(registry.cancel("a").len(), 1);
    assert!(polled.is_woken());
    assert!(polled.poll().is_ready() && !b.is_cancelled());
    assert!(registry.cancel("nobody").is_empty());
}
