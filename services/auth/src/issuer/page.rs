//! The few pages that people see on their way in. No script, one style, and nothing from anywhere else.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::reply::Answer;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:15vh auto;padding:0 1rem;\
color:#1b1b1f;background:#fff}h1{font-size:1.4rem}a,button{display:block;width:100%;box-sizing:border-box;margin:.6rem 0;\
padding:.7rem;border:1px solid #8a8a94;border-radius:.4rem;background:#f4f4f6;color:inherit;font:inherit;text-align:center;\
text-decoration:none;cursor:pointer}button.go{background:#1f4fd8;border-color:#1f4fd8;color:#fff}\
a:focus,button:focus,input:focus{outline:3px solid #7aa2ff}input{display:block;width:100%;box-sizing:border-box;\
padding:.7rem;font:inherit;letter-spacing:.1em}code{font-size:1.2em}small{color:#5b5b66}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#17171a}a,button{background:#2a2a30}small{color:#aaa}}";

/// A page with some words.
pub fn message(status: u16, title: &str, text: &str) -> Answer {
    page(status, title, &format!("<p>{}</p>", escaped(text)))
}

/// A page that says why a login came to nothing.
pub fn failed(status: u16, reason: &str, text: &str, request_id: &str) -> Answer {
    let body = format!(
        "<p>{}.</p><p><small>{} · {}</small></p><a href=\"/oauth2/login\">Try again</a>",
        escaped(text),
        escaped(reason),
        escaped(request_id)
    );
    page(status, "Not logged in", &body)
}

/// A page that lets people choose how to log in: addresses and titles.
pub fn choice(links: &[(String, String)]) -> Answer {
    let link = |(address, title): &(String, String)| format!("<a href=\"{}\">{}</a>", escaped(address), escaped(title));
    page(200, "Log in", &links.iter().map(link).collect::<String>())
}

/// The page on which people type in what a device shows.
pub fn device_code(problem: &str) -> Answer {
    let problem = if problem.is_empty() { String::new() } else { format!("<p>{}</p>", escaped(problem)) };
    let body = format!(
        "{problem}<form method=\"get\" action=\"/oauth2/device\"><label for=\"user_code\">The code that your device \
         shows</label><input id=\"user_code\" name=\"user_code\" autocomplete=\"off\" autofocus required \
         placeholder=\"XXXX-XXXX-XXXX\"><button class=\"go\">Go on</button></form>"
    );
    page(if problem.is_empty() { 200 } else { 400 }, "Let a device in", &body)
}

/// The page on which people decide about a device.
pub fn device_decision(code: &str, user: &str, mark: &str) -> Answer {
    let hidden =
        |name: &str, value: &str| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value));
    let body = format!(
        "<p>A device asks to be let in as you ({}). Go on only if it shows this code, and is in front of you:</p>\
         <p><code>{}</code></p><form method=\"post\" action=\"/oauth2/device\">{}{}\
         <button class=\"go\" name=\"decision\" value=\"allow\">Let it in</button>\
         <button name=\"decision\" value=\"refuse\">Refuse</button></form>",
        escaped(user),
        escaped(code),
        hidden("user_code", code),
        hidden("csrf", mark)
    );
    page(200, "Let a device in", &body)
}

fn page(status: u16, title: &str, body: &str) -> Answer {
    let title = escaped(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><main><h1>{title}</h1>{body}</main>\
         </html>"
    );
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    Answer::html(status, html, policy)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Whether an address is a path of ours: what a browser takes for another host's is none.
pub fn own_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 8_192
        && !path.contains(|letter: char| letter == '\\' || letter.is_control() || letter.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_logging_in() {
        for path in ["/", "/docs", "/oauth2/authorize?client_id=a&redirect_uri=http%3A%2F%2Fb"] {
            assert!(own_path(path), "{path}");
        }
        for path in
            ["", "docs", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/\t/evil.example"]
        {
            assert!(!own_path(path), "{path:?}");
        }
    }

    #[test]
    fn words_of_others_stay_words() {
        let html = format!("{:?}", failed(401, "<script>", "a\"b'c&d", "<img>"));
        assert!(!html.contains("<script>") && !html.contains("<img>"), "{html}");
    }
}
