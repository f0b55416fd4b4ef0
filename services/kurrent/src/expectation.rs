//! What a client believes about a stream, in the words of each of the protocol's messages.

use cairn_kernel::Revision;
use cairn_kurrent_protocol::streams::{
    append_req, append_resp, batch_append_req, batch_append_resp, delete_req, tombstone_req,
};

/// What a client believes about a stream before it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    Any,
    NoStream,
    Exists,
    At(Revision),
}

impl Expectation {
    /// As a number, which the protocol uses too.
    pub fn number(self) -> i64 {
        match self {
            Self::At(revision) => revision.0.cast_signed(),
            Self::NoStream => -1,
            Self::Any => -2,
            Self::Exists => -4,
        }
    }

    /// As an append's options.
    pub fn of_append(self) -> append_req::options::ExpectedStreamRevision {
        use append_req::options::ExpectedStreamRevision as Said;
        match self {
            Self::Any => Said::Any(Default::default()),
            Self::NoStream => Said::NoStream(Default::default()),
            Self::Exists => Said::StreamExists(Default::default()),
            Self::At(revision) => Said::Revision(revision.0),
        }
    }

    /// As the answer to a batch repeats it.
    pub fn of_answer(self) -> batch_append_resp::ExpectedStreamPosition {
        use batch_append_resp::ExpectedStreamPosition as Said;
        match self {
            Self::Any => Said::Any(()),
            Self::NoStream => Said::NoStream(()),
            Self::Exists => Said::StreamExists(()),
            Self::At(revision) => Said::StreamPosition(revision.0),
        }
    }
}

/// The answer to an append whose client was wrong: it has every number twice, for clients of two ages.
pub fn wrong(expected: Expectation, current: Option<Revision>) -> append_resp::WrongExpectedVersion {
    use append_resp::wrong_expected_version::{
        CurrentRevisionOption, CurrentRevisionOption2060, ExpectedRevisionOption, ExpectedRevisionOption2060,
    };
    let (current, old_current) = match current {
        Some(Revision(revision)) => {
            (CurrentRevisionOption::CurrentRevision(revision), CurrentRevisionOption2060::CurrentRevision2060(revision))
        }
        None => (
            CurrentRevisionOption::CurrentNoStream(Default::default()),
            CurrentRevisionOption2060::NoStream2060(Default::default()),
        ),
    };
    let (expected, old_expected) = match expected {
        Expectation::At(Revision(revision)) => (
            ExpectedRevisionOption::ExpectedRevision(revision),
            ExpectedRevisionOption2060::ExpectedRevision2060(revision),
        ),
        Expectation::NoStream => (
            ExpectedRevisionOption::ExpectedNoStream(Default::default()),
            ExpectedRevisionOption2060::ExpectedRevision2060(u64::MAX),
        ),
        Expectation::Any => (
            ExpectedRevisionOption::ExpectedAny(Default::default()),
            ExpectedRevisionOption2060::Any2060(Default::default()),
        ),
        Expectation::Exists => (
            ExpectedRevisionOption::ExpectedStreamExists(Default::default()),
            ExpectedRevisionOption2060::StreamExists2060(Default::default()),
        ),
    };
    append_resp::WrongExpectedVersion {
        current_revision_option_20_6_0: Some(old_current),
        expected_revision_option_20_6_0: Some(old_expected),
        current_revision_option: Some(current),
        expected_revision_option: Some(expected),
    }
}

/// A client that says nothing expects nothing.
macro_rules! said_by {
    ($([$($said:ident)::+] $number:ident),+) => {$(
        impl From<Option<$($said)::+>> for Expectation {
            fn from(said: Option<$($said)::+>) -> Self {
                use $($said)::+ as Said;
                match said {
                    Some(Said::$number(revision)) => Self::At(Revision(revision)),
                    Some(Said::NoStream(_)) => Self::NoStream,
                    Some(Said::StreamExists(_)) => Self::Exists,
                    Some(Said::Any(_)) | None => Self::Any,
                }
            }
        }
    )+};
}
said_by!(
    [append_req::options::ExpectedStreamRevision] Revision,
    [delete_req::options::ExpectedStreamRevision] Revision,
    [tombstone_req::options::ExpectedStreamRevision] Revision,
    [batch_append_req::options::ExpectedStreamPosition] StreamPosition
);
