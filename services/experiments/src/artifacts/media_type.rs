/// Endings of files that people read as text, whatever else they are. None of them is shown as a page or run as a
/// script by a browser then.
const TEXT: [&str; 26] = [
    "txt",
    "log",
    "err",
    "cfg",
    "conf",
    "cnf",
    "cf",
    "ini",
    "properties",
    "prop",
    "hocon",
    "toml",
    "yaml",
    "yml",
    "xml",
    "json",
    "js",
    "py",
    "py3",
    "csv",
    "tsv",
    "md",
    "rst",
    "ipynb",
    "MLmodel",
    "MLproject",
];

/// What sort of content a file has, by its name.
pub fn media_type_of(file_name: &str) -> String {
    let ending = match file_name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !ending.is_empty() => ending,
        _ => file_name,
    };
    if TEXT.contains(&ending) {
        return "text/plain".to_owned();
    }
    mime_guess::from_path(file_name).first_or_octet_stream().essence_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_text_when_people_read_it_and_bytes_when_nobody_knows() {
        for (name, expected) in [
            ("MLmodel", "text/plain"),
            ("conda.yaml", "text/plain"),
            ("metrics.json", "text/plain"),
            ("plot.png", "image/png"),
            ("report.html", "text/html"),
            ("model.pkl", "application/octet-stream"),
            ("no_ending", "application/octet-stream"),
            (".hidden", "application/octet-stream"),
        ] {
            assert_eq!(media_type_of(name), expected, "{name}");
        }
    }
}
