//! What the bytes of a fuzzer mean: lengths of chunks first, then the stream that is cut into them.

/// Bytes before the stream, each the length of a chunk.
const LENGTHS: usize = 4;

/// A stream, and how it is cut.
pub(super) struct Chunked<'a> {
    /// All of it.
    pub(super) whole: &'a [u8],
    lengths: [u8; LENGTHS],
}

impl<'a> Chunked<'a> {
    /// `None` of too few bytes.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let (lengths, whole) = data.split_first_chunk()?;
        Some(Self {
            whole,
            lengths: *lengths,
        })
    }

    /// The stream in chunks of these lengths, over and over. Where all of them are nought it comes whole.
    pub(super) fn chunks<'s>(&self, stream: &'s [u8]) -> Vec<&'s [u8]> {
        if self.lengths == [0; LENGTHS] {
            return vec![stream];
        }
        let mut chunks = Vec::new();
        let mut rest = stream;
        for length in self.lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, behind) = rest.split_at(rest.len().min(usize::from(*length)));
            chunks.push(chunk);
            rest = behind;
        }
        chunks
    }
}
