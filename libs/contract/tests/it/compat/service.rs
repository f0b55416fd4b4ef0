use cairn_contract::Binding;
use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};

use super::Found;

/// A service keeps its methods, and a method its messages, its way of streaming and every path that led to it.
pub fn compare_service(old: &ServiceDescriptor, pool: &DescriptorPool, found: &mut Found) {
    let Some(new) = pool.get_service_by_name(old.full_name()) else {
        found.removed(old, "the service is gone");
        return;
    };
    for method in old.methods() {
        match new.methods().find(|now| now.name() == method.name()) {
            Some(now) => compare_method(&method, &now, found),
            None => found.removed(&method, "the method is gone"),
        }
    }
}

fn compare_method(old: &MethodDescriptor, new: &MethodDescriptor, found: &mut Found) {
    for (what, was, is) in [("takes", old.input(), new.input()), ("returns", old.output(), new.output())] {
        if was.full_name() != is.full_name() {
            found.changed(new, format!("{what} {}, and not {} as before", is.full_name(), was.full_name()));
        }
    }
    if (old.is_client_streaming(), old.is_server_streaming()) != (new.is_client_streaming(), new.is_server_streaming())
    {
        found.changed(new, "streams in another way than before");
    }
    let now = Binding::all(new);
    for binding in Binding::all(old) {
        if !now.iter().any(|now| is_as_before(now, &binding)) {
            found.changed(new, format!("{} {} no longer leads here as it did", binding.verb, binding.template));
        }
    }
}

/// Whether callers notice no difference. They see where a path's variables stand, and not what we call them.
fn is_as_before(now: &Binding, before: &Binding) -> bool {
    now.verb == before.verb
        && now.template.segments() == before.template.segments()
        && now.template.verb() == before.template.verb()
        && (&now.body, &now.response_body) == (&before.body, &before.response_body)
}
