use serde::Serialize;
use serde::de::DeserializeOwned;

/// One key of a section, as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name within the section.
    pub name: &'static str,
    /// Its type, as Rust spells it.
    pub rust_type: &'static str,
    /// What it means.
    pub doc: String,
    /// Short environment names, beside `CAIRN__SECTION__KEY`.
    pub short_names: &'static [&'static str],
    /// Whether it may change while the program runs.
    pub is_reloadable: bool,
}

/// A part of the configuration that one crate owns. Declared with [`settings!`](crate::settings).
pub trait Section: Default + Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Name of its table in `cairn.toml`.
    const NAME: &'static str;

    /// What it is about.
    fn doc() -> String;

    /// Its keys, in the order they were declared.
    fn keys() -> Vec<Key>;

    /// What is wrong with these values, beyond their types: `key must be …`.
    fn problems(&self) -> Vec<String> {
        vec![]
    }
}

impl Key {
    /// Whether its value must never be shown, nor stand in a file that people pass around.
    pub fn is_secret(&self) -> bool {
        self.rust_type.contains("Secret")
    }

    /// Whether it holds several values; in the environment they are separated by commas.
    pub fn is_list(&self) -> bool {
        self.rust_type.starts_with("Vec")
    }

    /// Its type in the words of the reference.
    pub fn type_name(&self) -> &'static str {
        let inner = self.rust_type.strip_prefix("Option<").and_then(|inner| inner.strip_suffix('>'));
        match inner.unwrap_or(self.rust_type) {
            "bool" => "boolean",
            "String" => "text",
            "PathBuf" => "path",
            "f32" | "f64" => "number",
            _ if self.is_secret() => "secret",
            _ if self.is_list() => "list",
            other if other.starts_with(['u', 'i']) && other[1..].parse::<u8>().is_ok() => "integer",
            "usize" | "isize" => "integer",
            _ => "text",
        }
    }
}

/// Declares a section of the configuration.
///
/// ```
/// cairn_kernel::settings! {
///     /// Where read models are kept.
///     pub struct Config: "registry" {
///         /// Largest lag, in events, before this service reports itself unready.
///         lag_max: u64 = 10_000;
///         /// Address to listen on.
///         host: String = "127.0.0.1".to_owned(), env "API_HOST";
///     }
/// }
/// assert_eq!(Config::default().lag_max, 10_000);
/// ```
///
/// After the name may come `checked by <path>`: a function from the section to a list of what is wrong with it. After a
/// key's type may come `as reloadable`: whoever reads it takes over another value while the program runs.
///
/// A macro, because a struct with its defaults, its names and its documentation for the reference would otherwise be
/// three lists that drift apart.
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $doc:literal])+
        $visibility:vis struct $name:ident: $section:literal $(checked by $check:path)? {
            $(
                $(#[doc = $key_doc:literal])+
                $key:ident: $type:ty $(as $reloadable:ident)? = $default:expr $(, env $($short:literal),+)?;
            )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $visibility struct $name {
            $( $(#[doc = $key_doc])+ pub $key: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )* }
            }
        }

        impl $crate::Section for $name {
            const NAME: &'static str = $section;

            fn doc() -> String {
                [$($doc),+].map(str::trim).join(" ")
            }

            fn keys() -> Vec<$crate::Key> {
                vec![$(
                    $crate::Key {
                        name: stringify!($key),
                        rust_type: stringify!($type),
                        doc: [$($key_doc),+].map(str::trim).join(" "),
                        short_names: &[$($($short),+)?],
                        is_reloadable: [$(stringify!($reloadable)),*].contains(&"reloadable"),
                    },
                )*]
            }

            $(
                fn problems(&self) -> Vec<String> {
                    $check(self)
                }
            )?
        }
    };
}
