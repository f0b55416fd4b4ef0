use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::key::{KeyFault, KeyName, VerifyingKey};

/// Larger texts are no notes of ours: a checkpoint with its signatures takes a few hundred bytes.
const BYTES_MAX: usize = 64 << 10;
/// As many signatures as a note must be able to carry, twice.
const SIGNATURES_MAX: usize = 32;
/// What each line of a signature begins with.
const MARK: &str = "\u{2014} ";

/// A text and who signed it (C2SP signed-note). The text counts for nothing before [`Note::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Lines, each with its end.
    pub text: String,
    pub signatures: Vec<Signature>,
}

/// A line below a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: KeyName,
    pub id: [u8; 4],
    pub bytes: Vec<u8>,
}

/// Why a note is none, or is not to be trusted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    #[error("the note is larger than {BYTES_MAX} bytes")]
    TooLarge,
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Name(#[from] KeyFault),
    #[error("the signature of {0} does not fit the text: one of them was changed")]
    WrongSignature(KeyName),
    #[error("none of the keys given signed it; it carries signatures of {found:?}")]
    Unsigned { found: Vec<String> },
}

impl Note {
    /// Which of these keys signed the text: one at least. A signature by one of them that does not fit refutes the note,
    /// whatever others say; those of other keys are passed over.
    pub fn verify<'k>(&self, keys: &'k [VerifyingKey]) -> Result<Vec<&'k VerifyingKey>, NoteFault> {
        let mut signers: Vec<&VerifyingKey> = vec![];
        for signature in &self.signatures {
            let mut known = keys.iter().filter(|key| key.name == signature.name && key.id() == signature.id);
            let Some(key) = known.next() else { continue };
            if !key.verifies(&self.text, &signature.bytes) {
                return Err(NoteFault::WrongSignature(key.name.clone()));
            }
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() {
            let found = self.signatures.iter().map(|signature| signature.name.to_string()).collect();
            return Err(NoteFault::Unsigned { found });
        }
        Ok(signers)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{} {}", self.name, STANDARD.encode([&self.id[..], &self.bytes].concat()))
    }
}

impl FromStr for Note {
    type Err = NoteFault;

    fn from_str(text: &str) -> Result<Self, NoteFault> {
        if text.len() > BYTES_MAX {
            return Err(NoteFault::TooLarge);
        }
        if text.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteFault::Malformed("it has a control character"));
        }
        let end = text.rfind("\n\n").ok_or(NoteFault::Malformed("there is no empty line before its signatures"))?;
        let (text, below) = (&text[..=end], &text[end + 2..]);
        let lines = below.strip_suffix('\n').ok_or(NoteFault::Malformed("its last line has no end"))?;
        let signatures = lines.split('\n').map(str::parse).collect::<Result<Vec<Signature>, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteFault::TooManySignatures);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

impl FromStr for Signature {
    type Err = NoteFault;

    fn from_str(line: &str) -> Result<Self, NoteFault> {
        let malformed = || NoteFault::Malformed("a line below its text is no signature");
        let (name, signature) = line.strip_prefix(MARK).and_then(|line| line.split_once(' ')).ok_or_else(malformed)?;
        let bytes = STANDARD.decode(signature).map_err(|_| malformed())?;
        let (id, bytes) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        Ok(Self { name: name.parse()?, id: *id, bytes: bytes.to_vec() })
    }
}
