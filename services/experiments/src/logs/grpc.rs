use std::pin::Pin;

use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::run_log_service_server::{RunLogService, RunLogServiceServer};
use cairn_kernel::Time;
use cairn_service::{Ctx, Refusal, Reply, field, refuse, timestamp};
use futures::{Stream, StreamExt};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{Followed, Line, Lines, Log, RunLogs, Start};
use crate::convert::from_timestamp;
use crate::model::RunName;
use crate::search::SearchFault;

/// Lines on one page when the caller does not say, and at most.
const PAGE_DEFAULT: usize = 1000;
const PAGE_MAX: usize = 10_000;

/// The service as the contract offers it.
struct Grpc {
    logs: RunLogs,
}

/// How large a message may be, the guard in front has judged (`limits.message_bytes_max`).
pub(super) fn service(logs: RunLogs) -> RunLogServiceServer<impl RunLogService> {
    RunLogServiceServer::new(Grpc { logs }).max_decoding_message_size(usize::MAX)
}

#[tonic::async_trait]
impl RunLogService for Grpc {
    async fn append_run_log(&self, request: Request<proto::AppendRunLogRequest>) -> Reply<proto::RunLog> {
        let (_, request) = Ctx::accept(request)?;
        let run: RunName = field("parent", &request.parent)?;
        let lines = Lines {
            lines: self.lines(request.lines)?,
            first_number: request.first_number,
            request_id: request.request_id,
            ..Lines::default()
        };
        if lines.first_number == Some(0) {
            return Err(refuse(Refusal::invalid("first_number", "the first line of a log has number 1")));
        }
        let log = self.logs.append(&run, lines).await.map_err(refuse)?;
        Ok(Response::new(answer(&run, log)))
    }

    async fn get_run_log(&self, request: Request<proto::GetRunLogRequest>) -> Reply<proto::RunLog> {
        let (_, request) = Ctx::accept(request)?;
        let run: RunName = field("name", &request.name)?;
        let log = self.logs.log(&run).await.map_err(refuse)?;
        Ok(Response::new(answer(&run, log)))
    }

    async fn list_run_log_lines(
        &self,
        request: Request<proto::ListRunLogLinesRequest>,
    ) -> Reply<proto::ListRunLogLinesResponse> {
        let (_, request) = Ctx::accept(request)?;
        let run: RunName = field("parent", &request.parent)?;
        let limit = crate::grpc::page_size_within(request.page_size, PAGE_DEFAULT, PAGE_MAX)?;
        let token = request.page_token.as_str();
        let after = if token.is_empty() { Ok(0) } else { token.parse() };
        let after = after.map_err(|_| refuse(Refusal::of(&SearchFault::PageToken)))?;
        let from = from(after, request.tail, request.start_time.as_ref())?;
        // The end moves: only the first page is counted from it.
        let from = Start { tail: from.tail.filter(|_| token.is_empty()), ..from };
        let mut wanted = self.logs.beginning(&run, from, limit).await.map_err(refuse)?;
        wanted.limit += 1;
        let mut lines = self.logs.lines(&run, wanted).await.map_err(refuse)?;
        let has_more = lines.len() > limit;
        lines.truncate(limit);
        let next = lines.last().filter(|_| has_more).map(|line| line.number.to_string());
        Ok(Response::new(proto::ListRunLogLinesResponse {
            lines: lines.into_iter().map(line).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    type WatchRunLogStream = Pin<Box<dyn Stream<Item = Result<proto::WatchRunLogResponse, Status>> + Send>>;

    async fn watch_run_log(&self, request: Request<proto::WatchRunLogRequest>) -> Reply<Self::WatchRunLogStream> {
        let (_, request) = Ctx::accept(request)?;
        let run: RunName = field("parent", &request.parent)?;
        let from = from(request.after_number, request.tail, request.start_time.as_ref())?;
        let followed = self.logs.follow(&run, from).await.map_err(refuse)?;
        let answers = followed.map(|followed| followed.map(answer_followed).map_err(refuse));
        Ok(Response::new(Box::pin(answers)))
    }
}

impl Grpc {
    /// Lines that a log can take.
    fn lines(&self, lines: Vec<proto::LogLine>) -> Result<Vec<(Time, String)>, Status> {
        let config = self.logs.config();
        let invalid = |problem: String| refuse(Refusal::invalid("lines", problem));
        if lines.is_empty() || lines.len() as u64 > config.batch_lines_max {
            let (count, max) = (lines.len(), config.batch_lines_max);
            return Err(invalid(format!("{count} lines; must be 1 to {max} (setting run_logs.batch_lines_max)")));
        }
        let now = self.logs.inner.clock.now();
        let mut taken = Vec::with_capacity(lines.len());
        for (at, line) in lines.into_iter().enumerate() {
            if line.text.contains('\n') {
                return Err(invalid(format!("the text at {at} is more than one line")));
            }
            if line.text.len() as u64 > config.line_bytes_max {
                let (size, max) = (line.text.len(), config.line_bytes_max);
                let problem = format!("the text at {at} has {size} bytes, more than {max} (run_logs.line_bytes_max)");
                return Err(invalid(problem));
            }
            taken.push((line.log_time.as_ref().map_or(now, from_timestamp), line.text));
        }
        Ok(taken)
    }
}

fn from(after: u64, tail: i32, since: Option<&Timestamp>) -> Result<Start, Status> {
    let tail = u64::try_from(tail).map_err(|_| refuse(Refusal::invalid("tail", "must not be negative")))?;
    Ok(Start { after, tail: (tail > 0).then_some(tail), since: since.map(from_timestamp) })
}

fn answer(run: &RunName, log: Log) -> proto::RunLog {
    proto::RunLog {
        run: run.to_string(),
        line_count: log.line_count,
        size_bytes: log.size_bytes,
        sha256: log.sha256.unwrap_or_default(),
    }
}

fn answer_followed(followed: Followed) -> proto::WatchRunLogResponse {
    proto::WatchRunLogResponse {
        lines: followed.lines.into_iter().map(line).collect(),
        is_live: followed.is_live,
        ended: followed.ended.map(proto::RunState::from).unwrap_or_default().into(),
    }
}

fn line(line: Line) -> proto::LogLine {
    proto::LogLine { number: line.number, log_time: Some(timestamp(line.time)), text: line.text }
}
