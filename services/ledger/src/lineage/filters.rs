//! What a template may do with a field.

use std::net::IpAddr;

use aws_lc_rs::digest;
use cairn_kernel::{Name, SEGMENT_BYTES_MAX};
use serde_json::Value;

/// One step from a field to what stands in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Project,
    Parent,
    Id,
    Segment,
    Hashed,
    Uri,
}

impl Filter {
    /// The filter of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "project" => Self::Project,
            "parent" => Self::Parent,
            "id" => Self::Id,
            "segment" => Self::Segment,
            "hashed" => Self::Hashed,
            "uri" => Self::Uri,
            _ => return None,
        })
    }

    /// What it makes of a text; `None`: the text is not of the kind it works on.
    pub fn apply(self, text: &str) -> Option<String> {
        let name = || text.parse::<Name>().ok();
        match self {
            Self::Project => name()?.project().map(|project| project.to_string()),
            Self::Parent => name()?.parent().filter(|parent| !parent.is_root()).map(|parent| parent.to_string()),
            Self::Id => text.rsplit('/').next().map(str::to_owned).filter(|id| !id.is_empty()),
            Self::Segment => Some(segment(text)),
            Self::Hashed => Some(hex(&digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..16])),
            Self::Uri => uri(text),
        }
    }
}

/// Any text in the letters of a name: what cannot stand in one becomes `~` and two hexadecimal digits for each byte. No two
/// texts give the same.
pub fn segment(text: &str) -> String {
    fitting(escaped(text), text)
}

/// Two texts as one segment, so that no other two give the same.
pub fn pair(first: &str, second: &str) -> String {
    fitting(format!("{}+{}", escaped(first), escaped(second)), &format!("{first}\0{second}"))
}

fn escaped(text: &str) -> String {
    let mut id = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            _ if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => id.push(char::from(byte)),
            _ => id.push_str(&format!("~{byte:02X}")),
        }
    }
    id
}

/// Itself, or the digest of what it was made from: two tildes stand in no id made letter by letter.
fn fitting(id: String, of: &str) -> String {
    match id.len() > SEGMENT_BYTES_MAX || id.bytes().all(|byte| byte == b'.') {
        true => format!("~~{}", hex(digest::digest(&digest::SHA256, of.as_bytes()).as_ref())),
        false => id,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The address in a text, or in the `uri` or `url` of a JSON object, in one spelling. `None`: there is none that means
/// the same wherever it is read. A path of one machine is none, nor is an address with a query, which may be a signature;
/// a password in it is left out.
pub fn uri(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = match text.starts_with('{') {
        true => {
            let object: Value = serde_json::from_str(text).ok()?;
            ["uri", "url"].iter().find_map(|key| object[*key].as_str()).map(str::to_owned)?
        }
        false => text.to_owned(),
    };
    let (scheme, rest) = inner.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || rest.contains(['?', '#']) || rest.chars().any(char::is_control) {
        return None;
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "file" => return None,
        "s3a" | "s3n" => "s3".to_owned(),
        other => other.to_owned(),
    };
    if is_local(host) {
        return None;
    }
    let path = path.trim_matches('/');
    Some(if path.is_empty() { format!("{scheme}://{host}") } else { format!("{scheme}://{host}/{path}") })
}

/// Whether a host, with its port if it has one, means whatever machine reads it.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.is_empty()
        || name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_gives_a_segment_and_no_two_the_same() {
        assert_eq!(segment("train.csv"), "train.csv");
        assert_eq!(segment("a b+c"), "a~20b~2Bc");
        assert_eq!(pair("food", "public.orders"), "food+public.orders");
        assert_ne!(pair("a+b", "c"), pair("a", "b+c"));
        for text in ["...", "", "é", &"x".repeat(1000), "a/b"] {
            let name = format!("projects/p/datasets/x{}", segment(text));
            assert!(segment(text).len() <= SEGMENT_BYTES_MAX && name.parse::<Name>().is_ok(), "{text}");
        }
    }

    #[test]
    fn an_address_that_means_the_same_everywhere_has_one_spelling() {
        for (text, expected) in [
            ("s3://bucket/a/b.parquet", "s3://bucket/a/b.parquet"),
            ("S3a://bucket/a/b/", "s3://bucket/a/b"),
            (r#"{"uri": "s3://bucket/key"}"#, "s3://bucket/key"),
            (r#"{"url": "https://example.org/wine.csv"}"#, "https://example.org/wine.csv"),
            ("https://localhost.example.org/x", "https://localhost.example.org/x"),
            ("http://127.example.org/x", "http://127.example.org/x"),
            ("http://[2001:db8::1]:9000/x", "http://[2001:db8::1]:9000/x"),
            ("postgres://me:secret@db.example:5432/shop.orders", "postgres://db.example:5432/shop.orders"),
        ] {
            assert_eq!(uri(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "/tmp/x.csv",
            "file:///tmp/x.csv",
            "runs:/abc/model",
            "http://localhost:8080/x",
            "http://127.0.0.2/x",
            "http://[::1]:9000/x",
            "https://bucket.example/x?X-Amz-Signature=abc",
            r#"{"uri": "/tmp/x"}"#,
            r#"{"tags": {}}"#,
            "{",
        ] {
            assert_eq!(uri(text), None, "{text}");
        }
    }

    #[test]
    fn names_give_their_parts() {
        let run = "projects/p/experiments/e/runs/r";
        assert_eq!(Filter::Project.apply(run).as_deref(), Some("projects/p"));
        assert_eq!(Filter::Parent.apply(run).as_deref(), Some("projects/p/experiments/e"));
        assert_eq!((Filter::Id.apply(run), Filter::Id.apply("r")), (Some("r".into()), Some("r".into())));
        assert_eq!((Filter::Project.apply("users/u"), Filter::Parent.apply("projects/p")), (None, None));
    }
}
