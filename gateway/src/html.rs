use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;

/// Lets a page of our own run the scripts and styles that stand in it, and no others, and talk to nobody but us.
pub async fn with_policy(response: Response<Body>) -> Response<Body> {
    let content_type = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if !content_type.starts_with(b"text/html") || response.headers().contains_key(header::CONTENT_SECURITY_POLICY) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    if let Ok(policy) = HeaderValue::from_str(&policy(&String::from_utf8_lossy(&bytes))) {
        parts.headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn policy(html: &str) -> String {
    let scripts = digests(html, "<script>", "</script>");
    let styles = digests(html, "<style>", "</style>");
    format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The digests of what stands between the tags, as a policy names them.
fn digests(html: &str, open: &str, close: &str) -> String {
    let inside = html.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(inside, _)| inside);
    let digests: Vec<String> = inside
        .map(|text| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
        .map(|digest| format!("'sha256-{}'", STANDARD.encode(digest)))
        .collect();
    if digests.is_empty() { "'none'".to_owned() } else { digests.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_run_what_stands_in_it_and_nothing_else() {
        let policy = policy("<style>a{}</style><script>alert('Hello, world.');</script><script src=x></script>");
        // The example of the standard.
        let script = "script-src 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=';";
        assert!(policy.contains(script), "{policy}");
        assert!(policy.contains("default-src 'none';") && !policy.contains("unsafe-inline"), "{policy}");
        assert!(digests("<p>", "<script>", "</script>") == "'none'");
    }
}
