use cairn_testkit::given;

use super::*;

fn name() -> VersionName {
    "projects/p/models/m/versions/1".parse().unwrap()
}

fn event(change: Change) -> Event {
    Event { version: name(), change }
}

fn created() -> Event {
    event(Change::Created {
        description: "first".into(),
        tags: BTreeMap::new(),
        facts: Arc::default(),
        artifacts: Arc::default(),
    })
}

fn tag(set: &[(&str, &str)], delete: &[&str]) -> Command {
    let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Command::Tag { set, delete: delete.iter().map(|key| (*key).to_owned()).collect() }
}

#[test]
fn what_people_say_of_a_version_changes_and_saying_it_again_changes_nothing() {
    given::<Version>([created()])
        .when(Command::Describe("second".into()))
        .then([event(Change::Described("second".into()))])
        .when(Command::Describe("second".into()))
        .nothing()
        .when(tag(&[("a", "1")], &["b"]))
        .then([event(Change::TagsSet([("a".to_owned(), "1".to_owned())].into()))])
        .when(tag(&[("a", "1")], &[]))
        .nothing()
        .when(tag(&[], &["a"]))
        .then([event(Change::TagsDeleted(vec!["a".into()]))]);
}

#[test]
fn a_version_holds_a_thousand_tags_and_no_more() {
    let many: BTreeMap<String, String> = (0..=ENTRIES_MAX).map(|n| (format!("k{n}"), String::new())).collect();
    given::<Version>([created()])
        .when(Command::Tag { set: many, delete: vec![] })
        .rejected(registered::Rejection::Full { what: "tags", limit: ENTRIES_MAX });
}
