use std::time::{Duration, UNIX_EPOCH};

use cairn_contract::{Deprecation, Method};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// From when on something is deprecated (RFC 9745).
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// From when on it may be gone (RFC 8594).
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Tells callers of a method that will be gone when, and where they go. Counts them: who asks whether it can go now.
pub fn tell(method: &'static Method, headers: &mut HeaderMap) {
    let Some(deprecation) = &method.deprecation else { return };
    metrics::counter!("cairn_deprecated_calls_total", "method" => method.path.as_str()).increment(1);
    for (name, text) in words(deprecation) {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(name, value);
        }
    }
}

fn words(Deprecation { since, sunset, successor }: &Deprecation) -> Vec<(HeaderName, String)> {
    let mut words = vec![(DEPRECATION, format!("@{since}"))];
    words.extend(sunset.map(|sunset| (SUNSET, date(sunset))));
    words.extend(successor.as_ref().map(|successor| {
        // Where its path has other variables there is no one address: the reference tells what it takes.
        (header::LINK, format!("</docs>; rel=\"successor-version\"; title=\"{successor}\""))
    }));
    words
}

fn date(seconds: i64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_method_is_told_as_the_standards_have_it() {
        // The example of RFC 9745, and that of RFC 8594.
        let deprecation = Deprecation { since: 1_688_169_599, sunset: Some(1_541_718_000), successor: None };
        let told = words(&deprecation);
        assert_eq!(told[0], (DEPRECATION, "@1688169599".to_owned()));
        assert_eq!(told[1], (SUNSET, "Thu, 08 Nov 2018 23:00:00 GMT".to_owned()));
        assert_eq!(told.len(), 2);
    }
}
