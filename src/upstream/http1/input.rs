//! What was read, on its way to whoever it is for.
//!
//! It shares the connection's buffer, and as long as somebody has some of it, the connection needs another one. Whoever may
//! hold on to it for longer than the exchange takes gets a copy, where there is little of it.

use bytes::{Buf, Bytes, BytesMut};

/// What is larger is not copied.
const SMALL: usize = 2 << 10;

/// Takes the first `len` bytes off `input`.
pub(super) fn take(input: &mut BytesMut, len: usize, detached: bool) -> Bytes {
    if !detached || len > SMALL {
        return input.split_to(len).freeze();
    }
    let taken = Bytes::copy_from_slice(&input[..len]);
    input.advance(len);
    taken
}

/// What was taken, as it is to be had.
pub(super) fn taken(data: Bytes, detached: bool) -> Bytes {
    if detached && data.len() <= SMALL { Bytes::copy_from_slice(&data) } else { data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_detached_keeps_nothing_of_the_buffer() {
        for (len, detached, free) in [(9, true, true), (9, false, false), (SMALL, true, true), (SMALL + 1, true, false)]
        {
            let mut input = BytesMut::with_capacity(2 * SMALL);
            let buffer = input.as_ptr();
            input.extend_from_slice(&vec![b'a'; len]);
            let held = take(&mut input, len, detached);
            input.reserve(2 * SMALL);
            assert_eq!(input.as_ptr() == buffer, free, "{len} {detached}");
            assert_eq!((held.len(), taken(held.clone(), detached)), (len, held));
        }
    }
}
