//! Cairn as an authorization server: what is given out for a login, to whom, and how it is asked for and taken back.

mod authorize;
mod client;
mod code;
mod csrf;
mod device;
mod discovery;
mod fault;
mod form;
mod grant;
mod inspect;
mod page;
mod refresh;
mod reply;
mod scope;
mod tokens;

pub use authorize::{authorize, choose, present};
pub use csrf::require_own_page;
pub use device::{Polls, begin as begin_device, decide as decide_device, show as show_device};
pub use discovery::document;
pub use fault::OauthFault;
pub use form::Form;
pub use grant::grant;
pub use inspect::{inspect, introspect, revoke, user_info};
pub use page::{failed, message};
pub use refresh::{RefreshFault, refresh};
pub use reply::{Answer, Sent};
pub use scope::{Scope, narrowed};
pub use tokens::{Pair, pair};

/// The command line's name as a client. It keeps no secret, and comes back to this machine only.
pub const CLI: &str = "cairn-cli";
/// The name of the cookie that holds a browser's session.
pub const SESSION_COOKIE: &str = "cairn";
/// The name of the cookie that holds a login on its way.
pub const LOGIN_COOKIE: &str = "cairn-login";
