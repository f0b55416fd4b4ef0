use cairn_kernel::Name;

use crate::model::ProjectName;

/// What of a project the caller may see: all of it, or some experiments and some single things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    pub is_all: bool,
    /// Ids of experiments that may be seen with everything in them.
    pub experiments: Vec<String>,
    /// Ids of single runs.
    pub runs: Vec<String>,
    /// Ids of single logged models.
    pub logged_models: Vec<String>,
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
            let id = |pattern: &str| prefix.matches(pattern).and_then(|ids| ids.last().map(|id| (*id).to_owned()));
            visible.experiments.extend(id("projects/*/experiments/*"));
            visible.runs.extend(id("projects/*/experiments/*/runs/*"));
            visible.logged_models.extend(id("projects/*/experiments/*/loggedModels/*"));
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
        assert!(Visible::of(&[Name::ROOT], &project).is_all);
        assert!(Visible::of(&names(&["projects/q", "projects/p"]), &project).is_all);
        let some = Visible::of(
            &names(&["projects/p/experiments/1", "projects/p/experiments/2/runs/r", "projects/q/experiments/3"]),
            &project,
        );
        assert_eq!((some.experiments, some.runs), (vec!["1".to_owned()], vec!["r".to_owned()]));
        assert!(!some.is_all);
    }
}
