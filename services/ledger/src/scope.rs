use cairn_kernel::Name;

/// Where a caller may look: at or below some names, none of which covers another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(pub Vec<Name>);

impl Scope {
    /// Whether a resource lies in it. What lies nowhere in particular is seen by those who see everything.
    pub fn covers(&self, resource: &Name) -> bool {
        self.0.iter().any(|name| name.covers(resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_nowhere_is_seen_by_those_who_see_everything() {
        let project: Name = "projects/a".parse().unwrap();
        assert!(Scope(vec![Name::ROOT]).covers(&Name::ROOT));
        assert!(!Scope(vec![project.clone()]).covers(&Name::ROOT));
        assert!(Scope(vec![project]).covers(&"projects/a/runs/r".parse().unwrap()));
    }
}
