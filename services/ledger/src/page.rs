use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_kernel::{Code, Description, Fault, Position};

/// Rows on a page when the caller does not say.
const SIZE_DEFAULT: usize = 50;
/// Most rows on a page.
const SIZE_MAX: usize = 1000;

/// A page as asked for: how many rows, and after which position in the list's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub size: usize,
    /// The last position of the page before.
    pub after: Option<Position>,
}

/// Why a page cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    #[error("page_size: {0} is negative")]
    Size(i32),
    #[error("page_token: it is not from the answer to this very question")]
    Token,
}

impl Fault for PageFault {
    const DOMAIN: &'static str = "ledger.cairn";

    fn describe(&self) -> Description {
        let field = match self {
            Self::Size(_) => "page_size",
            Self::Token => "page_token",
        };
        (Code::InvalidArgument, "VALIDATION_ERROR", vec![("field", field.to_owned())])
    }
}

impl Page {
    /// Reads the fields of a request. `question` is everything else that was asked: a token belongs to one question.
    pub fn parse(size: i32, token: &str, question: &[u8]) -> Result<Self, PageFault> {
        let size = match usize::try_from(size).map_err(|_| PageFault::Size(size))? {
            0 => SIZE_DEFAULT,
            size => size.min(SIZE_MAX),
        };
        if token.is_empty() {
            return Ok(Self { size, after: None });
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| PageFault::Token)?;
        let bytes: [u8; 12] = bytes.try_into().map_err(|_| PageFault::Token)?;
        let (check, position) = bytes.split_at(4);
        if check != crc32fast::hash(question).to_be_bytes() {
            return Err(PageFault::Token);
        }
        let position = position.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(Self { size, after: Some(Position(position)) })
    }

    /// The token of the page that follows one that ended at `last`.
    pub fn token(last: Position, question: &[u8]) -> String {
        let mut bytes = crc32fast::hash(question).to_be_bytes().to_vec();
        bytes.extend(last.0.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_to_the_next_page_of_its_own_question_only() {
        let token = Page::token(Position(1 << 40), b"all of it");
        assert_eq!(Page::parse(7, &token, b"all of it"), Ok(Page { size: 7, after: Some(Position(1 << 40)) }));
        assert_eq!(Page::parse(7, &token, b"half of it"), Err(PageFault::Token));
        for forged in ["x", "AAAA", "not base64!", &format!("{token}A")] {
            assert_eq!(Page::parse(7, forged, b"all of it"), Err(PageFault::Token), "{forged}");
        }
    }

    #[test]
    fn pages_have_a_default_and_a_largest_size() {
        assert_eq!(Page::parse(0, "", b"").unwrap().size, SIZE_DEFAULT);
        assert_eq!(Page::parse(1_000_000, "", b"").unwrap().size, SIZE_MAX);
        assert_eq!(Page::parse(-1, "", b""), Err(PageFault::Size(-1)));
    }
}
