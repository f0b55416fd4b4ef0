//! What a binding says, as requests have it.

use cairn_access::Roles;
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::binding::Effect;
use cairn_kernel::Name;
use cairn_service::{Refusal, field, refuse};
use ipnet::IpNet;
use prost_types::Timestamp;
use tonic::Status;

use crate::model::binding::{Object, Source, Terms};
use crate::model::condition::Window;
use crate::model::project::Tags;
use crate::model::{Condition, HolderName, RoleName, TagText};
use crate::stored::time;

/// Most permissions that one denial names.
const PERMISSIONS_MAX: usize = 256;
/// Most windows of a condition.
const WINDOWS_MAX: usize = 16;
/// Most networks of a condition.
const NETWORKS_MAX: usize = 64;
/// Most tags of a condition.
const CONDITION_TAGS_MAX: usize = 16;

/// What a request says of a binding.
pub struct Asked<'a> {
    /// What the fields are called in, e.g. `binding.`.
    pub within: &'static str,
    pub principal: &'a str,
    pub role: &'a str,
    pub resource: Name,
    pub effect: Effect,
    pub permissions: Vec<String>,
    pub expire_time: Option<Timestamp>,
    pub condition: Option<proto::Condition>,
}

/// Parses what somebody gives or denies.
pub fn terms(asked: Asked<'_>) -> Result<Terms, Status> {
    let condition = asked.condition.map(condition).transpose()?.filter(|condition| !condition.is_empty());
    let principal: HolderName = named(asked.within, "principal", asked.principal)?;
    let object = match (asked.effect, asked.role, asked.permissions.as_slice()) {
        (Effect::Deny, "", []) => {
            return Err(refuse(Refusal::invalid("permissions", "are missing: a denial names a role or permissions")));
        }
        (Effect::Deny, "", words) => Object::Denied(permissions(words)?),
        (Effect::Deny, role, []) => Object::DeniedRole(named(asked.within, "role", role)?),
        (Effect::Deny, _, _) => {
            return Err(refuse(Refusal::invalid("permissions", "must not stand beside a role")));
        }
        (Effect::Allow | Effect::Unspecified, role, []) => Object::Role(named(asked.within, "role", role)?),
        (Effect::Allow | Effect::Unspecified, _, _) => {
            return Err(refuse(Refusal::invalid("permissions", "can be denied; they are given by a role")));
        }
    };
    let expire_time = asked.expire_time.map(time);
    Ok(Terms {
        principal,
        object,
        resource: asked.resource,
        expire_time,
        condition,
        source: Source::Manual,
        activation: None,
    })
}

fn named<T: std::str::FromStr>(within: &str, name: &'static str, text: &str) -> Result<T, Status>
where
    Refusal: From<T::Err>,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|fault: T::Err| refuse(Refusal::invalid(name, format!("{within}{name}: {fault}"))))
}

/// Words of the contract, each once, so that a misspelled one is not taken for one that works.
pub fn permissions(words: &[String]) -> Result<Vec<String>, Status> {
    if words.len() > PERMISSIONS_MAX {
        return Err(refuse(Refusal::invalid("permissions", format!("must be at most {PERMISSIONS_MAX}"))));
    }
    if let Some(unknown) = words.iter().find(|word| !Roles::built_in().knows(word)) {
        return Err(refuse(Refusal::invalid("permissions", format!("{unknown:?} is no permission"))));
    }
    let mut words = words.to_vec();
    words.sort();
    words.dedup();
    Ok(words)
}

/// Two roles that are to be apart, or a role that is given.
pub fn role(text: &str) -> Result<RoleName, Status> {
    field("role", text)
}

/// Keys and values of tags.
pub fn tags(
    name: &'static str,
    given: impl IntoIterator<Item = (String, String)>,
    count_max: usize,
) -> Result<Tags, Status> {
    let tag = |text: &str| {
        let problem = "must be 1 to 63 letters, digits, dashes, dots and underscores";
        text.parse::<TagText>().map_err(|_| refuse(Refusal::invalid(name, format!("{text:?} {problem}"))))
    };
    let tags =
        given.into_iter().map(|(key, value)| Ok((tag(&key)?, tag(&value)?))).collect::<Result<Tags, Status>>()?;
    if tags.len() > count_max {
        return Err(refuse(Refusal::invalid(name, format!("must be at most {count_max}"))));
    }
    Ok(tags)
}

fn condition(asked: proto::Condition) -> Result<Condition, Status> {
    let invalid = |problem: String| refuse(Refusal::invalid("condition", problem));
    if asked.windows.len() > WINDOWS_MAX {
        return Err(invalid(format!("windows: must be at most {WINDOWS_MAX}")));
    }
    if asked.source_networks.len() > NETWORKS_MAX {
        return Err(invalid(format!("source_networks: must be at most {NETWORKS_MAX}")));
    }
    let network = |text: &String| {
        let network: Result<IpNet, _> = text.parse();
        network.map(|network| network.trunc().to_string()).map_err(|_| {
            invalid(format!("source_networks: {text:?} is no network, such as 10.0.0.0/8 or 2001:db8::/32"))
        })
    };
    Ok(Condition {
        windows: asked.windows.iter().map(|asked| window(asked).map_err(invalid)).collect::<Result<_, _>>()?,
        source_networks: asked.source_networks.iter().map(network).collect::<Result<_, _>>()?,
        project_tags: tags("condition.project_tags", asked.project_tags, CONDITION_TAGS_MAX)?,
        start_time: asked.start_time.map(time),
    })
}

fn window(asked: &proto::condition::Window) -> Result<Window, String> {
    let days: Option<Vec<u8>> =
        asked.days.iter().map(|day| u8::try_from(*day).ok().filter(|day| (1..=7).contains(day))).collect();
    let days = days.ok_or("windows: days are 1 for Monday to 7 for Sunday")?;
    Ok(Window { days, start: minute(&asked.start)?, end: minute(&asked.end)? })
}

/// `HH:MM` as the minute of a day.
fn minute(text: &str) -> Result<u16, String> {
    let parts = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2);
    let number = |text: &str, below: u16| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| is_plain && *number < below)
    };
    let minute = parts.and_then(|(hour, minute)| Some(number(hour, 24)? * 60 + number(minute, 60)?));
    minute.ok_or_else(|| format!("windows: {text:?} is no time of day such as 08:30"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_written_in_one_way() {
        assert_eq!(minute("00:00"), Ok(0));
        assert_eq!(minute("23:59"), Ok(23 * 60 + 59));
        for text in ["", "8:30", "08:3", "24:00", "08:60", "+8:00", "08-30", "08:30:00"] {
            assert!(minute(text).is_err(), "{text}");
        }
    }
}
