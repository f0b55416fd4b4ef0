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
