use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic::Status;

use crate::{Refusal, refuse};

/// Items on a page when the caller does not say.
const SIZE_DEFAULT: usize = 50;
/// Most items on a page.
const SIZE_MAX: usize = 1_000;

/// Which page of a list in the order of names is wanted.
///
/// The token says only after which name to go on, so whoever presents another's sees no more than they may see anyway.
/// It belongs to one list with one filter: in another it would leave out what it never showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub size: usize,
    /// The last name of the page before; empty for the first page.
    pub after: String,
    /// Which list it is, filter included.
    list: [u8; 4],
}

impl Page {
    /// Reads what a request for `list` says; `filter` is whatever else decides what is in it. More than the largest
    /// page gives the largest page.
    pub fn read(list: &str, filter: &[&str], size: i32, token: &str) -> Result<Self, Status> {
        let size = match usize::try_from(size) {
            Ok(0) => SIZE_DEFAULT,
            Ok(size) => size.min(SIZE_MAX),
            Err(_) => return Err(refuse(Refusal::invalid("page_size", "must not be negative"))),
        };
        let list = crc32fast::hash(format!("{list}\n{}", filter.join("\n")).as_bytes()).to_be_bytes();
        let after = if token.is_empty() { Some(String::new()) } else { after(list, token) };
        let problem = "is none that was given out for this list and filter";
        let after = after.ok_or_else(|| refuse(Refusal::invalid("page_token", problem)))?;
        Ok(Self { size, after, list })
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
        let token = |item: &T| URL_SAFE_NO_PAD.encode([&self.list, name(item).as_bytes()].concat());
        let token = items.last().map(token).unwrap_or_default();
        (items, token)
    }
}

/// The name that a token of this list goes on after.
fn after(list: [u8; 4], token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let name = bytes.strip_prefix(&list).filter(|name| !name.is_empty())?;
    String::from_utf8(name.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(size: i32, token: &str) -> Result<Page, Status> {
        Page::read("letters", &["all"], size, token)
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let names = ["a", "b", "c"];
        let mut page = read(2, "").unwrap();
        let (first, token) = page.cut(names.to_vec(), |name| name);
        assert_eq!(first, ["a", "b"]);
        page = read(2, &token).unwrap();
        assert_eq!(page.after, "b");
        assert_eq!(page.cut(vec!["c"], |name| name), (vec!["c"], String::new()));
    }

    #[test]
    fn a_page_has_a_size_within_its_limits() {
        assert_eq!(read(0, "").unwrap().size, SIZE_DEFAULT);
        assert_eq!(read(i32::MAX, "").unwrap().size, SIZE_MAX);
        assert!(read(-1, "").is_err());
        assert!(read(1, "not a token!").is_err());
    }

    #[test]
    fn a_token_goes_on_in_its_own_list_and_no_other() {
        let (_, token) = read(1, "").unwrap().cut(vec!["a", "b"], |name| name);
        assert!(read(9, &token).is_ok(), "another size is fine");
        assert!(Page::read("numbers", &["all"], 1, &token).is_err());
        assert!(Page::read("letters", &["vowels"], 1, &token).is_err());
        assert!(read(1, &URL_SAFE_NO_PAD.encode("a")).is_err());
    }
}
