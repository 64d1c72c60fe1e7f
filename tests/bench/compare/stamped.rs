//! An upstream inside this program whose events say when they were sent, so that one clock measures their way.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Events of a stream.
const EVENTS: usize = 100;
/// Pause before each.
const PAUSE: Duration = Duration::from_millis(10);

/// Starts it; it ends with the runtime.
#[expect(
    clippy::disallowed_methods,
    reason = "its tasks may die unseen: the run that waits for them fails then"
)]
pub(crate) async fn start(epoch: Instant) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A proxy that closes its connection ends the service of it.
            tokio::task::spawn_local(async move { drop(serve(stream, epoch).await) });
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream, epoch: Instant) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    loop {
        while !is_whole(&unread) {
            if stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
        }
        unread.clear();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .await?;
        for _ in 0..EVENTS {
            tokio::time::sleep(PAUSE).await;
            let text = format!("sent {:020}", epoch.elapsed().as_nanos());
            write(&mut stream, &event(&text, "null")).await?;
        }
        write(&mut stream, &event("", "\"stop\"")).await?;
        write(&mut stream, "data: [DONE]\n\n").await?;
        stream.write_all(b"0\r\n\r\n").await?;
    }
}

/// Whether a request is there: its head, and a body that ends as our requests do.
fn is_whole(bytes: &[u8]) -> bool {
    memmem::find(bytes, b"\r\n\r\n").is_some() && bytes.ends_with(b"}")
}

fn event(text: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-stamped\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"mock\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

async fn write(stream: &mut TcpStream, event: &str) -> std::io::Result<()> {
    stream
        .write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
        .await
}
