//! Accepts connections, a bounded number at a time, and gives each a bounded
//! time to say what it wants.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The most connections that are open at a time; others wait to be accepted.
pub const MAX_CONNECTIONS: usize = 1_024;
/// How long a connection may take to send a request's header, and how long it
/// may stay idle between two.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause after the system couldn't accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the server stops, then finishes what is being answered.
pub(super) async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = stop(&mut stopped) => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Else small answers wait for the client's acknowledgement of
                // what came before them. Where it can't be set they do.
                let _ = stream.set_nodelay(true);
                let answering = answer(stream, router.clone(), stopped.clone());
                connections.spawn(async move {
                    answering.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "couldn't accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn answer(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Returns when the server stops.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    // The sender is dropped only when the server is.
    let _ = stopped.wait_for(|stop| *stop).await;
}
