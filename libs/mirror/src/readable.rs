//! What a service adds to its copied tables for people: views, and indexes that those need.

/// The statements of a text, of which each ends in `;` at the end of a line.
pub(crate) fn statements(sql: &str) -> impl Iterator<Item = String> {
    let is_comment = |line: &&str| !line.trim_start().starts_with("--");
    let bare: Vec<&str> = sql.lines().filter(is_comment).collect();
    let bare = bare.join("\n") + "\n";
    let found: Vec<String> = bare.split(";\n").map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
    // What others have built upon a view stays when it is made again.
    found.into_iter().map(|one| match one.strip_prefix("CREATE VIEW ") {
        Some(view) => format!("CREATE OR REPLACE VIEW {view}"),
        None => one,
    })
}

/// The views that a text makes.
pub(crate) fn views(sql: &str) -> Vec<String> {
    let named = |one: String| Some(one.strip_prefix("CREATE OR REPLACE VIEW ")?.split_whitespace().next()?.to_owned());
    statements(sql).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_its_statements_without_remarks() {
        let text = "-- Runs; with names.\nCREATE VIEW runs AS\n  SELECT 1;\n\nCREATE INDEX ON run (project);\n";
        let found: Vec<_> = statements(text).collect();
        assert_eq!(found, ["CREATE OR REPLACE VIEW runs AS\n  SELECT 1", "CREATE INDEX ON run (project)"]);
        assert_eq!(views(text), ["runs"]);
        assert_eq!(statements("").count(), 0);
    }
}
