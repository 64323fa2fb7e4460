//! The end: what can still be sent is sent, then all connections are closed.

use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::info;

use super::{Actor, PUMP_TICK};
use crate::config::CLOSE_LINGER;

/// How long an actor whose handles are all gone takes to end.
const UNASKED_CLOSE: Duration = Duration::from_secs(1);

impl Actor {
    pub(super) async fn shut_down(
        mut self,
        asked: Option<(Duration, oneshot::Sender<()>)>,
        server: Option<JoinHandle<()>>,
    ) {
        let (within, reply) = asked.map_or((UNASKED_CLOSE, None), |(within, reply)| (within, Some(reply)));
        self.commands.close();
        let _ = timeout(within / 2, self.send_the_rest()).await;
        self.calls.close();
        if let Some(mut server) = server {
            let drained = timeout(within / 4, &mut server);
            tokio::select! {
                _ = drained => {}
                () = self.keep_going() => {}
            }
            server.abort();
        }
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let _ = timeout(within / 8, self.until_disconnected()).await;
        info!("closed");
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
    }

    /// Empties the outbox as far as peers take it, and gives the connections a moment to write.
    async fn send_the_rest(&mut self) {
        let mut pump = tokio::time::interval(PUMP_TICK);
        while self.outbox.has_work() {
            tokio::select! {
                _ = pump.tick() => self.pump(Instant::now()),
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
            }
        }
        if self.peers.len() == 0 {
            return;
        }
        let linger = tokio::time::sleep(CLOSE_LINGER);
        tokio::pin!(linger);
        loop {
            tokio::select! {
                () = &mut linger => return,
                Some(answered) = self.answers.next() => self.on_answered(answered),
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
            }
        }
    }

    /// Serves the swarm, forever.
    async fn keep_going(&mut self) {
        loop {
            let event = self.swarm.select_next_some().await;
            self.on_swarm_event(event);
        }
    }

    async fn until_disconnected(&mut self) {
        while self.peers.len() > 0 {
            let event = self.swarm.select_next_some().await;
            self.on_swarm_event(event);
        }
    }
}
