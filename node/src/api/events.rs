//! `/v1/events`: what changes, as server-sent events. A watcher that is too slow is told how much it missed, and should
//! then read anew what it shows.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tradepost_protocol::market::event::News;
use tradepost_protocol::message::{MessageId, SeriesId};

use super::context::Context;
use super::problem::Problem;

/// How often a quiet stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a server-sent event's data says; the event's name is its `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The stream begins; what changes from now on follows.
    Watching,
    /// A series appeared, changed or went.
    Offering {
        /// Which.
        series: SeriesId,
    },
    /// A binding moved.
    Binding {
        /// Its request.
        request: MessageId,
    },
    /// Money of this node's account moved or was reserved.
    Wallet,
    /// The watcher was too slow.
    Lagged {
        /// How many changes it wasn't told.
        missed: u64,
    },
}

impl Change {
    const fn name(&self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Offering { .. } => "offering",
            Self::Binding { .. } => "binding",
            Self::Wallet => "wallet",
            Self::Lagged { .. } => "lagged",
        }
    }
}

impl From<Result<News, BroadcastStreamRecvError>> for Change {
    fn from(news: Result<News, BroadcastStreamRecvError>) -> Self {
        match news {
            Ok(News::Offering(series)) => Self::Offering { series },
            Ok(News::Binding(request)) => Self::Binding { request },
            Ok(News::Wallet) => Self::Wallet,
            Err(BroadcastStreamRecvError::Lagged(missed)) => Self::Lagged { missed },
        }
    }
}

pub(super) async fn events(
    State(context): State<Context>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = context.watcher()?;
    let news = BroadcastStream::new(context.node().market.news()).map(Change::from);
    let changes = futures::stream::iter([Change::Watching]).chain(news);
    let closing = context.closing();
    let events = changes.map(move |change| Ok(event(&change, &place))).take_until(closing);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The permit is held by the stream for as long as it is watched.
fn event(change: &Change, _place: &OwnedSemaphorePermit) -> Event {
    let data = serde_json::to_string(change).expect("ids and numbers are JSON");
    Event::default().event(change.name()).data(data)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_change_has_its_golden_data() {
        let (series, request) = (SeriesId::from_bytes([1; 32]), MessageId::from_bytes([2; 32]));
        let golden = [
            (Change::Watching, r#"{"kind":"watching"}"#.to_owned()),
            (Change::from(Ok(News::Offering(series))), format!(r#"{{"kind":"offering","series":"{series}"}}"#)),
            (Change::from(Ok(News::Binding(request))), format!(r#"{{"kind":"binding","request":"{request}"}}"#)),
            (Change::from(Ok(News::Wallet)), r#"{"kind":"wallet"}"#.to_owned()),
            (Change::from(Err(BroadcastStreamRecvError::Lagged(7))), r#"{"kind":"lagged","missed":7}"#.to_owned()),
        ];
        for (change, json) in golden {
            assert_eq!(serde_json::to_string(&change).unwrap(), json);
            assert!(json.contains(change.name()));
        }
    }
}
