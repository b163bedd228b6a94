//! The request body, and what has been taken of it.
//!
//! A request that the upstream has certainly not begun with is sent again whatever its method, and its body with it: what
//! was taken of that is kept until the head of the response has come, up to [`KEPT`] for each request. Whoever sends a
//! body has the permit, so all of it together is bounded by the limit.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::error::BoxError;

/// A body that can be given out once more from its start, as long as little of it has been taken.
#[derive(Debug)]
pub(super) struct Source<B> {
    /// `None` once its end has been taken: it may hold memory of its own.
    body: Option<B>,
    /// What is given out before anything else is asked of it.
    again: VecDeque<Piece>,
    /// What has been given out; `None` if it can't be had again.
    taken: Option<Vec<Piece>>,
    cost: usize,
}

/// A part of a body.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Data(Bytes),
    /// The last of it, which may be empty.
    Last(Bytes),
    /// They are the last.
    Trailers(HeaderMap),
}

/// What is kept of one body: what servers commonly grant to a stream before they have seen anything of it.
const KEPT: usize = 64 << 10;

/// What one piece costs at least: a body may come byte by byte.
const PIECE: usize = 256;

impl<B> Source<B> {
    pub(super) fn new(body: B) -> Self {
        Source { body: Some(body), again: VecDeque::new(), taken: Some(Vec::new()), cost: 0 }
    }

    /// All of it, from its start, if that can be had again.
    pub(super) fn rewound(mut self) -> Option<Self> {
        self.again = self.taken.replace(Vec::new())?.into_iter().chain(self.again).collect();
        self.cost = 0;
        Some(self)
    }

    /// Nobody will want it again.
    pub(super) fn forget(&mut self) {
        self.taken = None;
    }

    fn keep(&mut self, piece: &Piece) {
        self.cost += piece.cost();
        match &mut self.taken {
            Some(taken) if self.cost <= KEPT => taken.push(piece.clone()),
            taken => *taken = None,
        }
    }
}

impl<B> Source<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// The next piece. Not to be asked after the last one, nor after an error.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, BoxError>> {
        let piece = match self.again.pop_front() {
            Some(piece) => piece,
            None => match ready!(self.poll_body(cx)) {
                Ok(piece) => piece,
                Err(error) => {
                    // What has failed does not become whole by being asked again.
                    self.forget();
                    return Poll::Ready(Err(error));
                }
            },
        };
        self.keep(&piece);
        if piece.is_last() {
            self.body = None;
        }
        Poll::Ready(Ok(piece))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, BoxError>> {
        let body = self.body.as_mut().expect("the last piece has not been taken");
        loop {
            let frame = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(frame) => frame.map_err(Into::into)?,
                None => return Poll::Ready(Ok(Piece::Last(Bytes::new()))),
            };
            match frame.into_data().map_err(Frame::into_trailers) {
                Ok(data) if body.is_end_stream() => return Poll::Ready(Ok(Piece::Last(data))),
                Ok(data) => return Poll::Ready(Ok(Piece::Data(data))),
                Err(Ok(trailers)) => return Poll::Ready(Ok(Piece::Trailers(trailers))),
                // There are no other frames yet.
                Err(Err(_)) => {}
            }
        }
    }
}

impl Piece {
    pub(super) fn is_last(&self) -> bool {
        !matches!(self, Piece::Data(_))
    }

    fn cost(&self) -> usize {
        let size = match self {
            Piece::Data(data) | Piece::Last(data) => data.len(),
            Piece::Trailers(trailers) => trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum(),
        };
        size.max(PIECE)
    }
}

/// A [`Source`] between the one who sends it and the one who may have to have it sent again.
#[derive(Debug)]
pub(super) struct Shared<B>(Arc<Mutex<Option<Source<B>>>>);

impl<B> Shared<B> {
    pub(super) fn new(source: Source<B>) -> Self {
        Shared(Arc::new(Mutex::new(Some(source))))
    }

    /// Nobody will want it again.
    pub(super) fn forget(&self) {
        if let Some(source) = &mut *self.lock() {
            source.forget();
        }
    }

    /// All of it, from its start, if that can be had. Nobody gets any more of it from here.
    pub(super) fn take_back(&self) -> Option<Source<B>> {
        mem::take(&mut *self.lock())?.rewound()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Source<B>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// See [`Source::poll_piece`]; nothing, once it has been taken back.
    pub(super) fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BoxError>>> {
        match &mut *self.lock() {
            Some(source) => source.poll_piece(cx).map(Some),
            None => Poll::Ready(None),
        }
    }
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    type Frames = Vec<Result<Frame<Bytes>, BoxError>>;

    /// What can be had of it now, and whether that is all.
    fn read<B>(shared: &Shared<B>) -> (Vec<u8>, bool)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let mut read = Vec::new();
        loop {
            match poll_fn(|cx| shared.poll_piece(cx)).now_or_never().flatten() {
                Some(Ok(Piece::Data(data))) => read.extend_from_slice(&data),
                Some(Ok(Piece::Last(data))) => return ([&read, &data[..]].concat(), true),
                Some(Ok(Piece::Trailers(_))) => return (read, true),
                Some(Err(_)) | None => return (read, false),
            }
        }
    }

    fn body(frames: Frames, ended: bool) -> impl Body<Data = Bytes, Error = BoxError> + Unpin {
        use futures_util::stream::{StreamExt, iter, pending};
        let rest = if ended { iter(Vec::new()).boxed() } else { pending().boxed() };
        StreamBody::new(iter(frames).chain(rest))
    }

    fn pieces(n: usize, size: usize) -> Frames {
        (0..n).map(|i| Ok(Frame::data(Bytes::from(vec![i as u8; size])))).collect()
    }

    #[test]
    fn what_was_taken_can_be_had_again_with_the_rest_behind_it() {
        let trailers = Ok(Frame::trailers(HeaderMap::new()));
        for frames in [pieces(3, 10), pieces(1, KEPT - PIECE), pieces(3, 10).into_iter().chain([trailers]).collect()] {
            let mut shared = Shared::new(Source::new(body(frames, true)));
            let first = read(&shared);
            assert!(first.1);
            for _ in 0..3 {
                shared = Shared::new(shared.take_back().expect("it is small"));
                assert_eq!(read(&shared), first);
            }
        }
    }

    #[test]
    fn half_a_repetition_can_be_repeated() {
        let shared = Shared::new(Source::new(body(pieces(3, 2), false)));
        assert_eq!(read(&shared), (vec![0, 0, 1, 1, 2, 2], false));
        let shared = Shared::new(shared.take_back().unwrap());
        assert!(matches!(poll_fn(|cx| shared.poll_piece(cx)).now_or_never(), Some(Some(Ok(Piece::Data(_))))));
        let shared = Shared::new(shared.take_back().unwrap());
        assert_eq!(read(&shared), (vec![0, 0, 1, 1, 2, 2], false));
    }

    #[test]
    fn no_more_is_kept_than_is_said_also_of_a_body_that_comes_byte_by_byte() {
        for frames in [pieces(1, KEPT + 1), pieces(3, KEPT / 2), pieces(KEPT / PIECE + 1, 1)] {
            let shared = Shared::new(Source::new(body(frames, true)));
            assert!(read(&shared).1);
            assert!(shared.take_back().is_none());
        }
    }

    #[test]
    fn what_was_forgotten_or_has_failed_cannot_be_had_again() {
        let shared = Shared::new(Source::new(body(pieces(2, 1), true)));
        read(&shared);
        shared.forget();
        assert!(shared.take_back().is_none());
        let failing = [pieces(1, 1), vec![Err("cut".into())]].into_iter().flatten().collect();
        let shared = Shared::new(Source::new(body(failing, true)));
        assert_eq!(read(&shared), (vec![0], false));
        assert!(shared.take_back().is_none());
    }

    #[test]
    fn a_body_is_let_go_of_with_its_last_piece() {
        let held = Arc::new(());
        let kept = held.clone();
        let body = Full::new(Bytes::from("all of it")).map_frame(move |frame| {
            let _ = &kept;
            frame
        });
        let shared = Shared::new(Source::new(body));
        assert_eq!(read(&shared), (b"all of it".to_vec(), true));
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(shared.take_back().is_some());
    }
}
