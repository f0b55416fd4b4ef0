//! What to do about one view, by where it stands and where its copy does. No IO.

use cairn_kernel::Position;
use cairn_projection::Standing;
use uuid::Uuid;

/// Where the copy of a view stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Names the shape of its tables, and whatever else makes rows of another kind.
    pub form: String,
    pub position: Position,
    /// The last event that is in it.
    pub last: Option<(Position, Uuid)>,
}

/// What was found of a copy against the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The life of the view in which that was asked.
    pub life: [u8; 16],
    pub is_of_this_log: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It has everything.
    Current,
    /// It has more than the view here: another process was further.
    Ahead,
    /// The log is to be asked first whether the copy was made from it.
    Check,
    /// What changed since is to be written.
    Follow(Position),
    /// All is to be written anew.
    Fill,
}

pub(crate) fn plan(standing: &Standing, form: &str, known: Option<&Known>, checked: Option<Checked>) -> Plan {
    let Some(known) = known.filter(|known| known.form == form) else { return Plan::Fill };
    match checked.filter(|checked| checked.life == standing.life) {
        None => return Plan::Check,
        Some(checked) if !checked.is_of_this_log => return Plan::Fill,
        Some(_) => {}
    }
    if standing.is_doubtful {
        return Plan::Fill;
    }
    match known.position.cmp(&standing.position) {
        std::cmp::Ordering::Greater => Plan::Ahead,
        std::cmp::Ordering::Equal => Plan::Current,
        // What changed between the two is not noted down.
        std::cmp::Ordering::Less if standing.since > known.position => Plan::Fill,
        std::cmp::Ordering::Less => Plan::Follow(known.position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: [u8; 16] = [7; 16];

    fn standing(position: u64, since: u64) -> Standing {
        let (position, since) = (Position(position), Position(since));
        Standing { position, last: None, since, life: LIFE, is_doubtful: false }
    }

    fn decided(standing: &Standing, position: u64) -> Plan {
        let known = Known { form: "a".to_owned(), position: Position(position), last: None };
        plan(standing, "a", Some(&known), Some(Checked { life: LIFE, is_of_this_log: true }))
    }

    #[test]
    fn a_copy_goes_on_from_where_it_is_if_all_since_is_noted_down() {
        assert_eq!(decided(&standing(9, 3), 3), Plan::Follow(Position(3)));
        assert_eq!(decided(&standing(9, 4), 3), Plan::Fill);
        assert_eq!(decided(&standing(9, 9), 9), Plan::Current);
        assert_eq!(decided(&standing(9, 3), 12), Plan::Ahead);
        assert_eq!(decided(&Standing { is_doubtful: true, ..standing(9, 3) }, 9), Plan::Fill);
    }

    #[test]
    fn a_copy_of_another_form_or_another_log_is_made_anew() {
        let known = Known { form: "old".to_owned(), position: Position(9), last: None };
        let checked = Checked { life: LIFE, is_of_this_log: true };
        assert_eq!(plan(&standing(9, 3), "a", None, None), Plan::Fill);
        assert_eq!(plan(&standing(9, 3), "a", Some(&known), Some(checked)), Plan::Fill);
        assert_eq!(plan(&standing(9, 3), "old", Some(&known), None), Plan::Check);
        let of_before = Checked { life: [1; 16], ..checked };
        assert_eq!(plan(&standing(9, 3), "old", Some(&known), Some(of_before)), Plan::Check);
        let of_another = Checked { is_of_this_log: false, ..checked };
        assert_eq!(plan(&standing(9, 3), "old", Some(&known), Some(of_another)), Plan::Fill);
    }
}
