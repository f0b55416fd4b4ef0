use crate::support::Place;

cairn_eventstore::conformance!(Place::new());
