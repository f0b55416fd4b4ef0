use cairn_kernel::Time;
use prost_types::Timestamp;

/// A moment in the contract's words.
pub fn timestamp(time: Time) -> Timestamp {
    let (seconds, nanos) = time.seconds_and_nanos();
    Timestamp { seconds, nanos }
}
