//! A gate between one node and its ledger's server, which a test can shut.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes that are carried at a time.
const CHUNK: usize = 16 * 1024;
/// Pause after a connection that couldn't be taken.
const PAUSE: Duration = Duration::from_millis(50);

/// A way to a server on this machine. While it is shut, connections stand and nothing gets through, as in a network that
/// loses everything. Dropped, it is gone with all its connections.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    _carrying: JoinSet<()>,
}

impl Gate {
    /// An open gate to the server at this address.
    ///
    /// # Panics
    /// Where the system gives no port.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (open, opened) = watch::channel(true);
        let mut carrying = JoinSet::new();
        carrying.spawn(carry_all(listener, server, opened));
        Self { address, open, _carrying: carrying }
    }

    /// What a node is told instead of the server's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets nothing through until it is opened again.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Lets everything through, first of all what waits.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn carry_all(listener: TcpListener, server: SocketAddr, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(connections.spawn(connect(client, server, open.clone()))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(client: TcpStream, server: SocketAddr, open: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(carry(from_client, to_server, open.clone()), carry(from_server, to_client, open));
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut open: watch::Receiver<bool>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        if open.wait_for(|open| *open).await.is_err() || to.write_all(&chunk[..length]).await.is_err() {
            break;
        }
    }
    // Either end's word that it is done is passed on; where the other has gone, nobody listens.
    let _ = to.shutdown().await;
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_gets_through_a_shut_gate_and_all_of_it_once_it_is_open() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let gate = Gate::to(echo.local_addr().unwrap()).await;
        tokio::spawn(async move {
            let (mut stream, _) = echo.accept().await.unwrap();
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
        });
        let mut client = TcpStream::connect(gate.address).await.unwrap();
        let mut answer = [0; 5];
        client.write_all(b"first").await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"first");
        gate.shut();
        client.write_all(b"later").await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(300), client.read_exact(&mut answer)).await;
        assert!(waited.is_err(), "it got through");
        gate.open();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"later");
    }
}
