use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor,
    MessageDescriptor, MethodDescriptor, ServiceDescriptor, Value,
};

/// Anything a contract declares: it stands somewhere, may have a comment above it, and may carry options.
pub trait Declared {
    /// Its full name.
    fn full_name(&self) -> &str;
    /// The file it stands in.
    fn file(&self) -> FileDescriptor;
    /// Where in that file's descriptor it is.
    fn path(&self) -> &[i32];
    /// Its options, ours included.
    fn options(&self) -> DynamicMessage;

    /// The comment above it, or behind it on its line; empty if it has none.
    fn comment(&self) -> String {
        self.location(|location| {
            let comments = [&location.leading_comments, &location.trailing_comments];
            comments.into_iter().flatten().map(|text| tidy(text)).find(|text| !text.is_empty())
        })
        .unwrap_or_default()
    }

    /// `file:line`, as compilers print it.
    fn place(&self) -> String {
        let line = self.location(|location| location.span.first().map(|line| line + 1));
        format!("{}:{}", self.file().name(), line.unwrap_or(1))
    }

    /// Looks into the source information, if the descriptors carry it.
    #[doc(hidden)]
    fn location<T>(&self, read: impl Fn(&prost_types::source_code_info::Location) -> Option<T>) -> Option<T> {
        let file = self.file();
        let info = file.file_descriptor_proto().source_code_info.as_ref()?;
        info.location.iter().find(|location| location.path == self.path()).and_then(read)
    }
}

macro_rules! declared {
    ($($type:ty),+) => {$(
        impl Declared for $type {
            fn full_name(&self) -> &str {
                self.full_name()
            }
            fn file(&self) -> FileDescriptor {
                self.parent_file()
            }
            fn path(&self) -> &[i32] {
                self.path()
            }
            fn options(&self) -> DynamicMessage {
                self.options()
            }
        }
    )+};
}
declared!(MessageDescriptor, FieldDescriptor, EnumDescriptor, EnumValueDescriptor, ServiceDescriptor, MethodDescriptor);

/// An option of ours that holds a message, read dynamically: typed descriptors do not carry it.
pub(crate) fn message_option<M: prost::Message + Default>(
    pool: &DescriptorPool,
    declared: &impl Declared,
    name: &str,
) -> Option<M> {
    match option(pool, declared, name)? {
        Value::Message(message) => message.transcode_to::<M>().ok(),
        _ => None,
    }
}

/// An option of ours that holds an enum value.
pub(crate) fn enum_option<E: TryFrom<i32>>(pool: &DescriptorPool, declared: &impl Declared, name: &str) -> Option<E> {
    option(pool, declared, name)?.as_enum_number().and_then(|number| E::try_from(number).ok())
}

fn option(pool: &DescriptorPool, declared: &impl Declared, name: &str) -> Option<Value> {
    let extension = pool.get_extension_by_name(name)?;
    let options = declared.options();
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

/// A comment without the space that follows each `//`.
fn tidy(comment: &str) -> String {
    let lines: Vec<&str> = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}
