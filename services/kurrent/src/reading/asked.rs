//! What a reader asks for.

use cairn_kurrent_protocol::streams::ReadReq;
use cairn_kurrent_protocol::streams::read_req::options::{
    self, CountOption, FilterOption, ReadDirection, StreamOption, all_options, stream_options, uuid_option,
};
use tonic::Status;

use super::filter::Filter;
use crate::grpc::named;
use crate::names::Place;
use crate::uuids::Form;
use crate::{Config, refusals};

/// A question that can be answered.
pub struct Asked {
    pub what: What,
    /// How many events at most. `None`: a subscription, which has no end.
    pub count: Option<u64>,
    pub is_backwards: bool,
    pub form: Form,
    pub resolves_links: bool,
    /// Whether the client knows answers that tell where a stream begins and ends.
    pub tells_ends: bool,
}

pub enum What {
    Stream { name: String, place: Place, begin: Begin },
    All { begin: Begin, filter: Option<Filter> },
}

/// Where to begin: at a revision or a position, or at an end of the stream or the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Start,
    End,
    At(u64),
}

impl Asked {
    pub fn read(request: ReadReq, config: &Config) -> Result<Self, Status> {
        let options = request.options.ok_or_else(|| refusals::invalid("options", "is missing"))?;
        let form = match options.uuid_option.as_ref().and_then(|option| option.content.as_ref()) {
            Some(uuid_option::Content::Structured(_)) => Form::Structured,
            Some(uuid_option::Content::String(_)) => Form::Text,
            None => return Err(refusals::invalid("uuid_option", "is missing")),
        };
        let is_backwards = options.read_direction() == ReadDirection::Backwards;
        let count = match options.count_option {
            Some(CountOption::Count(count)) => Some(count),
            Some(CountOption::Subscription(_)) if is_backwards => {
                return Err(refusals::invalid("read_direction", "of a subscription must be Forwards"));
            }
            Some(CountOption::Subscription(_)) => None,
            None => return Err(refusals::invalid("count_option", "is missing")),
        };
        let filter = match options.filter_option {
            Some(FilterOption::Filter(filter)) => Some(filter),
            Some(FilterOption::NoFilter(_)) | None => None,
        };
        let what = match options.stream_option {
            Some(StreamOption::Stream(stream)) => of_stream(stream, filter.is_some())?,
            Some(StreamOption::All(all)) => What::All {
                begin: match all.all_option {
                    Some(all_options::AllOption::Start(_)) => Begin::Start,
                    Some(all_options::AllOption::End(_)) => Begin::End,
                    Some(all_options::AllOption::Position(position)) => Begin::At(position.commit_position),
                    None => return Err(refusals::invalid("all_option", "is missing")),
                },
                filter: filter.map(|filter| Filter::read(filter, count.is_none(), config)).transpose()?,
            },
            None => return Err(refusals::invalid("stream_option", "is missing")),
        };
        let tells_ends = options.control_option.is_some_and(|control| control.compatibility >= 1);
        Ok(Self { what, count, is_backwards, form, resolves_links: options.resolve_links, tells_ends })
    }
}

fn of_stream(stream: options::StreamOptions, is_filtered: bool) -> Result<What, Status> {
    if is_filtered {
        return Err(refusals::invalid("filter_option", "is for the whole log"));
    }
    let begin = match stream.revision_option {
        Some(stream_options::RevisionOption::Start(_)) => Begin::Start,
        Some(stream_options::RevisionOption::End(_)) => Begin::End,
        Some(stream_options::RevisionOption::Revision(revision)) => Begin::At(revision),
        None => return Err(refusals::invalid("revision_option", "is missing")),
    };
    let name = named(stream.stream_identifier)?;
    let place = Place::parse(&name).map_err(|fault| refusals::invalid("stream_identifier", fault))?;
    Ok(What::Stream { name: String::from_utf8_lossy(&name).into_owned(), place, begin })
}
