use std::collections::{BTreeMap, HashMap};

use cairn_kernel::Position;

/// Who is in which group, and since where in the log. A group may be in another, which is in none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    groups: HashMap<String, Members>,
    of: HashMap<String, Vec<String>>,
}

type Members = BTreeMap<String, Position>;

/// A group that a principal is in, and since where in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership<'a> {
    pub group: &'a str,
    pub since: Position,
}

impl Groups {
    pub fn create(&mut self, group: String) {
        self.groups.entry(group).or_default();
    }

    pub fn delete(&mut self, group: &str) {
        for member in self.groups.remove(group).unwrap_or_default().into_keys() {
            self.forget(&member, group);
        }
    }

    pub fn add(&mut self, group: &str, members: Vec<String>, at: Position) {
        let Some(inside) = self.groups.get_mut(group) else { return };
        for member in members {
            if inside.insert(member.clone(), at).is_none() {
                self.of.entry(member).or_default().push(group.to_owned());
            }
        }
    }

    pub fn remove(&mut self, group: &str, members: &[String]) {
        let Some(inside) = self.groups.get_mut(group) else { return };
        let gone: Vec<&String> = members.iter().filter(|member| inside.remove(*member).is_some()).collect();
        gone.into_iter().for_each(|member| self.forget(member, group));
    }

    fn forget(&mut self, member: &str, group: &str) {
        if let Some(of) = self.of.get_mut(member) {
            of.retain(|known| known != group);
        }
    }

    /// Whether a group is there.
    pub fn knows(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// Who is in a group, directly.
    pub fn members(&self, group: &str) -> impl Iterator<Item = &str> {
        self.groups.get(group).into_iter().flat_map(|members| members.keys().map(String::as_str))
    }

    /// How many there are below a prefix of names.
    pub fn count_below(&self, prefix: &str) -> usize {
        self.groups.keys().filter(|group| group.starts_with(prefix)).count()
    }

    /// The groups that somebody is in, directly or through one of them.
    pub fn of<'a>(&'a self, member: &'a str) -> impl Iterator<Item = Membership<'a>> {
        self.direct(member).flat_map(|inner| {
            let outer = self.direct(inner.group);
            let outer = outer.map(move |outer| Membership { since: outer.since.max(inner.since), ..outer });
            std::iter::once(inner).chain(outer)
        })
    }

    /// The groups that somebody is in directly.
    pub fn direct<'a>(&'a self, member: &'a str) -> impl Iterator<Item = Membership<'a>> {
        self.of.get(member).into_iter().flatten().filter_map(move |group| {
            let since = *self.groups.get(group)?.get(member)?;
            Some(Membership { group, since })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_group_in_a_group_is_in_both_since_the_later_of_the_two() {
        let mut groups = Groups::default();
        for group in ["inner", "outer"] {
            groups.create(group.into());
        }
        groups.add("outer", vec!["inner".into()], Position(7));
        groups.add("inner", vec!["ada".into(), "bob".into()], Position(5));
        let of = |groups: &Groups, who: &str| {
            groups.of(who).map(|found| (found.group.to_owned(), found.since.0)).collect::<Vec<_>>()
        };
        assert_eq!(of(&groups, "ada"), [("inner".to_owned(), 5), ("outer".to_owned(), 7)]);
        groups.remove("inner", &["ada".into()]);
        assert_eq!((of(&groups, "ada"), of(&groups, "bob").len()), (vec![], 2));
        groups.delete("inner");
        assert_eq!(of(&groups, "bob"), []);
        assert_eq!(groups.members("outer").collect::<Vec<_>>(), ["inner"], "its name stays, and leads nowhere");
    }
}
