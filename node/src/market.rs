//! The market at work: one thread owns the protocol's [`Market`] and the store; everybody else talks to it through a
//! [`MarketHandle`].
//!
//! The thread takes events from a bounded inbox, has the market handle them, commits what follows from several of them
//! at once, and only then runs their effects. What can't be committed is never revealed: the node stops instead.

mod effects;
mod follower;
mod in_flight;
mod inbox;
mod intake;
pub mod metrics;
mod runner;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, CommandError};
use tradepost_protocol::market::event::{Event, News};
use tradepost_protocol::message::BindingId;
use tradepost_protocol::time::Now;

pub(crate) use effects::{Outside, market_peer, network_peer};
pub(crate) use inbox::{INBOX, Work};
pub(crate) use intake::{follow_fees, follow_ledger, follow_network, follow_services, tick};
pub(crate) use runner::{Runner, RunnerParts};

/// How long a question may take to be answered.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a command may take: longer than any transaction's life and the waits before it.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);
/// News that a slow watcher may lag behind by, count; it is told how many it missed.
pub const NEWS: usize = 1_024;

/// Why the market doesn't answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarketStopped {
    /// It has ended.
    #[error("the node's market has stopped: {0}")]
    Ended(Ended),
    /// It has too much to do.
    #[error("the node's market didn't answer within {} s: the machine is overloaded; try again", .0.as_secs())]
    Late(Duration),
}

/// Why the market ended, or the node with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The node was stopped.
    #[error("the node was stopped")]
    Asked,
    /// What had to be durable could not be stored; nothing of it was revealed.
    #[error("its state can't be stored: {0}; once that is mended, start the node again: it goes on where it was")]
    Store(String),
    /// A fault in this program.
    #[error("a fault in the program ended it: see the log; start the node again: it goes on where it was")]
    Fault,
    /// The network's task is gone, and with it every peer.
    #[error("a fault in the program ended its network: see the log; start the node again: it goes on where it was")]
    Network,
    /// It was stopped and doesn't end.
    #[error("its store doesn't close, so it was left; see that its disk answers; the next start goes on where it was")]
    Stuck,
}

/// The way to the market's thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct MarketHandle {
    inbox: mpsc::Sender<Work>,
    news: broadcast::Sender<News>,
    ended: watch::Receiver<Option<Ended>>,
    stopping: Arc<AtomicBool>,
}

/// What the runner holds of the handle's other ends.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) inbox: mpsc::Receiver<Work>,
    pub(crate) news: broadcast::Sender<News>,
    pub(crate) ended: watch::Sender<Option<Ended>>,
    pub(crate) stopping: Arc<AtomicBool>,
}

impl MarketHandle {
    /// A handle and what its runner needs. Until that runs, questions wait.
    pub(crate) fn new() -> (Self, Mailbox) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let news = broadcast::Sender::new(NEWS);
        let (end, ended) = watch::channel(None);
        let stopping = Arc::new(AtomicBool::new(false));
        let mailbox = Mailbox { inbox, news: news.clone(), ended: end, stopping: Arc::clone(&stopping) };
        (Self { inbox: sender, news, ended, stopping }, mailbox)
    }

    /// Runs a question on the market's thread between two events. All that it can see is durable. It should be short:
    /// meanwhile nothing else happens.
    ///
    /// # Errors
    /// [`MarketStopped`].
    pub async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&Market, Now) -> R + Send + 'static,
    ) -> Result<R, MarketStopped> {
        let (reply, answer) = oneshot::channel();
        let question = move |market: &Market, now: Now| {
            // Whoever no longer waits for the answer doesn't want it.
            let _ = reply.send(question(market, now));
        };
        self.exchange(Work::Question(Box::new(question)), answer, ASK_TIMEOUT).await
    }

    /// Has the market do something, and waits for what it led to. For [`Command::CallDone`], which has no answer, use
    /// [`MarketHandle::call_done`].
    ///
    /// # Errors
    /// [`MarketStopped`]; the command may be carried out all the same.
    pub async fn command(&self, command: Command) -> Result<Result<Answer, CommandError>, MarketStopped> {
        let (reply, answer) = oneshot::channel();
        self.exchange(Work::Command { command, reply }, answer, COMMAND_TIMEOUT).await
    }

    /// Tells that a call that was let through is over. Never waits, never fails: where the market has no room now, it
    /// is told as soon as there is.
    pub fn call_done(&self, binding: BindingId, failed: bool) {
        if let Err(mpsc::error::TrySendError::Full(work)) = self.inbox.try_send(Work::CallDone { binding, failed }) {
            let inbox = self.inbox.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { inbox.send(work).await });
            }
        }
    }

    /// What changes from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// How much waits for the market now, count.
    pub fn waiting(&self) -> usize {
        self.inbox.max_capacity() - self.inbox.capacity()
    }

    /// Why the market has ended, once it has.
    pub fn has_ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits until the market has ended, with its store closed.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or(Ended::Fault),
            Err(_) => self.has_ended().unwrap_or(Ended::Fault),
        }
    }

    /// Ends the market after the events that it is handling.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // A full inbox wakes it as well.
        let _ = self.inbox.try_send(Work::Wake);
    }

    /// Hands an event over, as soon as there is room.
    pub(crate) async fn send(&self, event: Event) {
        // Where the market has ended nobody needs the event.
        let _ = self.inbox.send(Work::Event(event)).await;
    }

    pub(crate) fn inbox(&self) -> &mpsc::Sender<Work> {
        &self.inbox
    }

    async fn exchange<T>(
        &self,
        work: Work,
        answer: oneshot::Receiver<T>,
        within: Duration,
    ) -> Result<T, MarketStopped> {
        let exchange = async {
            self.inbox.send(work).await.ok()?;
            answer.await.ok()
        };
        match timeout(within, exchange).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(MarketStopped::Ended(self.ended().await)),
            Err(_) => Err(MarketStopped::Late(within)),
        }
    }
}
