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
        self.wants_category(category) && self.wants_kind(kind)
    }

    /// Whether any event on a stream of this category may be wanted.
    pub fn wants_category(&self, category: &str) -> bool {
        self.categories.is_empty() || self.categories.iter().any(|wanted| wanted == category)
    }

    /// Whether an event of this type may be wanted.
    pub fn wants_kind(&self, kind: &str) -> bool {
        let is_wanted = |wanted: &String| match wanted.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => wanted == kind,
        };
        self.kinds.is_empty() || self.kinds.iter().any(is_wanted)
    }
}
