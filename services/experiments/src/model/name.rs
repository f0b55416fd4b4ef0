//! The names of what this service keeps, and the streams behind them.

use aws_lc_rs::digest;
use cairn_kernel::{NameFault, StreamName, resource_name};

use super::{Experiment, LoggedModel, NameClaim, Run};
use cairn_kernel::Aggregate;

resource_name!(
    /// A project, which belongs to another service.
    ProjectName,
    "project name",
    "projects/*",
    project
);
resource_name!(
    /// An experiment.
    ExperimentName,
    "experiment name",
    "projects/*/experiments/*",
    project,
    experiment
);
resource_name!(
    /// A run. Its id is unique in its project.
    RunName,
    "run name",
    "projects/*/experiments/*/runs/*",
    project,
    experiment,
    run
);
resource_name!(
    /// A logged model. Its id is unique in its project.
    LoggedModelName,
    "logged model name",
    "projects/*/experiments/*/loggedModels/*",
    project,
    experiment,
    model
);

/// The id of every project's default experiment.
pub const DEFAULT_EXPERIMENT: &str = "0";
/// The display name of every project's default experiment.
pub const DEFAULT_EXPERIMENT_DISPLAY_NAME: &str = "Default";

impl ProjectName {
    /// The experiment of this id.
    pub fn experiment(&self, experiment: &str) -> Result<ExperimentName, NameFault> {
        ExperimentName::new(self.project(), experiment)
    }

    /// The stream of a run. It leaves the experiment out: the id is unique in the project, and some callers know
    /// nothing else.
    pub fn run_stream(&self, run: &str) -> StreamName {
        StreamName::of(Run::CATEGORY, format_args!("{}/runs/{run}", self.as_str()))
    }

    /// The stream of a logged model, which leaves the experiment out as a run's does.
    pub fn logged_model_stream(&self, model: &str) -> StreamName {
        StreamName::of(LoggedModel::CATEGORY, format_args!("{}/loggedModels/{model}", self.as_str()))
    }

    /// The stream that a display name belongs to. Named by digest, since names are longer than streams may be.
    pub fn claim_stream(&self, display_name: &str) -> StreamName {
        let digest = hex::encode(digest::digest(&digest::SHA256, display_name.as_bytes()));
        StreamName::of(NameClaim::CATEGORY, format_args!("{}/experimentNames/{digest}", self.as_str()))
    }
}

impl ExperimentName {
    /// The project it lies in.
    pub fn parent(&self) -> ProjectName {
        ProjectName::new(self.project()).expect("part of a valid name")
    }

    /// Its stream.
    pub fn stream(&self) -> StreamName {
        StreamName::of(Experiment::CATEGORY, self)
    }

    /// The run of this id.
    pub fn run(&self, run: &str) -> Result<RunName, NameFault> {
        RunName::new(self.project(), self.experiment(), run)
    }

    /// The logged model of this id.
    pub fn logged_model(&self, model: &str) -> Result<LoggedModelName, NameFault> {
        LoggedModelName::new(self.project(), self.experiment(), model)
    }

    /// Whether this is its project's default experiment, which exists without anybody creating it.
    pub fn is_default(&self) -> bool {
        self.experiment() == DEFAULT_EXPERIMENT
    }
}

impl RunName {
    /// The experiment it belongs to.
    pub fn parent(&self) -> ExperimentName {
        ExperimentName::new(self.project(), self.experiment()).expect("part of a valid name")
    }

    /// Its stream.
    pub fn stream(&self) -> StreamName {
        self.parent().parent().run_stream(self.run())
    }
}

impl LoggedModelName {
    /// The experiment it belongs to.
    pub fn parent(&self) -> ExperimentName {
        ExperimentName::new(self.project(), self.experiment()).expect("part of a valid name")
    }

    /// Its stream.
    pub fn stream(&self) -> StreamName {
        self.parent().parent().logged_model_stream(self.model())
    }
}
