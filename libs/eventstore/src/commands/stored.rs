use bytes::Bytes;
use cairn_kernel::Aggregate;

use crate::DecodeFault;

/// An aggregate whose events can be stored. Every shape ever stored is read here.
pub trait Stored: Aggregate {
    /// The event's full message name and its bytes.
    fn encode(event: &Self::Event) -> (&'static str, Bytes);

    /// Reads a stored event, of whatever age.
    fn decode(kind: &str, payload: &[u8]) -> Result<Self::Event, DecodeFault>;

    /// Names the shape that [`Stored::freeze`] writes; change it with the state. `None`: never snapshotted.
    const SNAPSHOT: Option<&'static str> = None;

    /// The state as bytes, for a snapshot.
    fn freeze(&self) -> Bytes {
        Bytes::new()
    }

    /// The state of a snapshot of this shape; `None` if it does not read.
    fn thaw(_state: &[u8]) -> Option<Self> {
        None
    }

    /// Roughly how many bytes the state occupies, which bounds the cache. `None` counts the bytes of all events folded
    /// in: safe, but too much for a state that stays small while its history grows.
    fn weight(&self) -> Option<usize> {
        None
    }
}
