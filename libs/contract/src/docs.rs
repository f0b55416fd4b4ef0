//! The API described to people and programs. Both texts are part of the program, so that a gateway serves them without
//! a file or a network.

/// The OpenAPI 3.1 document, as `docs/api/openapi.json` holds it.
pub const OPENAPI: &str = include_str!("../../../docs/api/openapi.json");

/// A page that shows [`OPENAPI`]. It loads `openapi.json` from beside itself and nothing else.
pub const PAGE: &str = include_str!("docs/page.html");
