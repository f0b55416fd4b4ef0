use std::collections::HashSet;
use std::sync::Arc;

use cairn_eventstore::{AppendFault, Fresh, Recorded, check_next};
use cairn_kernel::{Position, Revision};

use super::{End, Facts, Plan, Planned, Planner};

/// Works out how events of another log come into the one that ends at `end`, as they are there. The heads of their streams
/// must be among the facts.
pub(crate) fn take_over(events: &[Arc<Recorded>], facts: &Facts, end: End) -> Result<Plan, AppendFault> {
    let mut planner = Planner::new(facts, end, end.time, false);
    let mut met = HashSet::new();
    for event in events {
        let mut head = planner.head(&event.stream);
        let last = head.last.map(|(last, _)| Revision(last));
        check_next(event, (Position(planner.plan.end.position), planner.plan.end.time), last)?;
        if !met.insert((event.stream.clone(), event.id)) {
            return Err(AppendFault::Invalid(format!("event {} is twice in {}", event.id, event.stream)));
        }
        planner.name_kind(&event.kind, event.id)?;
        let (_, kind) = planner.kind(&event.kind).expect("the type was given a number before");
        let stream = planner.number_of(&event.stream, &mut head);
        head.last = Some((event.revision.0, event.id));
        planner.plan.heads.insert(event.stream.clone(), head);
        (planner.plan.end.position, planner.plan.end.time) = (event.position.0, event.time);
        let fresh = Fresh { event: Arc::clone(event), is_retained: head.is_retained };
        planner.plan.events.push(Planned { stream, kind, fresh });
    }
    Ok(planner.plan)
}
