//! Which right it takes to read a resource, by the shape of its name.

use cairn_contract::cairn::options::v1::Dialect;
use cairn_contract::{Binding, Contract, Method, Segment};
use cairn_kernel::Name;

/// The permission of the method that gets resources of this shape: the one that answers `GET` at their own name. `None`:
/// nothing gets such resources by their name.
pub fn right_to_read<'a>(contract: &'a Contract, name: &Name) -> Option<&'a str> {
    let path = format!("/api/v1/{name}");
    let gets = |method: &&Method| {
        method.is_read
            && method.dialect == Dialect::Cairn
            && method.resource == "{name}"
            && method.bindings.iter().any(|binding| is_own(binding) && binding.template.matches(&path).is_some())
    };
    contract.methods().iter().find(gets).map(|method| method.permission.as_str())
}

/// Whether a path is a resource's own: its name and nothing else.
fn is_own(binding: &Binding) -> bool {
    let template = &binding.template;
    let is_name = |variable: &cairn_contract::Variable| {
        variable.field_path == "name" && variable.segments == (2..template.segments().len())
    };
    binding.verb == "GET"
        && template.verb().is_none()
        && template.segments()[..2] == ["api", "v1"].map(|text| Segment::Literal(text.to_owned()))
        && matches!(template.variables(), [variable] if is_name(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_to_read_a_resource_is_that_of_the_method_that_gets_it() {
        let contract = Contract::embedded().unwrap();
        let right = |name: &str| right_to_read(contract, &name.parse().unwrap());
        assert_eq!(right("projects/p"), Some("auth.projects.get"));
        assert_eq!(right("projects/p/experiments/e"), Some("experiments.experiments.get"));
        assert_eq!(right("projects/p/experiments/e/runs/r"), Some("experiments.runs.get"));
        assert_eq!(right("projects/p/bindings/b"), Some("auth.bindings.get"));
        assert_eq!(right("users/u/apiKeys/k"), Some("auth.apiKeys.get"));
        assert_eq!(right("projects/p/unheard/of"), None);
        assert_eq!(right("*"), None);
    }
}
