/// Declares a string newtype that exists only when valid.
///
/// `newtype!(/// What it is. Alias, "alias", |text| -> bool { .. });` gives a type with `FromStr` (validating),
/// `Display`, `as_str`, and `stored`, which reads history without judging it.
#[macro_export]
macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text as it is.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Reads a stored value. History obeys older rules, so nothing is checked.
            pub fn stored(text: impl Into<String>) -> Self {
                Self(text.into())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::NameFault;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err($crate::NameFault::invalid($noun, text))
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
