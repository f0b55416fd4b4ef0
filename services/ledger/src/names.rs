//! Names as people look for them: by how their parts begin.

/// Most parts of one name that it is found by; the first ones.
const PARTS_MAX: usize = 16;
/// Longest part that a name is found by, in characters; of a longer one, its beginning.
const PART_CHARS_MAX: usize = 64;

/// What a name is found by. Of a resource that is its own id: what lies below it is found through it. Of anything else,
/// such as an action, all of it.
pub fn parts(name: &str) -> Vec<String> {
    let own = name.rsplit('/').next().unwrap_or_default();
    let mut parts = split(own).take(PARTS_MAX).collect::<Vec<_>>();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// Words of a query, each the beginning of a part.
pub fn words(query: &str) -> Vec<String> {
    let mut words: Vec<_> = split(query).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// A resource's name and those above it, shortest first.
pub fn line_of(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.match_indices('/').map(|(at, _)| at).skip(1).step_by(2).chain([name.len()]);
    ends.map(|end| &name[..end])
}

fn split(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(|part| part.chars().flat_map(char::to_lowercase).take(PART_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_found_by_its_own_id_and_an_action_by_all_of_it() {
        assert_eq!(parts("projects/Fraud-EU/models/scorer_v2"), ["scorer", "v2"]);
        assert_eq!(parts("experiments.runs.create"), ["create", "experiments", "runs"]);
        assert_eq!(parts("*"), Vec::<String>::new());
        assert_eq!(words(" Fraud  fraud-eu "), ["eu", "fraud"]);
    }

    #[test]
    fn above_a_resource_is_every_other_segment() {
        let line: Vec<_> = line_of("projects/p/experiments/1/runs/r").collect();
        assert_eq!(line, ["projects/p", "projects/p/experiments/1", "projects/p/experiments/1/runs/r"]);
        assert_eq!(line_of("*").collect::<Vec<_>>(), ["*"]);
    }
}
