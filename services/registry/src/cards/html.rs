use super::page::{Page, Part, Table};

/// A page as HTML without scripts, styles or links. Whatever people wrote stands in it as text.
pub fn html(page: &Page) -> String {
    let title = escaped(&page.title);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body>\n\
         <h1>{title}</h1>\n"
    );
    for section in &page.sections {
        text.push_str(&format!("<h2>{}</h2>\n", escaped(section.heading)));
        match &section.part {
            Part::Note(note) => text.push_str(&format!("<pre>{}</pre>\n", escaped(note))),
            Part::Table(table) => write(&mut text, table),
        }
    }
    text.push_str("</body>\n</html>\n");
    text
}

fn write(text: &mut String, table: &Table) {
    let head: String = table.head.iter().map(|head| format!("<th>{}</th>", escaped(head))).collect();
    text.push_str(&format!("<table>\n<tr>{head}</tr>\n"));
    for cells in &table.rows {
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        text.push_str(&format!("<tr>{cells}</tr>\n"));
    }
    text.push_str("</table>\n");
}

fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '"' => plain.push_str("&quot;"),
            '\'' => plain.push_str("&#39;"),
            // Not even a page can show them.
            '\0' => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_people_wrote_becomes_a_tag() {
        let hostile = "</pre></td></title><script>alert('1')</script>\"&";
        let mut page = Page { title: hostile.into(), sections: vec![] };
        page.note("Notes", hostile);
        page.table("Tags", &["Key", "Value"], vec![vec![hostile.into(), hostile.into()]]);
        let written = html(&page);
        assert!(!written.contains("<script") && !written.contains("alert('"), "{written}");
        let closing = |tag: &str| written.matches(tag).count();
        assert_eq!([closing("</pre>"), closing("</td>"), closing("</title>")], [1, 2, 1]);
        assert!(written.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;"));
    }
}
