//! The API described to people and programs. Both texts are part of the program, so that a gateway serves them without
//! a file or a network.

/// The OpenAPI 3.1 document, as `docs/api/openapi.json` holds it.
pub const OPENAPI: &str = include_str!("../../../docs/api/openapi.json");

/// A page that shows [`OPENAPI`]. It loads `openapi.json` from beside itself and nothing else.
pub const PAGE: &str = include_str!("docs/page.html");

/// The content security policy that [`PAGE`] is served with: its own script and style by their digests, its document from
/// where it came from, and nothing else.
pub const PAGE_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-XRFb2X0KnSp2QmejePy8iKfM1Jet0vE+DBbV3ZU4Eao='; \
    style-src 'sha256-g4P/6ad8sT6HgocGKYCJcd3YpqvfVfRkZiZTDvX+Qqw='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
