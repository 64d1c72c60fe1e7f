//! Writes a request: its head as we make it, its body as it stands or flows.

use std::io;
use std::task::Poll;

use bytes::Bytes;
use futures_util::StreamExt;

use super::connection::Connection;
use super::head::Head;
use super::{BodyStream, RequestBody, SendFailure, UpstreamRequest};

/// A held body up to this many bytes goes out with the head, in one write.
const SHORT_BODY: usize = 16 * 1024;

/// What came of sending.
pub(super) struct Sent {
    /// The head of an answer that came before all of the request was out.
    pub(super) early: Option<Head>,
    /// Whether all of it is out, so that another request may follow.
    pub(super) whole: bool,
}

/// Sends a request. A provider that refuses it before it has read all of it is heard: its answer is what counts,
/// not that it closed the connection.
///
/// # Errors
/// [`SendFailure`].
pub(super) async fn send(
    connection: &mut Connection,
    host: &str,
    target: &str,
    request: UpstreamRequest<'_>,
) -> Result<Sent, SendFailure> {
    if !is_target(target) {
        return Err(SendFailure::Url);
    }
    let mut out = Vec::with_capacity(1024 + short(&request.body).len());
    write_head(&mut out, host, target, &request);
    let mut sending = Sending {
        connection,
        early: None,
    };
    let sent = match request.body {
        RequestBody::None => sending.write(&out).await,
        RequestBody::Whole(body) if body.len() <= SHORT_BODY => {
            out.extend_from_slice(&body);
            drop(body);
            sending.write(&out).await
        }
        RequestBody::Whole(body) => Box::pin(sending.held(out, body)).await,
        RequestBody::Flowing(stream, length) => {
            Box::pin(sending.flowing(out, stream, length.is_none())).await
        }
    };
    let sent = match sent {
        Ok(()) => sending.flush().await.map_err(|_| Stop::Closed),
        stopped => stopped,
    };
    match sent {
        Ok(()) => Ok(Sent {
            early: sending.early,
            whole: true,
        }),
        Err(Stop::Answered) => Ok(Sent {
            early: sending.early,
            whole: false,
        }),
        Err(Stop::RequestBody) => Err(SendFailure::RequestBody),
        // The connection is closed for writing; perhaps it says why.
        Err(Stop::Closed) => Ok(Sent {
            early: Some(match sending.early {
                Some(head) => head,
                None => connection.head().await?,
            }),
            whole: false,
        }),
    }
}

/// Why no more of a request is sent.
enum Stop {
    /// An answer came that needs no more of it.
    Answered,
    /// The connection takes no more.
    Closed,
    /// The client's body broke off.
    RequestBody,
}

struct Sending<'a> {
    connection: &'a mut Connection,
    early: Option<Head>,
}

impl Sending<'_> {
    async fn held(&mut self, head: Vec<u8>, body: Bytes) -> Result<(), Stop> {
        self.write(&head).await?;
        self.write(&body).await
    }

    async fn flowing(
        &mut self,
        mut head: Vec<u8>,
        mut stream: BodyStream,
        in_chunks: bool,
    ) -> Result<(), Stop> {
        self.write(&head).await?;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| Stop::RequestBody)?;
            if piece.is_empty() {
                continue;
            }
            if in_chunks {
                head.clear();
                head.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                self.write(&head).await?;
            }
            self.write(&piece).await?;
            if in_chunks {
                self.write(b"\r\n").await?;
            }
        }
        match in_chunks {
            true => self.write(b"0\r\n\r\n").await,
            false => Ok(()),
        }
    }

    /// Writes all of it. While the provider does not read, it may have answered: an error ends the sending.
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(written) = self.connection.poll_write_all(cx, &mut bytes) {
                return Poll::Ready(written.map_err(|_| Stop::Closed));
            }
            if self.early.is_none()
                && let Poll::Ready(Ok(head)) = self.connection.poll_head(cx)
            {
                let refused = 400 <= head.status;
                self.early = Some(head);
                if refused {
                    return Poll::Ready(Err(Stop::Answered));
                }
            }
            Poll::Pending
        })
        .await
    }

    async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.connection.poll_flush(cx)).await
    }
}

fn short(body: &RequestBody) -> &[u8] {
    match body {
        RequestBody::Whole(body) if body.len() <= SHORT_BODY => body,
        RequestBody::None | RequestBody::Whole(_) | RequestBody::Flowing(..) => &[],
    }
}

/// No blank and no control character: nothing that ends the first line.
fn is_target(target: &str) -> bool {
    !target
        .bytes()
        .any(|byte| byte <= b' ' || matches!(byte, b'#' | 0x7f))
}

/// The head, up to the empty line. Headers that would break it are left out.
fn write_head(out: &mut Vec<u8>, host: &str, target: &str, request: &UpstreamRequest<'_>) {
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let slash: &[u8] = if target.starts_with('/') { b"" } else { b"/" };
    put(&[request.method.as_bytes(), b" ", slash, target.as_bytes()]);
    put(&[b" HTTP/1.1\r\nhost: ", host.as_bytes(), b"\r\n"]);
    for (name, value) in request.headers {
        if is_name(name) && is_value(value) {
            put(&[name.as_bytes(), b": ", value, b"\r\n"]);
        }
    }
    let length = match &request.body {
        // Some servers refuse these without a length (RFC 9110, section 8.6).
        RequestBody::None if matches!(request.method, "POST" | "PUT" | "PATCH") => Some(0),
        RequestBody::None => None,
        RequestBody::Whole(body) => Some(body.len() as u64),
        RequestBody::Flowing(_, Some(length)) => Some(*length),
        RequestBody::Flowing(_, None) => {
            put(&[b"transfer-encoding: chunked\r\n"]);
            None
        }
    };
    if let Some(length) = length {
        put(&[b"content-length: ", length.to_string().as_bytes(), b"\r\n"]);
    }
    put(&[b"\r\n"]);
}

/// A token (RFC 9110, section 5.6.2).
fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// RFC 9110, section 5.5.
fn is_value(value: &[u8]) -> bool {
    !value
        .iter()
        .any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, headers: &[(&str, &[u8])], body: RequestBody) -> String {
        let mut out = Vec::new();
        let request = UpstreamRequest {
            method,
            url: "",
            headers,
            body,
        };
        write_head(&mut out, "h:1", target, &request);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_have_the_length_that_their_body_has() {
        let body = || RequestBody::Whole(Bytes::from_static(b"abc"));
        let flowing =
            |length| RequestBody::Flowing(Box::pin(futures_util::stream::empty()), length);
        let cases = [
            ("GET", RequestBody::None, ""),
            ("DELETE", RequestBody::None, ""),
            ("POST", RequestBody::None, "content-length: 0\r\n"),
            ("POST", body(), "content-length: 3\r\n"),
            ("PUT", flowing(Some(7)), "content-length: 7\r\n"),
            ("POST", flowing(None), "transfer-encoding: chunked\r\n"),
        ];
        for (method, body, length) in cases {
            let expected = format!("{method} /a HTTP/1.1\r\nhost: h:1\r\n{length}\r\n");
            assert_eq!(head(method, "/a", &[], body), expected);
        }
    }

    #[test]
    fn a_url_without_a_path_asks_for_the_root() {
        assert!(head("GET", "", &[], RequestBody::None).starts_with("GET / HTTP/1.1\r\n"));
        assert!(head("GET", "?a=b", &[], RequestBody::None).starts_with("GET /?a=b HTTP/1.1\r\n"));
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let headers: [(&str, &[u8]); 6] = [
            ("x-good", b"a\tb \xff".as_slice()),
            ("x-line", b"a\r\nx-evil: 1"),
            ("x-null", b"\0"),
            ("x evil", b"1"),
            ("x-evil:", b"1"),
            ("", b"1"),
        ];
        let mut out = Vec::new();
        let request = UpstreamRequest {
            method: "GET",
            url: "",
            headers: &headers,
            body: RequestBody::None,
        };
        write_head(&mut out, "h", "/", &request);
        assert_eq!(
            out,
            b"GET / HTTP/1.1\r\nhost: h\r\nx-good: a\tb \xff\r\n\r\n"
        );
        assert!(is_target("/a?b=%0d%0a"));
        for target in ["/a b", "/a\r\nx: y", "/a#b", "/\0"] {
            assert!(!is_target(target), "{target:?}");
        }
    }
}
