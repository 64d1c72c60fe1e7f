//! temp
use crate::access_log::draft::*;
/// t
pub struct Recorder;
/// t
pub struct Ticket;
impl Recorder {
    /// t
    pub fn open(&self, _o: Opened, _b: Option<&Captured>) -> Ticket { Ticket }
    /// t
    pub fn accepts(&self) -> bool { true }
    /// t
    pub fn store_is_up(&self) -> bool { true }
}
impl Ticket {
    /// t
    pub fn part(&mut self, _k: BodyKind, _b: &[bytes::Bytes]) {}
    /// t
    pub fn end(&mut self, _c: &Closed, _b: &Bodies) {}
    /// t
    pub fn finish(self, _c: Closed, _b: Bodies) {}
}
