use std::collections::BTreeMap;

/// So much in a second, and so much at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    pub per_second: f64,
    pub burst: f64,
}

impl Quota {
    /// Neither is ever nothing: that would refuse for ever.
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), burst: f64::from(burst.max(1)) }
    }

    /// So much in a second, of which so many seconds' worth may come at once.
    pub fn over(per_second: u32, burst_seconds: u32) -> Self {
        Self::new(per_second, per_second.saturating_mul(burst_seconds))
    }

    /// What a call takes. One that costs more than the allowance ever holds takes all of it: it can be made, seldom.
    pub(super) fn cost(self, cost: u32) -> f64 {
        f64::from(cost).min(self.burst)
    }
}

/// What settings say of one subject, instead of what holds for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub rate: Option<u32>,
    pub burst: Option<u32>,
    pub cost: Option<u32>,
}

impl Rule {
    /// The quota of its subject; `burst` is what its rate gives without a word of its own.
    pub fn quota(self, otherwise: Quota, burst_seconds: u32) -> Quota {
        let Some(rate) = self.rate else {
            let burst = self.burst.map_or(otherwise.burst, f64::from);
            return Quota { burst, ..otherwise };
        };
        Quota::new(rate, self.burst.unwrap_or(rate.saturating_mul(burst_seconds)))
    }
}

/// Reads lines of settings: a subject and what holds for it, `projects/fraud rate=50 burst=100`. Or says what is wrong
/// with them.
pub fn rules(lines: &[String]) -> Result<BTreeMap<String, Rule>, Vec<String>> {
    let (mut rules, mut problems) = (BTreeMap::new(), vec![]);
    for line in lines {
        match rule(line) {
            Ok((subject, rule)) => {
                if rules.insert(subject.to_owned(), rule).is_some() {
                    problems.push(format!("{subject:?} stands there twice"));
                }
            }
            Err(problem) => problems.push(format!("{line:?} {problem}")),
        }
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

fn rule(line: &str) -> Result<(&str, Rule), String> {
    let mut words = line.split_whitespace();
    let subject = words.next().ok_or("names nothing")?;
    let mut rule = Rule::default();
    for word in words {
        let (name, number) = word.split_once('=').ok_or_else(|| format!("has {word:?}, which is no name=number"))?;
        let number = number.parse::<u32>().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| format!("has {word:?}: it must be a number above 0"))?;
        let kept = match name {
            "rate" => &mut rule.rate,
            "burst" => &mut rule.burst,
            "cost" => &mut rule.cost,
            _ => return Err(format!("has {name:?}; there are rate, burst and cost")),
        };
        if kept.replace(number).is_some() {
            return Err(format!("says {name} twice"));
        }
    }
    if rule == Rule::default() {
        return Err("says neither rate, burst nor cost".to_owned());
    }
    Ok((subject, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<BTreeMap<String, Rule>, Vec<String>> {
        rules(&[line.to_owned()])
    }

    #[test]
    fn a_rule_names_its_subject_and_what_holds_for_it() {
        let rules = read("projects/fraud rate=50  burst=100").unwrap();
        assert_eq!(rules["projects/fraud"], Rule { rate: Some(50), burst: Some(100), cost: None });
        let all = Quota::over(10, 2);
        assert_eq!(rules["projects/fraud"].quota(all, 2), Quota::new(50, 100));
        assert_eq!(read("a rate=50").unwrap()["a"].quota(all, 2), Quota::new(50, 100));
        assert_eq!(read("a burst=7").unwrap()["a"].quota(all, 2), Quota::new(10, 7));
        assert_eq!(read("a cost=7").unwrap()["a"].quota(all, 2), all);
    }

    #[test]
    fn what_is_no_rule_is_refused_with_what_is_wrong() {
        for (line, problem) in [
            ("", "names nothing"),
            ("a", "neither"),
            ("a rate", "name=number"),
            ("a rate=0", "above 0"),
            ("a rate=-1", "above 0"),
            ("a speed=1", "there are rate"),
            ("a rate=1 rate=2", "twice"),
        ] {
            let problems = read(line).unwrap_err();
            assert!(problems[0].contains(problem), "{line:?}: {problems:?}");
        }
        let twice = rules(&["a rate=1".to_owned(), "a cost=1".to_owned()]).unwrap_err();
        assert!(twice[0].contains("twice"));
    }
}
