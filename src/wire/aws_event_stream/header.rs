//! Headers of frames: a name, a byte for the kind of value, the value.

/// One header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name; those of the protocol begin with a colon.
    pub name: &'a str,
    /// Its value.
    pub value: HeaderValue<'a>,
}

/// A value of each kind there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    /// Kinds 0 and 1.
    Bool(bool),
    /// Kind 2.
    Byte(i8),
    /// Kind 3.
    Short(i16),
    /// Kind 4.
    Integer(i32),
    /// Kind 5.
    Long(i64),
    /// Kind 6: at most 65,535 bytes.
    Bytes(&'a [u8]),
    /// Kind 7: at most 65,535 bytes of UTF-8.
    Text(&'a str),
    /// Kind 8: milliseconds since 1970.
    Timestamp(i64),
    /// Kind 9.
    Uuid([u8; 16]),
}

/// The headers of a frame one after another, without a list of them. `None` is the last: from there on these bytes are
/// none.
pub(super) struct Headers<'a> {
    rest: Reader<'a>,
}

impl<'a> Headers<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let rest = Reader { rest: bytes };
        Self { rest }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Option<Header<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.rest.is_empty() {
            return None;
        }
        let header = self.rest.header();
        if header.is_none() {
            self.rest.rest = &[];
        }
        Some(header)
    }
}

/// Writes one header; `None` when its name is empty or it is longer than its lengths can say.
pub(super) fn write(out: &mut Vec<u8>, header: &Header<'_>) -> Option<()> {
    let name = header.name.as_bytes();
    if name.is_empty() {
        return None;
    }
    out.push(u8::try_from(name.len()).ok()?);
    out.extend_from_slice(name);
    let mut put = |kind: u8, value: &[u8]| {
        out.push(kind);
        out.extend_from_slice(value);
    };
    match header.value {
        HeaderValue::Bool(true) => put(0, &[]),
        HeaderValue::Bool(false) => put(1, &[]),
        HeaderValue::Byte(value) => put(2, &value.to_be_bytes()),
        HeaderValue::Short(value) => put(3, &value.to_be_bytes()),
        HeaderValue::Integer(value) => put(4, &value.to_be_bytes()),
        HeaderValue::Long(value) => put(5, &value.to_be_bytes()),
        HeaderValue::Bytes(value) => {
            put(6, &u16::try_from(value.len()).ok()?.to_be_bytes());
            out.extend_from_slice(value);
        }
        HeaderValue::Text(value) => {
            put(7, &u16::try_from(value.len()).ok()?.to_be_bytes());
            out.extend_from_slice(value.as_bytes());
        }
        HeaderValue::Timestamp(value) => put(8, &value.to_be_bytes()),
        HeaderValue::Uuid(value) => put(9, &value),
    }
    Some(())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn header(&mut self) -> Option<Header<'a>> {
        let [length] = self.array()?;
        if length == 0 {
            return None;
        }
        let name = std::str::from_utf8(self.take(usize::from(length))?).ok()?;
        let [kind] = self.array()?;
        let value = match kind {
            0 => HeaderValue::Bool(true),
            1 => HeaderValue::Bool(false),
            2 => HeaderValue::Byte(i8::from_be_bytes(self.array()?)),
            3 => HeaderValue::Short(i16::from_be_bytes(self.array()?)),
            4 => HeaderValue::Integer(i32::from_be_bytes(self.array()?)),
            5 => HeaderValue::Long(i64::from_be_bytes(self.array()?)),
            6 => HeaderValue::Bytes(self.counted()?),
            7 => HeaderValue::Text(std::str::from_utf8(self.counted()?).ok()?),
            8 => HeaderValue::Timestamp(i64::from_be_bytes(self.array()?)),
            9 => HeaderValue::Uuid(self.array()?),
            _ => return None,
        };
        Some(Header { name, value })
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}
