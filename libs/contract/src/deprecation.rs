use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::cairn::options::v1;
use crate::options::message_option;

/// That a method will be gone, and where its callers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deprecation {
    /// From when on it is deprecated, in seconds since 1970.
    pub since: i64,
    /// From when on it may be gone, in seconds since 1970.
    pub sunset: Option<i64>,
    /// The method that does the same, `package.Service/Method`.
    pub successor: Option<String>,
}

/// What a method, or else its service, says of its end. What is wrong with it is told to `fault`.
pub(crate) fn read(descriptor: &MethodDescriptor, fault: &mut impl FnMut(&str)) -> Option<Deprecation> {
    let (pool, service) = (descriptor.parent_pool(), descriptor.parent_service());
    let said = message_option::<v1::Deprecation>(pool, descriptor, "cairn.options.v1.deprecation")
        .or_else(|| message_option(pool, service, "cairn.options.v1.service_deprecation"))?;
    let Some(since) = midnight(&said.since) else {
        fault("is deprecated, but not since a day such as 2027-01-31");
        return None;
    };
    let sunset = midnight(&said.sunset);
    if !said.sunset.is_empty() && sunset.is_none_or(|sunset| sunset <= since) {
        fault("has a sunset that is no day after it was deprecated");
    }
    if !said.successor.is_empty() && !exists(pool, &said.successor) {
        fault("has a successor that is no method of the contract");
    }
    Some(Deprecation { since, sunset, successor: Some(said.successor).filter(|successor| !successor.is_empty()) })
}

fn exists(pool: &DescriptorPool, method: &str) -> bool {
    let found = method.split_once('/').and_then(|(service, name)| Some((pool.get_service_by_name(service)?, name)));
    found.is_some_and(|(service, name)| service.methods().any(|method| method.name() == name))
}

/// The beginning of a day, in seconds since 1970.
fn midnight(day: &str) -> Option<i64> {
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, date] = parts[..] else { return None };
    if [year.len(), month.len(), date.len()] != [4, 2, 2] {
        return None;
    }
    let (year, month, date): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, date.parse().ok()?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month_at = usize::try_from(month.checked_sub(1)?).ok()?;
    if year < 1970 || !(1..=*lengths.get(month_at)?).contains(&date) {
        return None;
    }
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let before: i64 = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some((before + lengths[..month_at].iter().sum::<i64>() + date - 1) * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_of_the_calendar() {
        // As `date -u -d DAY +%s` has them.
        for (day, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2024-12-31", 1_735_603_200),
            ("2026-11-30", 1_795_996_800),
            ("2100-03-01", 4_107_542_400),
        ] {
            assert_eq!(midnight(day), Some(seconds), "{day}");
        }
        for day in ["", "2026", "2026-13-01", "2026-00-01", "2026-02-29", "2026-04-31", "26-04-01", "1969-12-31", "x"] {
            assert_eq!(midnight(day), None, "{day}");
        }
    }
}
