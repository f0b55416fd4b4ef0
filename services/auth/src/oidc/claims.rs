//! What a provider's words mean here. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fault::LoginFault;
use crate::model::identity_provider::Settings;

/// Most groups of one person that are looked at. More are a directory's whole, and somebody's mistake.
const GROUPS_MAX: usize = 10_000;
/// Longest name that is kept.
const NAME_CHARS_MAX: usize = 200;
/// Longest mail address (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;

/// A person as a provider describes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub display_name: String,
    pub email: String,
    /// `None`: groups mean nothing here.
    pub groups: Option<BTreeSet<String>>,
}

/// Reads what is said about a person.
pub fn person(claims: &Map<String, Value>, settings: &Settings) -> Result<Person, LoginFault> {
    let groups = match settings.groups_claim.as_str() {
        "" => None,
        claim => Some(groups(claims, claim)?),
    };
    let display_name = text(claims, &settings.display_name_claim).unwrap_or_default();
    let display_name: String = display_name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    let email = text(claims, &settings.email_claim).unwrap_or_default();
    // A provider that says that it did not check an address might be made to say anybody's.
    let is_unverified = settings.email_claim == "email" && claims.get("email_verified") == Some(&Value::Bool(false));
    let email = if is_unverified || !is_address(email) { String::new() } else { email.to_owned() };
    Ok(Person { display_name, email, groups })
}

/// Whether something that the settings ask for is not among the claims.
pub fn lacks(claims: &Map<String, Value>, settings: &Settings) -> bool {
    let wanted = [&settings.display_name_claim, &settings.email_claim, &settings.groups_claim];
    wanted.iter().any(|claim| !claim.is_empty() && find(claims, claim).is_none())
}

/// A claim, by its name; or, when there is none of that name, by the path that its dots make (`realm_access.roles`).
pub fn find<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(claim) {
        return Some(value);
    }
    let mut path = claim.split('.');
    let first = claims.get(path.next()?)?;
    path.try_fold(first, |value, key| value.get(key))
}

fn text<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a str> {
    find(claims, claim)?.as_str()
}

/// All groups of a person. Too few would take roles away that somebody holds: then better nobody comes in.
fn groups(claims: &Map<String, Value>, claim: &str) -> Result<BTreeSet<String>, LoginFault> {
    let truncated = || LoginFault::GroupsTruncated(claim.to_owned());
    // Large directories say where the groups could be asked for instead (OpenID Connect Core, section 5.6.2), or only that
    // there are some.
    let is_elsewhere = claims.get("_claim_names").is_some_and(|names| names.get(claim).is_some());
    if is_elsewhere || claims.get("hasgroups") == Some(&Value::Bool(true)) {
        return Err(truncated());
    }
    let missing = || LoginFault::GroupsMissing(claim.to_owned());
    let listed = find(claims, claim).ok_or_else(missing)?.as_array().ok_or_else(missing)?;
    if listed.len() > GROUPS_MAX {
        return Err(truncated());
    }
    listed.iter().map(|group| group.as_str().map(str::to_owned).ok_or_else(missing)).collect()
}

fn is_address(email: &str) -> bool {
    email.len() <= EMAIL_CHARS_MAX
        && !email.contains(|c: char| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Text;
    use crate::model::identity_provider::ClientAuthentication;

    fn settings(groups_claim: &str) -> Settings {
        Settings {
            title: Text::default(),
            issuer: "https://id.example.org".into(),
            client_id: "cairn".into(),
            client_authentication: ClientAuthentication::SecretBasic,
            scopes: vec![],
            display_name_claim: "name".into(),
            email_claim: "email".into(),
            groups_claim: groups_claim.into(),
            group_roles: vec![],
            creates_users: true,
            is_disabled: false,
        }
    }

    fn read(groups_claim: &str, claims: Value) -> Result<Person, LoginFault> {
        person(claims.as_object().unwrap(), &settings(groups_claim))
    }

    #[test]
    fn groups_that_are_missing_or_truncated_are_an_error_and_not_none() {
        let groups = |claims| read("groups", claims).map(|person| person.groups.unwrap().len());
        assert_eq!(groups(json!({"groups": ["a", "b", "a"]})), Ok(2));
        assert_eq!(groups(json!({"groups": []})), Ok(0), "in no group");
        for claims in [json!({}), json!({"groups": "a"}), json!({"groups": null}), json!({"groups": ["a", 7]})] {
            assert_eq!(groups(claims.clone()), Err(LoginFault::GroupsMissing("groups".into())), "{claims}");
        }
        for claims in [
            json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph"}}}),
            json!({"hasgroups": true}),
            json!({"groups": ["a"], "hasgroups": true}),
            json!({"groups": vec!["g"; GROUPS_MAX + 1]}),
        ] {
            assert_eq!(groups(claims), Err(LoginFault::GroupsTruncated("groups".into())));
        }
        assert_eq!(read("", json!({})).unwrap().groups, None, "groups mean nothing");
    }

    #[test]
    fn a_claim_may_lie_within_another() {
        let claims = json!({"realm_access": {"roles": ["a"]}, "a.b": ["c", "d"]});
        assert_eq!(read("realm_access.roles", claims.clone()).unwrap().groups.unwrap().len(), 1);
        assert_eq!(read("a.b", claims).unwrap().groups.unwrap().len(), 2);
    }

    #[test]
    fn what_is_said_of_a_person_is_taken_over_as_far_as_it_is_fit() {
        let person = read("", json!({"name": "Ada\u{1b}[31m", "email": "ada@example.org"})).unwrap();
        assert_eq!((person.display_name.as_str(), person.email.as_str()), ("Ada[31m", "ada@example.org"));
        for claims in [
            json!({"email": "ada"}),
            json!({"email": "ada@example.org", "email_verified": false}),
            json!({"email": 7}),
            json!({"email": "a b@example.org"}),
        ] {
            assert_eq!(read("", claims.clone()).unwrap().email, "", "{claims}");
        }
    }
}
