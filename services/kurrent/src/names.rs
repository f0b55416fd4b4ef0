//! What clients call streams, and what the log calls them.
//!
//! A program's stream `app.orders-1` is kept as `eventstore.stream-app.orders-1`, so whatever a program chooses, it is never
//! a stream of the platform's; and what is said of it as `eventstore.metadata-app.orders-1`. The platform's own streams have
//! one name everywhere.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::LazyLock;

use cairn_contract::Contract;
use cairn_kernel::StreamName;

/// Streams of programs.
pub const STREAMS: &str = "eventstore.stream";
/// What programs say of their streams.
pub const METADATA: &str = "eventstore.metadata";

/// What the names of both begin with.
const KEPT: &str = "eventstore.";

/// Longest name of a program's stream, in bytes as the log keeps it.
const NAME_BYTES_MAX: usize = 1_000;
/// Parts of the platform that are to come: what they will call their streams is not given away.
const TO_COME: [&str; 4] = ["features", "monitoring", "serving", "workflows"];

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A stream of a program.
    Program(ProgramStream),
    /// What was said of a stream of a program: `$$app.orders-1`.
    Metadata(ProgramStream),
    /// A stream of the platform.
    Platform(StreamName),
    /// A name that the protocol keeps for itself, under which there is nothing here.
    System,
}

/// The name of a program's stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProgramStream(String);

/// Why bytes are no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("a stream's name must not be empty")]
    Empty,
    #[error("a stream's name must be UTF-8")]
    Encoding,
    #[error("a stream's name has at most {NAME_BYTES_MAX} bytes")]
    Long,
}

impl Place {
    /// Reads a name as a client sends it.
    pub fn parse(bytes: &[u8]) -> Result<Self, NameFault> {
        let name = std::str::from_utf8(bytes).map_err(|_| NameFault::Encoding)?;
        let program = |name: &str| match name {
            "" => Err(NameFault::Empty),
            name if escaped(name).len() > NAME_BYTES_MAX => Err(NameFault::Long),
            name => Ok(ProgramStream(name.to_owned())),
        };
        match name.strip_prefix("$$") {
            // What is said of streams that say things of streams, or of the platform's, is nothing.
            Some(of) if of.starts_with('$') || is_ours(of) => Ok(Self::System),
            Some(of) => program(of).map(Self::Metadata),
            // How the log calls what programs keep is nobody's business: they have names for it.
            None if name.starts_with('$') || name.starts_with(KEPT) => Ok(Self::System),
            None if is_ours(name) => Ok(Self::Platform(StreamName::stored(name))),
            None => program(name).map(Self::Program),
        }
    }

    /// The stream of the log.
    pub fn stream(&self) -> Option<StreamName> {
        match self {
            Self::Program(program) => Some(program.events()),
            Self::Metadata(program) => Some(program.metadata()),
            Self::Platform(stream) => Some(stream.clone()),
            Self::System => None,
        }
    }
}

impl ProgramStream {
    /// As the program calls it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its events are.
    pub fn events(&self) -> StreamName {
        StreamName::of(STREAMS, escaped(&self.0))
    }

    /// Where what is said of it is.
    pub fn metadata(&self) -> StreamName {
        StreamName::of(METADATA, escaped(&self.0))
    }

    /// Whether it begins as one does that programs may write.
    pub fn is_among(&self, prefixes: &[String]) -> bool {
        prefixes.iter().any(|prefix| self.0.starts_with(prefix.as_str()))
    }
}

/// A name without what the log takes in none: control characters, and the sign that stands for them.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter == '%' || letter.is_control() {
            for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                write!(escaped, "%{byte:02X}").expect("a string takes everything");
            }
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// The parts of the platform that have streams, each with a dot behind it.
fn parts() -> &'static BTreeSet<String> {
    static PARTS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let events = Contract::embedded().map(Contract::events).into_iter().flatten();
        let parts = events.filter_map(|event| event.category.split('.').next().map(str::to_owned));
        parts.chain(TO_COME.map(str::to_owned)).map(|part| part + ".").collect()
    });
    &PARTS
}

/// Whether a name is one of the platform's.
fn is_ours(name: &str) -> bool {
    parts().iter().any(|part| name.starts_with(part.as_str()))
}

/// Whether a name that begins so could be one of the platform's.
pub fn could_be_ours(prefix: &str) -> bool {
    is_ours(prefix) || parts().iter().any(|part| part.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn program(name: &str) -> ProgramStream {
        ProgramStream(name.to_owned())
    }

    #[test]
    fn a_name_leads_to_a_program_to_the_platform_or_nowhere() {
        let place = |name: &str| Place::parse(name.as_bytes()).unwrap();
        assert_eq!(place("app.orders-1"), Place::Program(program("app.orders-1")));
        assert_eq!(place("$$app.orders-1"), Place::Metadata(program("app.orders-1")));
        let run = "experiments.run-projects/p/runs/r";
        assert_eq!(place(run), Place::Platform(StreamName::stored(run)));
        for name in ["$ce-app.orders", "$all", "$$$settings", "$$experiments.run-projects/p/runs/r"] {
            assert_eq!(place(name), Place::System, "{name}");
        }
        assert_eq!(place("eventstore.stream-app.orders-1"), Place::System);
        assert_eq!(Place::parse(b""), Err(NameFault::Empty));
        assert_eq!(Place::parse(b"\xff"), Err(NameFault::Encoding));
        assert_eq!(Place::parse("é".repeat(501).as_bytes()), Err(NameFault::Long));
    }

    proptest! {
        #[test]
        fn two_names_are_never_one_stream_and_always_a_valid_one(one in "\\PC{1,40}|[\\x00-\\x7f]{1,20}", two in "[%0-9A-F\\x00-\\x1f]{1,8}") {
            let streams = [program(&one), program(&two)].map(|name| [name.events(), name.metadata()]);
            for stream in streams.iter().flatten() {
                prop_assert_eq!(&stream.as_str().parse::<StreamName>().unwrap(), stream);
            }
            prop_assert_eq!(one == two, streams[0] == streams[1]);
            prop_assert_ne!(&streams[0][0], &streams[0][1]);
        }
    }
}
