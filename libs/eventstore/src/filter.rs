/// Which events of the whole log are wanted. The default wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Stream categories, exact. Empty: every category.
    pub categories: Vec<String>,
    /// Event types: exact, or a prefix when it ends in `*`. Empty: every type.
    pub kinds: Vec<String>,
}

impl Filter {
    /// Wants everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Wants the streams of some categories.
    pub fn categories<const N: usize>(categories: [&str; N]) -> Self {
        Self { categories: categories.map(str::to_owned).into(), kinds: vec![] }
    }

    /// Whether an event of this type on a stream of this category is wanted.
    pub fn wants(&self, category: &str, kind: &str) -> bool {
        let category_wanted = self.categories.is_empty() || self.categories.iter().any(|wanted| wanted == category);
        let kind_wanted = || {
            self.kinds.is_empty()
                || self.kinds.iter().any(|wanted| match wanted.strip_suffix('*') {
                    Some(prefix) => kind.starts_with(prefix),
                    None => wanted == kind,
                })
        };
        category_wanted && kind_wanted()
    }
}
