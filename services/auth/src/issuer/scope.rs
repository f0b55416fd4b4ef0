use cairn_kernel::Name;

use super::fault::OauthFault;

/// Words of the standards that are understood. Everything else in a scope is a resource name to narrow to.
const WORDS: [&str; 4] = ["openid", "profile", "email", "offline_access"];
/// Most resource names that a token is narrowed to.
const NAMES_MAX: usize = 32;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub words: Vec<String>,
    /// Empty: not narrowed.
    pub names: Vec<Name>,
}

impl Scope {
    pub fn read(text: &str) -> Result<Self, OauthFault> {
        let mut scope = Self::default();
        for part in text.split_ascii_whitespace() {
            if WORDS.contains(&part) {
                scope.words.push(part.to_owned());
                continue;
            }
            let name = part.contains('/').then(|| part.parse::<Name>().ok()).flatten();
            let name = name.ok_or_else(|| OauthFault::new("invalid_scope", format!("{part:?} is no scope here")))?;
            scope.names.push(name);
        }
        if scope.names.len() > NAMES_MAX {
            return Err(OauthFault::new("invalid_scope", format!("more than {NAMES_MAX} resource names")));
        }
        Ok(scope)
    }

    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|said| said == word)
    }

    /// What is granted, as a client reads it.
    pub fn text(&self) -> String {
        let names = self.names.iter().map(ToString::to_string);
        self.words.iter().cloned().chain(names).collect::<Vec<_>>().join(" ")
    }
}

/// What is left of a credential that is narrowed to `held` when `wanted` is asked for.
pub fn narrowed(held: &[Name], wanted: Vec<Name>) -> Result<Vec<Name>, OauthFault> {
    if wanted.is_empty() {
        return Ok(held.to_vec());
    }
    match wanted.iter().find(|name| !held.is_empty() && !held.iter().any(|held| held.covers(name))) {
        Some(excess) => Err(OauthFault::new("invalid_scope", format!("{excess} is more than the credential has"))),
        None => Ok(wanted),
    }
}
