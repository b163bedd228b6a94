//! Fields that are in line after line as they were in one before: on one route most requests differ in what they ask for and
//! in how long it took, and in nothing else.

use std::sync::Arc;

use super::json::Object;

/// Some fields as they were written last, with what they were written of. As many as there are places for are kept.
#[derive(Debug)]
pub(super) struct Repeated<K>([Option<Written<K>>; PLACES]);

#[derive(Debug)]
struct Written<K> {
    of: K,
    text: Vec<u8>,
}

/// Requests take turns between the endpoints of an upstream, and between routes.
const PLACES: usize = 8;

impl<K> Default for Repeated<K> {
    fn default() -> Self {
        Repeated(std::array::from_fn(|_| None))
    }
}

impl<K> Repeated<K> {
    /// Writes them, again if those in their place are the `same`. Otherwise `fields` are written anew, `of` what is given.
    /// Those that differ in `place` have places of their own.
    #[inline(always)]
    pub(super) fn write(
        &mut self,
        line: &mut Object<'_>,
        place: usize,
        same: impl Fn(&K) -> bool,
        of: impl FnOnce() -> K,
        fields: impl Fn(&mut Object<'_>),
    ) {
        let here = &mut self.0[place % PLACES];
        match here {
            Some(written) if same(&written.of) => line.again(&written.text),
            _ => {
                *here = Some(Written { of: of(), text: written(fields) });
                line.again(&here.as_ref().expect("it was put there").text);
            }
        }
    }
}

#[cold]
#[inline(never)]
fn written(fields: impl Fn(&mut Object<'_>)) -> Vec<u8> {
    let mut text = vec![0; 256];
    loop {
        let mut object = Object::begin(&mut text, "");
        fields(&mut object);
        if let Some(left) = object.end() {
            text.truncate(text.len() - left - "}\n".len());
            return text;
        }
        text = vec![0; text.len() * 2];
    }
}

/// A place for what belongs to a name.
#[inline(always)]
pub(super) fn place<T: ?Sized>(name: Option<&Arc<T>>) -> usize {
    // Two that are alive are at least two words apart, and more if they were made for different things.
    name.map_or(0, |name| {
        let at = Arc::as_ptr(name).addr();
        at >> 4 ^ at >> 8
    })
}

/// Whether two names are one: of one route, not only alike.
#[inline(always)]
pub(super) fn is_same<T: ?Sized>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// The same of words of ours.
#[inline(always)]
pub(super) fn is_same_word(one: Option<&'static str>, other: Option<&'static str>) -> bool {
    one.map(|word| (word.as_ptr(), word.len())) == other.map(|word| (word.as_ptr(), word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::json::name;

    #[test]
    fn what_is_the_same_is_written_once_and_what_is_not_is_not_taken_for_it() {
        let count = std::cell::Cell::new(0);
        let mut repeated = Repeated::default();
        let mut write = |place: usize, value: u64, long: &str| {
            let mut room = vec![0; 5000];
            let mut line = Object::begin(&mut room, "{\"kind\":1");
            repeated.write(
                &mut line,
                place,
                |before| *before == value,
                || value,
                |line| {
                    count.set(count.get() + 1);
                    line.number(name!("value"), value);
                    line.text(name!("long", text), long.as_bytes());
                },
            );
            let left = line.end().unwrap();
            room.truncate(room.len() - left);
            String::from_utf8(room).unwrap()
        };
        assert_eq!(write(1, 7, "a"), "{\"kind\":1,\"value\":7,\"long\":\"a\"}\n");
        assert_eq!(write(1, 7, "b"), "{\"kind\":1,\"value\":7,\"long\":\"a\"}\n", "as it was written");
        assert_eq!(write(2, 8, "c"), "{\"kind\":1,\"value\":8,\"long\":\"c\"}\n");
        assert_eq!(write(1, 7, "d"), "{\"kind\":1,\"value\":7,\"long\":\"a\"}\n", "places differ");
        assert_eq!(write(1 + PLACES, 9, "e"), "{\"kind\":1,\"value\":9,\"long\":\"e\"}\n", "the place is taken");
        let before = count.get();
        let long = "x".repeat(2000);
        assert_eq!(write(3, 1, &long), format!("{{\"kind\":1,\"value\":1,\"long\":\"{long}\"}}\n"));
        assert!(count.get() > before + 1, "it was given more room");
    }
}
