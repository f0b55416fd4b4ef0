use super::Report;
use super::surface::Surface;

/// `PascalCase` types, `snake_case` fields and files, services that end in `Service`.
pub fn names_follow_their_kind(surface: &Surface<'_>, report: &mut Report) {
    for file in surface.files() {
        for service in file.services() {
            if !is_pascal(service.name()) || !service.name().ends_with("Service") {
                report.add(&service, "must be PascalCase and end in Service");
            }
            for method in service.methods().filter(|method| !is_pascal(method.name())) {
                report.add(&method, "must be PascalCase");
            }
        }
    }
    for message in surface.messages() {
        if !is_pascal(message.name()) {
            report.add(&message, "must be PascalCase");
        }
        for field in message.fields().filter(|field| !is_snake(field.name())) {
            report.add(&field, "must be snake_case");
        }
    }
    for declared in surface.enums().filter(|declared| !is_pascal(declared.name())) {
        report.add(&declared, "must be PascalCase");
    }
}

/// Package `cairn.zoo.v1` lives in `cairn/zoo/v1/`, in files with `snake_case` names.
pub fn packages_are_directories(surface: &Surface<'_>, report: &mut Report) {
    for file in surface.files() {
        let package = file.package_name();
        let (directory, name) = file.name().rsplit_once('/').unwrap_or(("", file.name()));
        let mut violation = |text: String| report.0.push(format!("{}:1: {text}", file.name()));
        if directory.replace('/', ".") != package {
            violation(format!("package {package} does not stand in its own directory"));
        }
        let version = package.rsplit('.').next().and_then(|last| last.strip_prefix('v'));
        if version.is_none_or(|number| number.parse::<u32>().is_err()) {
            violation(format!("package {package} does not end in v<N>"));
        }
        if !name.strip_suffix(".proto").is_some_and(is_snake) {
            violation("the file's name must be snake_case".into());
        }
    }
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_snake(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(is_plain)
        && !name.ends_with('_')
        && !name.contains("__")
}
