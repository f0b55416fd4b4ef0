use prost_reflect::Kind;

use super::Report;
use super::surface::{Surface, has};

/// Lists and searches page from their first day.
pub fn lists_page(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.native_methods() {
        let is_list = method.name.starts_with("List") || method.name.starts_with("Search");
        if method.is_filtered && !method.is_read {
            report.add(&method.descriptor, "is filtered, so it must say NO_SIDE_EFFECTS");
        }
        if !is_list || method.descriptor.is_server_streaming() {
            continue;
        }
        let (request, answer) = (method.input(), method.output());
        if !has(&request, "page_size", &Kind::Int32) || !has(&request, "page_token", &Kind::String) {
            report.add(&request, "must have int32 page_size and string page_token");
        }
        if !has(&answer, "next_page_token", &Kind::String) {
            report.add(&answer, "must have string next_page_token");
        }
        let first = answer.fields().min_by_key(|field| field.number());
        let repeated = answer.fields().filter(|field| field.is_list()).count();
        if repeated != 1 || !first.is_some_and(|field| field.is_list() && field.number() == 1) {
            report.add(&answer, "must have one repeated field, and it must be the first");
        }
    }
}
