//! One view and its copy: looks what is missing, and writes it.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use cairn_kernel::Position;
use cairn_projection::{Changes, ChangesFault, Rows, Standing};
use metrics::counter;
use tokio::sync::mpsc;

use crate::fill;
use crate::plan::{Checked, Known, Plan, plan};
use crate::session::{End, Session};
use crate::table::{Table, acceptable};

/// Pieces read ahead of the writing.
const PIECES_AHEAD: usize = 2;

/// A view that is copied.
pub(crate) struct Part {
    pub changes: Changes,
    pub tables: Vec<Table>,
    /// Names the view, its shape and what is copied of it: with another, all is made anew.
    pub form: String,
    /// The copy has what the view had when it was here.
    reached: AtomicU64,
}

/// What is known of the copy of a view.
#[derive(Debug, Default)]
pub(crate) struct Mind {
    /// While it is this process's turn, nobody else moves it.
    pub known: Option<Known>,
    pub checked: Option<Checked>,
    /// How far the view has to be before a copy is made of it: a view that is being built would take readers back.
    goal: Option<Position>,
    /// Notes up to here are dropped.
    trimmed: Position,
}

impl Mind {
    /// Of a copy that nobody has looked at yet.
    pub fn of(known: Option<Known>) -> Self {
        Self { known, ..Self::default() }
    }
}

/// What is read of a view, in this order.
enum Message {
    Stands(Standing, Plan),
    Piece(Rows),
    /// Without it, not all has come.
    Ends,
}

type Messages = mpsc::Receiver<Result<Message, ChangesFault>>;

/// The rows of one snapshot.
pub(crate) struct Pieces(Messages);

impl Pieces {
    pub async fn next(&mut self) -> Result<Option<Rows>, End> {
        match self.0.recv().await {
            Some(Ok(Message::Piece(rows))) => Ok(Some(rows)),
            Some(Ok(Message::Ends)) => Ok(None),
            Some(Err(fault)) => Err(unreadable(&fault)),
            Some(Ok(Message::Stands(..))) | None => Err(End::View("the view was not read to its end".to_owned())),
        }
    }
}

fn unreadable(fault: &ChangesFault) -> End {
    match fault {
        ChangesFault::Unlike { .. } => {
            End::Unsuitable { why: fault.to_string(), openly: "a row cannot be written in PostgreSQL" }
        }
        _ => End::View(fault.to_string()),
    }
}

impl Part {
    pub fn new(changes: Changes) -> Self {
        let copied = changes.copied();
        let tables = changes.tables().iter().map(|table| Table::new(table, copied)).collect();
        let parts = [
            changes.view().name(),
            changes.shape(),
            &format!("{:?}{:?}", copied.left_out, copied.renamed),
            copied.readable,
        ];
        let form = hex::encode(digest(&SHA256, parts.join("\n").as_bytes()));
        Self { changes, tables, form, reached: AtomicU64::default() }
    }

    pub fn name(&self) -> &'static str {
        self.changes.view().name()
    }

    /// Reads a view in a thread of its own: where it stands, and the rows that the plan needs.
    fn read(&self, mind: &Mind, may_fill: bool) -> Messages {
        let (sender, messages) = mpsc::channel(PIECES_AHEAD);
        let (changes, form) = (self.changes.clone(), self.form.clone());
        let (known, checked) = (mind.known.clone(), mind.checked);
        let send = move |message| sender.blocking_send(message).map_err(|_| ChangesFault::Abandoned);
        tokio::task::spawn_blocking(move || {
            let read = || {
                let snapshot = changes.snapshot()?;
                let standing = snapshot.standing().clone();
                let plan = plan(&standing, &form, known.as_ref(), checked);
                let since = match plan {
                    Plan::Follow(since) => Some(Some(since)),
                    Plan::Fill if may_fill => Some(None),
                    Plan::Fill | Plan::Current | Plan::Ahead | Plan::Check => None,
                };
                send(Ok(Message::Stands(standing, plan)))?;
                if let Some(since) = since {
                    snapshot.rows(since, |rows| send(Ok(Message::Piece(acceptable(rows)))))?;
                    send(Ok(Message::Ends))?;
                }
                Ok(())
            };
            if let Err(fault) = read() {
                // Whoever asked may have gone.
                let _ = send(Err(fault));
            }
        });
        messages
    }

    /// Brings the copy up to where the view is. Whether anything was written.
    pub async fn copy(&self, session: Session<'_>, mind: &mut Mind) -> Result<bool, End> {
        let view = self.changes.view();
        let seen = view.position();
        loop {
            let may_fill = mind.goal.is_some_and(|goal| seen >= goal);
            let mut messages = self.read(mind, may_fill);
            let (standing, plan) = match messages.recv().await {
                Some(Ok(Message::Stands(standing, plan))) => (standing, plan),
                Some(Err(ChangesFault::NotNoted(_))) => {
                    view.record_changes().map_err(|fault| End::View(fault.to_string()))?;
                    continue;
                }
                Some(Err(fault)) => return Err(unreadable(&fault)),
                _ => return Err(End::View("the view was not read".to_owned())),
            };
            match plan {
                Plan::Current => self.reaches(seen),
                Plan::Ahead => {}
                Plan::Check => {
                    mind.checked = Some(self.check(&standing, mind.known.as_ref()).await?);
                    continue;
                }
                Plan::Follow(_) => {
                    self.follow(session, &standing, mind, &mut Pieces(messages)).await?;
                    self.reaches(seen);
                    return Ok(true);
                }
                Plan::Fill if !may_fill => {
                    let goal = *mind.goal.get_or_insert(Position(seen.0 + view.lag()));
                    if seen >= goal {
                        continue;
                    }
                }
                Plan::Fill => {
                    let to = Known { form: self.form.clone(), position: standing.position, last: standing.last };
                    fill::fill(session, self, &to, &mut Pieces(messages)).await?;
                    mind.checked = Some(Checked { life: standing.life, is_of_this_log: true });
                    (mind.known, mind.goal) = (Some(to), None);
                    self.reaches(seen);
                    if standing.is_doubtful {
                        self.off_thread(move |changes| changes.is_filled(&standing)).await?;
                    }
                    return Ok(true);
                }
            }
            return Ok(false);
        }
    }

    async fn check(&self, standing: &Standing, known: Option<&Known>) -> Result<Checked, End> {
        let Some(known) = known else { return Ok(Checked { life: standing.life, is_of_this_log: false }) };
        let diverges = self.changes.divergence(known.position, known.last).await;
        let why = diverges.map_err(|fault| End::View(format!("the log cannot be read: {fault}")))?;
        if let Some(why) = &why {
            tracing::warn!(view = self.name(), why, "the copy of a view was made from another log and is made anew");
        }
        Ok(Checked { life: standing.life, is_of_this_log: why.is_none() })
    }

    /// INVARIANT: rows and checkpoint are written together or not at all, and only while it is our turn.
    async fn follow(
        &self,
        session: Session<'_>,
        standing: &Standing,
        mind: &mut Mind,
        pieces: &mut Pieces,
    ) -> Result<(), End> {
        let Some(from) = mind.known.as_ref() else { return Ok(()) };
        let to = Known { form: self.form.clone(), position: standing.position, last: standing.last };
        let mut count = 0;
        session.begin().await?;
        while let Some(rows) = pieces.next().await? {
            count += rows.present_count + rows.gone_count;
            session.run(self.tables[rows.table].write(session.link, &session.schema.name, &rows)).await?;
        }
        if !session.run(session.schema.advance(session.link, self.name(), from, &to)).await? {
            return Err(End::Away(format!("the checkpoint of {} is not where it was", self.name())));
        }
        session.execute("COMMIT").await?;
        counter!("cairn_read_model_copy_rows_total", "view" => self.name()).increment(count as u64);
        mind.known = Some(to);
        Ok(())
    }

    /// Where a view stands that another process copies.
    pub async fn look(&self, mind: &mut Mind) -> Result<(), End> {
        let seen = self.changes.view().position();
        let standing = self.off_thread(|changes| Ok(changes.snapshot()?.standing().clone())).await?;
        if mind.known.as_ref().is_some_and(|known| known.form == self.form && known.position >= standing.position) {
            self.reaches(seen);
        }
        Ok(())
    }

    /// Drops the notes that no copy needs any more.
    pub async fn trim(&self, mind: &mut Mind) -> Result<(), End> {
        let Some(known) = mind.known.as_ref().filter(|known| known.form == self.form) else { return Ok(()) };
        let to = known.position;
        if to > mind.trimmed {
            self.off_thread(move |changes| changes.is_copied(to)).await?;
            mind.trimmed = to;
        }
        Ok(())
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Changes) -> Result<T, ChangesFault> + Send + 'static,
    ) -> Result<T, End> {
        let changes = self.changes.clone();
        let done = tokio::task::spawn_blocking(move || work(&changes)).await;
        done.map_err(|fault| End::View(fault.to_string()))?.map_err(|fault| unreadable(&fault))
    }

    /// How many events the copy lacks, as far as is known.
    pub fn lag(&self) -> u64 {
        self.changes.view().position().0.saturating_sub(self.reached.load(Ordering::Relaxed))
    }

    fn reaches(&self, position: Position) {
        self.reached.store(position.0, Ordering::Relaxed);
    }
}
