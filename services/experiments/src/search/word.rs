use cairn_search::Sql;

/// Adds the number of a metric's, param's or tag's key.
pub(crate) trait Word {
    fn word(&mut self, key: &str) -> &mut Self;
}

impl Word for Sql {
    fn word(&mut self, key: &str) -> &mut Self {
        self.push("(SELECT id FROM word WHERE text = ").bind(key.to_owned()).push(")")
    }
}
