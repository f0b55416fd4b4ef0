//! Guardrails that come with Cairn: an organization switches them on by name.

use std::collections::BTreeMap;
use std::fmt::Write;

use cairn_kernel::Time;
use ipnet::IpNet;

use super::words;

/// A guardrail that is written already, but for its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    pub name: &'static str,
    pub description: &'static str,
    /// Its parameters: name, what it stands for, and what it is if nothing is said. Nothing: it may stay away.
    pub parameters: &'static [(&'static str, &'static str, Option<&'static str>)],
}

type Given<'a> = BTreeMap<&'a str, &'a str>;

const PERMISSIONS: &str = "rights that it is about, with commas between them; `moves` is all that brings something into \
                           use, `guarded` everything";

/// Those that there are.
pub const TEMPLATES: &[Template] = &[
    Template {
        name: "freeze-window",
        description: "forbids at certain times",
        parameters: &[
            ("from", "when it begins, RFC 3339; with `until`, instead of hours", None),
            ("until", "when it ends, RFC 3339", None),
            ("days", "days of the week, 1 for Monday to 7 for Sunday", Some("1,2,3,4,5,6,7")),
            ("start", "when it begins on each of the days, HH:MM in UTC", None),
            ("end", "when it ends, on the next day if that is not later than the start", None),
            ("permissions", PERMISSIONS, Some("moves")),
        ],
    },
    Template {
        name: "approver-not-author",
        description: "forbids that somebody approves what they asked for, or a version that they registered",
        parameters: &[],
    },
    Template {
        name: "approvals",
        description: "forbids that something comes into use with fewer approvals",
        parameters: &[
            ("stage", "the stage that it is about", Some("production")),
            ("count", "how many must approve", Some("2")),
        ],
    },
    Template {
        name: "source-network",
        description: "forbids what does not come from certain networks",
        parameters: &[
            ("networks", "the networks, with commas between them", None),
            ("permissions", PERMISSIONS, Some("guarded")),
        ],
    },
    Template {
        name: "fresh-login",
        description: "forbids people what they do not log in for, shortly before",
        parameters: &[
            ("within", "how long a login counts, e.g. 15m", Some("15m")),
            ("permissions", PERMISSIONS, Some("guarded")),
        ],
    },
];

/// The policy that a template comes to.
pub fn expand(name: &str, parameters: &BTreeMap<String, String>) -> Result<String, String> {
    let template = TEMPLATES.iter().find(|template| template.name == name).ok_or_else(|| {
        let names: Vec<&str> = TEMPLATES.iter().map(|template| template.name).collect();
        format!("there is no template {name:?}; there are {}", names.join(", "))
    })?;
    let known: Vec<&str> = template.parameters.iter().map(|(parameter, ..)| *parameter).collect();
    if let Some(unknown) = parameters.keys().find(|parameter| !known.contains(&parameter.as_str())) {
        return Err(format!("{name} has no parameter {unknown:?}; it has {}", known.join(", ")));
    }
    let mut given: Given<'_> =
        template.parameters.iter().filter_map(|(parameter, _, otherwise)| Some((*parameter, (*otherwise)?))).collect();
    given.extend(parameters.iter().map(|(parameter, value)| (parameter.as_str(), value.trim())));
    match name {
        "freeze-window" => freeze(&given),
        "approver-not-author" => Ok(String::from(
            "forbid (principal, action == Action::\"registry.promotions.approve\", resource)\n\
             when { context.authors.contains(principal.name) };",
        )),
        "approvals" => approvals(&given),
        "source-network" => networks(&given),
        _ => fresh_login(&given),
    }
}

fn freeze(given: &Given<'_>) -> Result<String, String> {
    let actions = actions(given)?;
    let when = match (given.get("from"), given.get("until"), given.get("start"), given.get("end")) {
        (Some(from), Some(until), None, None) => {
            let (from, until) = (moment("from", from)?, moment("until", until)?);
            if until <= from {
                return Err("until must be later than from".to_owned());
            }
            format!("context.time >= {} && context.time < {}", datetime(from), datetime(until))
        }
        (None, None, Some(start), Some(end)) => {
            let days = given["days"].split(',').map(|day| match day.trim().parse() {
                Ok(day @ 1..=7) => Ok(day),
                _ => Err(format!("days: {day:?} is none; 1 is Monday, 7 is Sunday")),
            });
            hours(&days.collect::<Result<Vec<u8>, _>>()?, minutes("start", start)?, minutes("end", end)?)
        }
        _ => return Err("it takes either from and until, or start and end".to_owned()),
    };
    Ok(format!("forbid (principal, action{actions}, resource)\nwhen {{ {when} }};"))
}

/// Hours of days. The part after midnight belongs to the day that it began on.
fn hours(days: &[u8], start: u16, end: u16) -> String {
    let list = |days: Vec<u8>| days.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let on = |days: Vec<u8>| format!("[{}].contains(context.weekday)", list(days));
    let (of_day, clock) = (on(days.to_vec()), |minutes: u16| format!("duration(\"{minutes}m\")"));
    let time = "context.time.toTime()";
    if start < end {
        return format!("{of_day} && {time} >= {} && {time} < {}", clock(start), clock(end));
    }
    let after = on(days.iter().map(|day| day % 7 + 1).collect());
    format!("({of_day} && {time} >= {}) || ({after} && {time} < {})", clock(start), clock(end))
}

fn approvals(given: &Given<'_>) -> Result<String, String> {
    let stages = ["none", "staging", "production", "archived"];
    let stage = given["stage"].to_lowercase();
    if !stages.contains(&stage.as_str()) {
        return Err(format!("stage: {stage:?} is none; there are {}", stages.join(", ")));
    }
    let count = given["count"].parse::<u32>().ok().filter(|count| (1..=100).contains(count));
    let count = count.ok_or_else(|| format!("count: {:?} is no number from 1 to 100", given["count"]))?;
    Ok(format!(
        "forbid (principal, action in [Action::\"moves\"], resource)\n\
         when {{ context.stages.contains(\"{stage}\") && context.approvals_required < {count} }};"
    ))
}

fn networks(given: &Given<'_>) -> Result<String, String> {
    let actions = actions(given)?;
    let networks = given.get("networks").ok_or("networks must be said")?;
    let mut within = String::new();
    for text in networks.split(',').map(str::trim) {
        let network: IpNet = text.parse().map_err(|_| format!("networks: {text:?} is none, e.g. 10.0.0.0/8"))?;
        let or = if within.is_empty() { "" } else { " || " };
        let _ = write!(within, "{or}context.source.isInRange(ip(\"{}\"))", network.trunc());
    }
    Ok(format!("forbid (principal, action{actions}, resource)\nunless {{ {within} }};"))
}

fn fresh_login(given: &Given<'_>) -> Result<String, String> {
    let actions = actions(given)?;
    let within = given["within"];
    let unit = within.strip_suffix(['s', 'm', 'h']).and_then(|count| count.parse::<u32>().ok());
    if unit.is_none_or(|count| count == 0) {
        return Err(format!("within: {within:?} is no time, e.g. 15m"));
    }
    Ok(format!(
        "forbid (principal is User, action{actions}, resource)\n\
         when {{ context.login_age > duration(\"{within}\") }};"
    ))
}

/// The part of a policy that says what it is about.
fn actions(given: &Given<'_>) -> Result<String, String> {
    let mut found = vec![];
    for word in given["permissions"].split(',').map(str::trim) {
        if !["guarded", "moves"].contains(&word) && !words().contains_key(word) {
            let all: Vec<&str> = words().keys().copied().collect();
            return Err(format!("permissions: guardrails are not asked about {word:?}, but about {}", all.join(", ")));
        }
        found.push(format!("Action::\"{word}\""));
    }
    Ok(format!(" in [{}]", found.join(", ")))
}

fn moment(parameter: &str, text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| format!("{parameter}: {text:?} is no time, e.g. 2026-12-24T00:00:00Z"))
}

fn datetime(time: Time) -> String {
    format!("datetime(\"{}\")", Time::from_seconds_and_nanos(time.seconds_and_nanos().0, 0))
}

fn minutes(parameter: &str, text: &str) -> Result<u16, String> {
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)));
    match parts {
        Some((hour @ 0..=23u16, minute @ 0..=59u16)) => Ok(hour * 60 + minute),
        _ => Err(format!("{parameter}: {text:?} is no time of the day, e.g. 18:00")),
    }
}
