//! A page before it is written down: what it says, without saying how.

/// A titled page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub title: String,
    pub sections: Vec<Section>,
}

/// A heading and what stands below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    pub heading: &'static str,
    pub part: Part,
}

/// What stands below a heading.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// What somebody wrote, in Markdown.
    Note(String),
    Table(Table),
}

/// A table. Every row is as long as the head.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// Adds a note, if there is one.
    pub fn note(&mut self, heading: &'static str, text: &str) {
        if !text.trim().is_empty() {
            self.sections.push(Section { heading, part: Part::Note(text.to_owned()) });
        }
    }

    /// Adds a table, if it has rows.
    pub fn table(&mut self, heading: &'static str, head: &[&'static str], rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            let table = Table { head: head.to_vec(), rows };
            self.sections.push(Section { heading, part: Part::Table(table) });
        }
    }
}
