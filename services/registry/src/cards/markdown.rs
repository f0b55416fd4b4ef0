use super::page::{Page, Part, Table};

/// A page as CommonMark, with tables as GitHub has them.
///
/// Whatever people wrote cannot become part of the page: in a table it is escaped, and a note is a quotation.
pub fn markdown(page: &Page) -> String {
    let mut text = format!("# {}\n", escaped(&page.title));
    for section in &page.sections {
        text.push_str(&format!("\n## {}\n\n", section.heading));
        match &section.part {
            Part::Note(note) => quote(&mut text, note),
            Part::Table(table) => write(&mut text, table),
        }
    }
    text
}

fn quote(text: &mut String, note: &str) {
    for line in note.lines() {
        text.push_str("> ");
        text.push_str(line);
        text.push('\n');
    }
}

fn write(text: &mut String, table: &Table) {
    let mut row = |cells: &mut dyn Iterator<Item = String>| {
        text.push('|');
        for cell in cells {
            text.push_str(&format!(" {cell} |"));
        }
        text.push('\n');
    };
    row(&mut table.head.iter().map(|head| (*head).to_owned()));
    row(&mut table.head.iter().map(|_| "---".to_owned()));
    for cells in &table.rows {
        row(&mut cells.iter().map(|cell| escaped(cell)));
    }
}

/// Text that is only text: what Markdown or HTML would take for a mark stands behind a backslash.
fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&' | '!' | '~' => {
                plain.push('\\');
                plain.push(c);
            }
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_stays_a_cell_or_a_quotation() {
        let mut page = Page { title: "a *b*".into(), sections: vec![] };
        page.note("Notes", "first\n\n## Promotions\nby everybody");
        page.table("Tags", &["Key", "Value"], vec![vec!["k".into(), "v | <b>\n# x".into()]]);
        let expected = "# a \\*b\\*\n\n## Notes\n\n> first\n> \n> ## Promotions\n> by everybody\n\n## Tags\n\n\
                        | Key | Value |\n| --- | --- |\n| k | v \\| \\<b\\> \\# x |\n";
        assert_eq!(markdown(&page), expected);
    }
}
