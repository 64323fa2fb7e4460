//! Bodies that may not stand still.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::BoxError;

/// The other side sent nothing for too long.
#[derive(Debug, thiserror::Error)]
#[error("the body stood still for {0:?}")]
pub(crate) struct StoodStill(Duration);

/// A body that fails once it stands still for `idle`, and holds `guard` until it ends.
pub(crate) struct Watched<B, G> {
    body: B,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    guard: Option<G>,
}

impl<B, G> Watched<B, G> {
    pub(crate) fn new(body: B, idle: Duration, guard: G) -> Self {
        Self { body, idle, timer: Box::pin(sleep(idle)), guard: Some(guard) }
    }
}

impl<B, G> Body for Watched<B, G>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    G: Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.timer.as_mut().reset(Instant::now() + this.idle);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => {
                this.guard = None;
                Poll::Ready(ended.map(|error| error.map_err(Into::into)))
            }
            Poll::Pending => {
                std::task::ready!(this.timer.as_mut().poll(cx));
                this.guard = None;
                Poll::Ready(Some(Err(StoodStill(this.idle).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use futures::StreamExt;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_body_that_stands_still_fails_and_lets_its_guard_go() {
        let guard = Arc::new(());
        let one = futures::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"a")))]);
        let body = StreamBody::new(one.chain(futures::stream::pending()));
        let mut body = Watched::new(body, Duration::from_millis(20), guard.clone());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert_eq!(Arc::strong_count(&guard), 2);
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("stood still"));
        assert_eq!(Arc::strong_count(&guard), 1);
    }
}
