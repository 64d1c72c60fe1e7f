//! Where requests and chunked bodies end, read strictly.

/// Bytes of the first request, head and body; `None` while it is not all there.
pub(crate) fn request_length(bytes: &[u8]) -> Option<usize> {
    let head_length = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..head_length].to_ascii_lowercase()).expect("an ASCII head");
    let body = &bytes[head_length..];
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let body_length = match header("content-length:") {
        Some(length) => length.parse().expect("a number"),
        None if header("transfer-encoding:") == Some("chunked") => unchunk(body)?.1,
        None => 0,
    };
    (body.len() >= body_length).then_some(head_length + body_length)
}

/// A chunked body and its length on the wire; `None` while it is not complete.
pub(crate) fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let (start, size) = chunk_at(bytes, at)?;
        if size == 0 {
            let trailers = memchr::memmem::find(&bytes[start - 2..], b"\r\n\r\n")?;
            return Some((body, start + 2 + trailers));
        }
        let end = start + size;
        assert_eq!(bytes.get(end..end + 2)?, b"\r\n", "a chunk ends with CRLF");
        body.extend_from_slice(&bytes[start..end]);
        at = end + 2;
    }
}

/// What there is of a chunked body that was cut.
pub(crate) fn chunks_so_far(bytes: &[u8]) -> Vec<u8> {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Some((start, size)) = chunk_at(bytes, at).filter(|(_, size)| *size != 0) {
        let end = (start + size).min(bytes.len());
        body.extend_from_slice(&bytes[start..end]);
        at = (end + 2).min(bytes.len());
    }
    body
}

/// Where a chunk's data starts and its size; `None` while the size is not there.
fn chunk_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let line_length = memchr::memmem::find(&bytes[at..], b"\r\n")?;
    let line = std::str::from_utf8(&bytes[at..at + line_length]).expect("a chunk size");
    let digits = line.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(digits, 16).expect("a chunk size");
    Some((at + line_length + 2, size))
}

#[test]
fn lengths_of_requests() {
    let check = |bytes: &str, length: Option<usize>| {
        assert_eq!(request_length(bytes.as_bytes()), length, "{bytes:?}");
    };
    check("GET / HTTP/1.1\r\n", None);
    check("GET / HTTP/1.1\r\n\r\nGET", Some(18));
    check("P / HTTP/1.1\r\nContent-Length: 2\r\n\r\na", None);
    check("P / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabc", Some(37));
    check(
        "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        None,
    );
    check(
        "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nx",
        Some(55),
    );
}
