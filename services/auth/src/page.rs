use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_service::{Refusal, refuse};
use tonic::Status;

/// Items on a page when the caller does not say.
const SIZE_DEFAULT: usize = 50;
/// Most items on a page.
const SIZE_MAX: usize = 1_000;

/// Which page of a list in the order of names is wanted.
///
/// The token says only after which name to go on, so whoever presents another's sees no more than they may see anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub size: usize,
    /// The last name of the page before; empty for the first page.
    pub after: String,
}

impl Page {
    /// Reads what a list request says. More than the largest page gives the largest page.
    pub fn read(size: i32, token: &str) -> Result<Self, Status> {
        let size = match usize::try_from(size) {
            Ok(0) => SIZE_DEFAULT,
            Ok(size) => size.min(SIZE_MAX),
            Err(_) => return Err(refuse(Refusal::invalid("page_size", "must not be negative"))),
        };
        let after = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let after = after.ok_or_else(|| refuse(Refusal::invalid("page_token", "is none that was given out here")))?;
        Ok(Self { size, after })
    }

    /// How many rows to fetch: one more than fit, which tells whether there is another page.
    pub fn rows(&self) -> i64 {
        i64::try_from(self.size + 1).expect("a page is small")
    }

    /// Cuts what was fetched to the page, and makes the token for the next one.
    pub fn cut<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> &str) -> (Vec<T>, String) {
        if items.len() <= self.size {
            return (items, String::new());
        }
        items.truncate(self.size);
        let token = items.last().map(|item| URL_SAFE_NO_PAD.encode(name(item))).unwrap_or_default();
        (items, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let names = ["a", "b", "c"];
        let mut page = Page::read(2, "").unwrap();
        let (first, token) = page.cut(names.to_vec(), |name| name);
        assert_eq!(first, ["a", "b"]);
        page = Page::read(2, &token).unwrap();
        assert_eq!(page.after, "b");
        assert_eq!(page.cut(vec!["c"], |name| name), (vec!["c"], String::new()));
    }

    #[test]
    fn a_page_has_a_size_within_its_limits() {
        assert_eq!(Page::read(0, "").unwrap().size, SIZE_DEFAULT);
        assert_eq!(Page::read(i32::MAX, "").unwrap().size, SIZE_MAX);
        assert!(Page::read(-1, "").is_err());
        assert!(Page::read(1, "not a token!").is_err());
    }
}
