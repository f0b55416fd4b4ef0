//! Things side by side, as a table: a row for each attribute, a column for each thing.

use comfy_table::{Table, presets};
use serde_json::Value;

use super::output::{Output, arrangement, line, text};

/// Prints a comparison of what stands under `things`, with the rows of these sections.
pub fn print(output: Output, comparison: &Value, things: &str, sections: &[&str]) -> anyhow::Result<()> {
    if output.is_json {
        return output.json(comparison);
    }
    let names = comparison[things].as_array().into_iter().flatten();
    let ids = names.map(|name| name.as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default().to_owned());
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(arrangement());
    table.set_header([String::new()].into_iter().chain(ids));
    for section in sections {
        for row in comparison[*section].as_array().into_iter().flatten() {
            let heading = format!("{section}.{}", text(&row["key"]));
            let cells = row["cells"].as_array().into_iter().flatten().map(|cell| text(&cell["value"]));
            table.add_row([heading].into_iter().chain(cells));
        }
    }
    line(&table.trim_fmt())
}
