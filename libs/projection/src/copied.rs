/// How a view is copied elsewhere, for whoever asks in another database's language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// What stays here: `table`, or `table.column`. Whatever lets somebody in, and what nobody can read there.
    pub left_out: &'static [&'static str],
    /// What is called otherwise there, because another view of the same service has a table of that name: from, to.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Statements of the other database, run whenever its tables are made: views for people, and indexes that those need.
    pub readable: &'static str,
}

impl Copied {
    /// All of it, as it is.
    pub const WHOLE: Self = Self { left_out: &[], renamed: &[], readable: "" };

    /// Whether a table stays here.
    pub fn leaves_out(&self, table: &str) -> bool {
        self.left_out.contains(&table)
    }

    /// Whether a column of a table stays here.
    pub fn leaves_out_column(&self, table: &str, column: &str) -> bool {
        self.left_out.iter().any(|out| out.split_once('.') == Some((table, column)))
    }

    /// What a table is called there.
    pub fn name<'a>(&self, table: &'a str) -> &'a str {
        self.renamed.iter().find(|(from, _)| *from == table).map_or(table, |(_, to)| to)
    }
}
