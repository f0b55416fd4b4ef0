use cairn_kernel::Name;

use crate::model::ProjectName;

/// What of a project the caller may see: all of it, or some models and some single versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    pub is_all: bool,
    /// Ids of models that may be seen with everything in them.
    pub models: Vec<String>,
    /// Single versions: `{model}/{number}`.
    pub versions: Vec<String>,
}

impl Visible {
    /// Everything: for what was already allowed as a whole.
    pub fn all() -> Self {
        Self { is_all: true, ..Self::default() }
    }

    /// What these prefixes cover of a project.
    pub fn of(prefixes: &[Name], project: &ProjectName) -> Self {
        let mut visible = Self::default();
        for prefix in prefixes {
            if prefix.covers(project.name()) {
                return Self::all();
            }
            if prefix.project().as_ref() != Some(project.name()) {
                continue;
            }
            if let Some(ids) = prefix.matches("projects/*/models/*") {
                visible.models.push(ids[1].to_owned());
            }
            if let Some(ids) = prefix.matches("projects/*/models/*/versions/*") {
                visible.versions.push(format!("{}/{}", ids[1], ids[2]));
            }
        }
        visible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_above_the_project_shows_all_and_one_below_shows_its_part() {
        let project: ProjectName = "projects/p".parse().unwrap();
        let names = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Name>>();
        assert!(Visible::of(&names(&["projects/q", "projects/p"]), &project).is_all);
        let some = Visible::of(&names(&["projects/p/models/m", "projects/p/models/n/versions/2"]), &project);
        assert_eq!((some.models, some.versions), (vec!["m".to_owned()], vec!["n/2".to_owned()]));
        assert!(!some.is_all);
    }
}
