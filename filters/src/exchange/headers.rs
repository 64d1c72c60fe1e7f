//! Headers, read-only.
use std::fmt;

use bytes::Bytes;

/// Headers of a request or a response: names in lower case, values as bytes, order and
/// repetitions kept. All of them lie in one buffer; a clone costs a reference count.
#[derive(Clone, Default)]
pub struct Headers {
    /// Per header: two lengths (name, value) of four bytes each, the name, the value.
    buffer: Bytes,
}

/// Bytes before each header that hold its two lengths.
const LENGTHS: usize = 8;

impl Headers {
    /// Copies headers into one buffer.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut buffer = Vec::with_capacity(1024);
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            let (Ok(name_length), Ok(value_length)) =
                (u32::try_from(name.len()), u32::try_from(value.len()))
            else {
                continue;
            };
            buffer.extend_from_slice(&name_length.to_le_bytes());
            buffer.extend_from_slice(&value_length.to_le_bytes());
            buffer.extend(name.iter().map(u8::to_ascii_lowercase));
            buffer.extend_from_slice(value);
        }
        Self {
            buffer: Bytes::from(buffer),
        }
    }

    /// The first value under a name (any case), `None` when absent or not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The first value under a name (any case), as bytes.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.pairs()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// All headers in their order. Names that are not UTF-8 are left out.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.pairs()
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
    }

    /// As [`Headers::iter`], with values that hold a reference to the buffer they lie in.
    pub fn iter_shared(&self) -> impl Iterator<Item = (&str, Bytes)> {
        self.iter()
            .map(|(name, value)| (name, self.buffer.slice_ref(value)))
    }

    /// How many headers there are.
    pub fn len(&self) -> usize {
        self.pairs().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let mut rest: &[u8] = &self.buffer;
        std::iter::from_fn(move || {
            let (lengths, after) = rest.split_at_checked(LENGTHS)?;
            let (name, value) = lengths.split_first_chunk::<4>()?;
            let name_length = u32::from_le_bytes(*name) as usize;
            let value_length = u32::from_le_bytes(value.try_into().ok()?) as usize;
            let (name, after) = after.split_at_checked(name_length)?;
            let (value, after) = after.split_at_checked(value_length)?;
            rest = after;
            Some((name, value))
        })
    }
}

impl fmt::Debug for Headers {
    /// Names only: values may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_any_case_and_kept_in_order() {
        let pairs: [(&str, &[u8]); 4] = [
            ("Content-Type", b"text/plain"),
            ("X-A", b"1"),
            ("x-a", b"\xff"),
            ("Empty", b""),
        ];
        let headers = Headers::from_pairs(pairs);
        assert_eq!(headers.get("content-type"), Some("text/plain"));
        assert_eq!(headers.get("X-a"), Some("1"));
        assert_eq!(headers.get("empty"), Some(""));
        assert_eq!(headers.get("absent"), None);
        let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["content-type", "x-a", "x-a", "empty"]);
        assert_eq!(
            headers.iter().nth(2).map(|(_, value)| value),
            Some(&b"\xff"[..])
        );
        assert_eq!(headers.len(), 4);
        let shared: Vec<(&str, Bytes)> = headers.iter_shared().collect();
        assert_eq!(shared[1], ("x-a", Bytes::from("1")));
        assert_eq!(shared[3], ("empty", Bytes::new()));
    }

    #[test]
    fn values_stay_out_of_debug_output() {
        let headers = Headers::from_pairs([("authorization", "Bearer secret")]);
        assert_eq!(format!("{headers:?}"), r#"["authorization"]"#);
        assert!(Headers::default().is_empty());
    }

    #[test]
    fn a_value_that_is_not_text_reads_as_bytes_only() {
        let headers = Headers::from_pairs([("a", b"\xff")]);
        assert_eq!(headers.get("a"), None);
        assert_eq!(headers.get_bytes("A"), Some(&b"\xff"[..]));
    }
}
