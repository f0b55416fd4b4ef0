use std::collections::BTreeMap;
use std::net::IpAddr;

use cairn_kernel::Time;
use ipnet::IpNet;

/// What is known of a request besides who asks for what: the facts that conditions are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Where it comes from; `None`: it is not known, and lies in no network.
    pub source: Option<IpAddr>,
}

impl Circumstances {
    /// Of a request from an address as text. One that does not read is not known.
    pub fn from_source(address: Option<&str>) -> Self {
        Self { source: address.and_then(|text| text.parse().ok()).map(|address: IpAddr| address.to_canonical()) }
    }
}

/// What must be so for a binding to hold. Whatever is empty is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Within any of these.
    pub windows: Vec<Window>,
    /// From any of these networks.
    pub networks: Vec<IpNet>,
    /// In a project that is tagged so, each of them.
    pub project_tags: BTreeMap<String, String>,
    /// Not before.
    pub start_time: Option<Time>,
    /// It does not read: it is never met, and what it takes it always takes.
    pub is_unreadable: bool,
}

/// Hours of days, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Days of the week, 1 for Monday to 7 for Sunday. Empty: every day.
    pub days: Vec<u8>,
    /// Minute of the day that it begins with.
    pub start: u16,
    /// Minute of the day that it ends before; of the next day if that is not later than the start.
    pub end: u16,
}

const MINUTES_A_DAY: i64 = 24 * 60;
/// The day that time is counted from was a Thursday.
const FIRST_WEEKDAY: i64 = 3;

impl Condition {
    /// Whether it is met. A fact that is not known meets nothing.
    pub fn is_met(&self, now: Time, circumstances: &Circumstances, tags: Option<&BTreeMap<String, String>>) -> bool {
        let is_in_network = |source: IpAddr| self.networks.iter().any(|network| network.contains(&source));
        let is_tagged =
            |tags: &BTreeMap<String, String>| self.project_tags.iter().all(|(key, value)| tags.get(key) == Some(value));
        !self.is_unreadable
            && self.start_time.is_none_or(|start| start <= now)
            && (self.windows.is_empty() || self.windows.iter().any(|window| window.holds(now)))
            && (self.networks.is_empty() || circumstances.source.is_some_and(is_in_network))
            && (self.project_tags.is_empty() || tags.is_some_and(is_tagged))
    }

    /// Whether it could be met, for all that is known: a fact that is not known does not speak against it. What takes
    /// something away takes it then.
    pub fn may_be_met(
        &self,
        now: Time,
        circumstances: &Circumstances,
        tags: Option<&BTreeMap<String, String>>,
    ) -> bool {
        if self.is_unreadable {
            return true;
        }
        let known = Self {
            networks: if circumstances.source.is_some() { self.networks.clone() } else { vec![] },
            project_tags: if tags.is_some() { self.project_tags.clone() } else { BTreeMap::new() },
            ..self.clone()
        };
        known.is_met(now, circumstances, tags)
    }
}

/// The day of the week in UTC, 1 for Monday to 7 for Sunday.
pub(crate) fn weekday(time: Time) -> i64 {
    (time.micros().div_euclid(60_000_000 * MINUTES_A_DAY) + FIRST_WEEKDAY).rem_euclid(7) + 1
}

impl Window {
    /// Whether a moment lies in it. The part after midnight belongs to the day that it began on.
    pub fn holds(&self, now: Time) -> bool {
        let minutes = now.micros().div_euclid(60_000_000);
        let (day, minute) = (minutes.div_euclid(MINUTES_A_DAY), minutes.rem_euclid(MINUTES_A_DAY));
        let is_on = |day: i64| {
            let weekday = (day + FIRST_WEEKDAY).rem_euclid(7) + 1;
            self.days.is_empty() || self.days.iter().any(|wanted| i64::from(*wanted) == weekday)
        };
        let (start, end) = (i64::from(self.start), i64::from(self.end));
        if start < end {
            return is_on(day) && (start..end).contains(&minute);
        }
        (is_on(day) && minute >= start) || (is_on(day - 1) && minute < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn a_window_holds_on_its_days_and_past_midnight() {
        let night = Window { days: vec![5], start: 22 * 60, end: 6 * 60 };
        // The fourth of September 2026 was a Friday.
        for (text, holds) in [
            ("2026-09-04T21:59:59Z", false),
            ("2026-09-04T22:00:00Z", true),
            ("2026-09-05T05:59:59Z", true),
            ("2026-09-05T06:00:00Z", false),
            ("2026-09-05T23:00:00Z", false),
            ("2026-09-04T05:00:00Z", false),
        ] {
            assert_eq!(night.holds(at(text)), holds, "{text}");
        }
        let office = Window { days: vec![], start: 8 * 60, end: 18 * 60 };
        assert!(office.holds(at("1969-12-31T08:00:00Z")) && !office.holds(at("2026-09-06T18:00:00Z")));
    }

    #[test]
    fn what_is_not_known_meets_no_condition_and_rules_none_out() {
        let condition = Condition {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            project_tags: [("tier".to_owned(), "test".to_owned())].into(),
            ..Condition::default()
        };
        let inside = Circumstances::from_source(Some("::ffff:10.1.2.3"));
        let outside = Circumstances::from_source(Some("192.0.2.1"));
        let unknown = Circumstances::from_source(Some("unix socket"));
        let tags: BTreeMap<_, _> = [("tier".to_owned(), "test".to_owned()), ("a".to_owned(), "b".to_owned())].into();
        let now = Time::default();
        assert!(condition.is_met(now, &inside, Some(&tags)));
        for (circumstances, tags, may) in [
            (outside, Some(&tags), false),
            (unknown, Some(&tags), true),
            (inside, None, true),
            (inside, Some(&BTreeMap::new()), false),
        ] {
            assert!(!condition.is_met(now, &circumstances, tags));
            assert_eq!(condition.may_be_met(now, &circumstances, tags), may, "{circumstances:?} {tags:?}");
        }
        let unreadable = Condition { is_unreadable: true, ..Condition::default() };
        assert!(!unreadable.is_met(now, &inside, None) && unreadable.may_be_met(now, &inside, None));
    }
}
