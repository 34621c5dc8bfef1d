//! A member's line to the storage, which can be cut: while it is, nothing passes, and nobody is told. What was under way then arrives
//! when it is whole again, however late, as it does on a real network.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Line {
    pub(crate) port: u16,
    is_cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Line {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_cut, cut) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut cut = cut.clone();
                tokio::spawn(async move {
                    if *cut.borrow() {
                        // It is never made: who tries gives up, or tries anew when the line is whole.
                        let _ = cut.wait_for(|is_cut| !is_cut).await;
                        return Ok(());
                    }
                    let server = TcpStream::connect(("127.0.0.1", target)).await?;
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        _ = forward(from_client, to_server, cut.clone()) => {}
                        _ = forward(from_server, to_client, cut) => {}
                    }
                    Ok::<(), std::io::Error>(())
                });
            }
        });
        Line { port, is_cut, task }
    }

    pub(crate) fn set_cut(&self, is_cut: bool) {
        let _ = self.is_cut.send(is_cut);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 || cut.wait_for(|is_cut| !is_cut).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
