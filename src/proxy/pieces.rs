//! A body that is held for a while.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

/// Frames, in order. They are copied together into pieces, since frames each hold on to a buffer many times their size;
/// but not one that somebody waits for.
#[derive(Debug)]
pub(super) struct Pieces {
    full: VecDeque<Bytes>,
    filling: BytesMut,
    /// How large a piece becomes.
    size: usize,
    len: usize,
    trailers: Option<HeaderMap>,
}

/// What is written at once is not much larger.
const PIECE: usize = 16 << 10;

impl Pieces {
    /// Nothing yet, of about `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        let size = most.clamp(1, PIECE);
        Pieces { full: VecDeque::new(), filling: BytesMut::new(), size, len: 0, trailers: None }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0 && self.trailers.is_none()
    }

    /// Adds a frame, which is taken at once if it is `awaited`.
    pub(super) fn push(&mut self, frame: Frame<Bytes>, awaited: bool) {
        match frame.into_data() {
            Ok(data) if awaited && self.len == 0 && !data.is_empty() => {
                self.len = data.len();
                self.full.push_back(data);
            }
            Ok(data) => self.push_data(data),
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
    }

    fn push_data(&mut self, mut data: Bytes) {
        self.len += data.len();
        while !data.is_empty() {
            if self.filling.is_empty() {
                self.filling = BytesMut::with_capacity(self.size);
            }
            let room = self.size - self.filling.len();
            self.filling.extend_from_slice(&data.split_to(room.min(data.len())));
            if self.filling.len() == self.size {
                self.full.push_back(std::mem::take(&mut self.filling).freeze());
            }
        }
    }

    /// Takes the next of it.
    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.len == 0 {
            return self.trailers.take().map(Frame::trailers);
        }
        let data = self.full.pop_front().unwrap_or_else(|| std::mem::take(&mut self.filling).freeze());
        self.len -= data.len();
        Some(Frame::data(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_what_went_in() {
        for most in [1, 7, 100, 1 << 20] {
            let mut pieces = Pieces::new(most);
            let (mut sent, mut taken) = (Vec::new(), Vec::new());
            for step in 0..400_usize {
                let data: Vec<u8> = (0..step * 37 % 101).map(|byte| (byte + step) as u8).collect();
                sent.extend_from_slice(&data);
                pieces.push(Frame::data(data.into()), step % 2 == 0);
                if step % 3 == 0 {
                    taken.extend(pieces.next().and_then(|frame| frame.into_data().ok()).unwrap_or_default());
                }
                assert_eq!(pieces.len(), sent.len() - taken.len());
            }
            pieces.push(Frame::trailers(HeaderMap::new()), false);
            while let Some(Ok(data)) = pieces.next().map(Frame::into_data) {
                taken.extend(data);
            }
            assert!(pieces.is_empty() && sent == taken, "{most}");
        }
    }
}
