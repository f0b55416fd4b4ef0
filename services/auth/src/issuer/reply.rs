use cairn_contract::google::api::HttpBody;
use serde_json::Value;
use tonic::Response;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};

use super::fault::OauthFault;

/// Metadata under which the edge passes headers in and takes headers out.
const PREFIX: &str = "cairn-http-";

/// The headers that a request came with, as the edge passes them on.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub authorization: Option<String>,
    cookie: Option<String>,
    pub origin: Option<String>,
    /// The header that a page of another site cannot send.
    pub is_own: bool,
}

impl Sent {
    pub fn of(metadata: &MetadataMap) -> Self {
        let text = |name: &str| {
            let value = metadata.get(format!("{PREFIX}{name}").as_str())?;
            value.to_str().ok().map(str::to_owned)
        };
        Self {
            authorization: text("authorization"),
            cookie: text("cookie"),
            origin: text("origin"),
            is_own: text("x-cairn-csrf").is_some_and(|value| value == "1"),
        }
    }

    /// The value of a cookie. Of two with one name none counts: one of them was planted.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.cookie.as_deref()?.split(';').filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub fn json(value: &Value) -> Self {
        Self { status: 200, content_type: "application/json", body: value.to_string(), headers: vec![] }
    }

    pub fn html(status: u16, html: String, policy: String) -> Self {
        let headers = vec![("content-security-policy", policy)];
        Self { status, content_type: "text/html; charset=utf-8", body: html, headers }
    }

    /// Sends a browser on. 303: whatever it did before, it reads there.
    pub fn redirect(location: impl Into<String>) -> Self {
        let headers = vec![("location", location.into())];
        Self { status: 303, content_type: "text/plain", body: String::new(), headers }
    }

    pub fn empty() -> Self {
        Self { status: 200, content_type: "text/plain", body: String::new(), headers: vec![] }
    }

    /// Sets a cookie beside.
    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.headers.push(("set-cookie", cookie));
        self
    }

    /// May be kept by whoever asks, for so many seconds.
    pub fn kept_for(mut self, seconds: u64) -> Self {
        self.headers.push(("cache-control", format!("public, max-age={seconds}")));
        self
    }

    /// As the edge takes it.
    pub fn reply(self) -> Response<HttpBody> {
        let body = HttpBody { content_type: self.content_type.into(), data: self.body.into(), extensions: vec![] };
        let mut response = Response::new(body);
        let status = ("status", self.status.to_string());
        for (name, value) in [status].into_iter().chain(self.headers) {
            let key = MetadataKey::from_bytes(format!("{PREFIX}{name}").as_bytes());
            if let (Ok(key), Ok(value)) = (key, MetadataValue::try_from(value.as_str())) {
                response.metadata_mut().append(key, value);
            }
        }
        response
    }
}

impl From<OauthFault> for Answer {
    fn from(fault: OauthFault) -> Self {
        let mut answer = Self::json(&fault.json());
        answer.status = fault.status();
        if answer.status == 401 {
            answer.headers.push(("www-authenticate", "Basic realm=\"cairn\"".to_owned()));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_is_there_twice_is_none() {
        let sent = |cookie: &str| Sent { cookie: Some(cookie.into()), ..Sent::default() };
        assert_eq!(sent("a=1; cairn=x.y; b=2").cookie("cairn"), Some("x.y"));
        assert_eq!(sent("cairn=x; cairn=y").cookie("cairn"), None);
        assert_eq!(sent("xcairn=x").cookie("cairn"), None);
        assert_eq!(Sent::default().cookie("cairn"), None);
    }
}
