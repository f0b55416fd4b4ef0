use std::net::SocketAddr;

use cairn_kernel::{Name, Position, Principal, PrincipalKind};

use crate::{Change, Grant, Roles, Standing, World};

/// Who everybody is when authentication is switched off.
pub const DEVELOPER: &str = "users/developer";

/// What is printed, in plain sight, when authentication is switched off.
pub const BANNER: &str = "\
****************************************************************************
*  AUTHENTICATION IS SWITCHED OFF (CAIRN_AUTH_DISABLED)                    *
*  Everybody who reaches this process is users/developer, an administrator.*
*  It listens on loopback only. Never use this with data that matters.     *
****************************************************************************";

/// Authentication is switched off, and an address could be reached from outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "CAIRN_AUTH_DISABLED works on loopback only, but this process is to listen on {}: listen on 127.0.0.1, or unset it",
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
)]
pub struct NotLoopback {
    pub addresses: Vec<SocketAddr>,
}

/// Refuses to switch authentication off unless every address is one that only this machine can reach.
pub fn require_loopback(addresses: &[SocketAddr]) -> Result<(), NotLoopback> {
    let outside: Vec<SocketAddr> =
        addresses.iter().filter(|address| !address.ip().to_canonical().is_loopback()).copied().collect();
    if outside.is_empty() { Ok(()) } else { Err(NotLoopback { addresses: outside }) }
}

pub(crate) fn developer() -> Principal {
    Principal { name: DEVELOPER.into(), kind: PrincipalKind::User, credential: None, scopes: vec![] }
}

/// Adds the developer to a world. Not an event: nothing of it stays when authentication is on again.
pub(crate) fn let_in(world: &mut World) {
    let standing = Standing::Active;
    world.apply(Change::PrincipalIs { principal: DEVELOPER.into(), standing }, Position::START);
    let role = Roles::built_in().find("roles/admin").cloned();
    let grant = Grant { binding: String::new(), role, resource: Name::ROOT, ..Grant::default() };
    world.apply(Change::Granted { principal: DEVELOPER.into(), grant }, Position::START);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentication_can_be_switched_off_on_loopback_only_s1_41() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let inside = parse(&["127.0.0.1:3001", "127.8.8.8:1", "[::1]:50051", "[::ffff:127.0.0.1]:80"]);
        assert_eq!(require_loopback(&inside), Ok(()));
        for outside in ["0.0.0.0:3001", "[::]:3001", "192.168.0.4:3001", "[::ffff:10.0.0.1]:80"] {
            let refused = require_loopback(&[&inside[..], &parse(&[outside])].concat()).unwrap_err();
            assert_eq!(refused.addresses, parse(&[outside]));
            assert!(refused.to_string().contains(outside), "{refused}");
        }
    }
}
