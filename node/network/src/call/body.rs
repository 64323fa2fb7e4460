//! Bodies that may not stand still, whoever of the two sides it is that doesn't go on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::BoxError;

/// Nothing of a body moved for too long.
#[derive(Debug, thiserror::Error)]
#[error("the body stood still for {0:?}")]
pub(crate) struct StoodStill(Duration);

/// A body that is given up once it stands still for `idle`, and holds `guard` until it ends.
///
/// hyper doesn't ask a body for more while the other side reads nothing, so that the body alone would never learn how long
/// that lasts: a task of its own looks.
pub(crate) struct Watched<B, G> {
    shared: Arc<Mutex<Shared<B, G>>>,
    idle: Duration,
    watch: Option<AbortHandle>,
}

struct Shared<B, G> {
    /// Gone once it has ended or was given up.
    body: Option<(B, G)>,
    given_up: bool,
    moved_at: Instant,
    reader: Option<Waker>,
}

impl<B, G> Watched<B, G>
where
    B: Body + Send + 'static,
    G: Send + 'static,
{
    /// Must be called within a tokio runtime.
    pub(crate) fn new(body: B, idle: Duration, guard: G) -> Self {
        let empty = body.is_end_stream();
        let shared = Shared { body: Some((body, guard)), given_up: false, moved_at: Instant::now(), reader: None };
        let shared = Arc::new(Mutex::new(shared));
        let watch = (!empty).then(|| tokio::spawn(give_up_late(shared.clone(), idle)).abort_handle());
        Self { shared, idle, watch }
    }
}

/// Ends when the body has, or gives it up when it stands still.
async fn give_up_late<B, G>(shared: Arc<Mutex<Shared<B, G>>>, idle: Duration) {
    loop {
        let due = {
            let mut shared = lock(&shared);
            let due = shared.moved_at + idle;
            if shared.body.is_none() {
                return;
            }
            if Instant::now() >= due {
                shared.body = None;
                shared.given_up = true;
                if let Some(reader) = shared.reader.take() {
                    reader.wake();
                }
                return;
            }
            due
        };
        sleep_until(due).await;
    }
}

fn lock<B, G>(shared: &Mutex<Shared<B, G>>) -> MutexGuard<'_, Shared<B, G>> {
    // A body that panicked has left the rest whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B, G> Drop for Watched<B, G> {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
        lock(&self.shared).body = None;
    }
}

impl<B, G> Body for Watched<B, G>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut shared = lock(&self.shared);
        let Some((body, _)) = &mut shared.body else {
            let given_up = std::mem::take(&mut shared.given_up);
            return Poll::Ready(given_up.then(|| Err(StoodStill(self.idle).into())));
        };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                shared.moved_at = Instant::now();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => {
                shared.body = None;
                Poll::Ready(ended.map(|error| error.map_err(Into::into)))
            }
            Poll::Pending => {
                shared.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        shared.body.as_ref().map_or(!shared.given_up, |(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.shared).body.as_ref().map_or_else(SizeHint::default, |(body, _)| body.size_hint())
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

    #[tokio::test]
    async fn a_body_that_nobody_reads_is_given_up_too() {
        let guard = Arc::new(());
        let endless = futures::stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"a"))));
        let mut body = Watched::new(StreamBody::new(endless), Duration::from_millis(20), guard.clone());
        assert!(body.frame().await.unwrap().is_ok());
        let gone = async {
            while Arc::strong_count(&guard) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("stood still"));
        assert!(body.frame().await.is_none(), "and that is its end");
    }
}
