//! Temporary.
use bytes::Bytes;
/// Headers.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, Bytes)>);
impl Headers {
    /// From pairs.
    pub fn from_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self(pairs.map(|(n, v)| (n.to_ascii_lowercase(), Bytes::copy_from_slice(v))).collect())
    }
    /// get.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_bytes(name).and_then(|v| std::str::from_utf8(v).ok())
    }
    /// get.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| &v[..])
    }
    /// iter.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_str(), &v[..]))
    }
}
