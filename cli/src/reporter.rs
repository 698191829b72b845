//! The reporter: takes the events of a build and shows them, in a thread of its own so that no
//! action waits for a slow terminal.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::event::{ActionOutput, Event, EventSink, TestStatus, TestSummary};
use rbz_engine::failure::{ActionFailure, FailureCause};
use rbz_engine::plan::{ActionId, Plan};

use crate::build_events::{BuildEvents, End, Invoked};
use crate::command_error::CommandError;
use crate::console::{Console, Severity};
use crate::diagnostic_output::DiagnosticOutput;
use crate::diagnostics::{
    Detail, render_failure, render_kept, render_repetition, render_undeclared, with_place,
};
use crate::environment::Environment;
use crate::event_log::EventLog;
use crate::execution_log::ExecutionLog;
use crate::explain_file::ExplainFile;
use crate::profile::Profile;
use crate::progress::{Progress, count};
use crate::request::BuildRequest;
use crate::test_cases;
use crate::test_report;
use crate::test_request::TestOutput;
use crate::workspace_status::workspace_status;

/// How often the lines on a terminal are redrawn at most.
const REDRAW: Duration = Duration::from_millis(100);
/// How often a line is added where there is no terminal: soon at first, seldom in the long run.
const PLAIN_LINES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(15)];
/// How many lines the display takes at most.
const HEIGHT: usize = 12;

/// How many failed cases of a test are shown at most.
const SHOWN_CASES: usize = 10;

/// What of the events is shown.
#[derive(Clone, Copy, Debug)]
pub struct ReportOptions {
    /// The command line of an action that fails.
    pub verbose_failures: bool,
    /// Which logs of tests.
    pub test_output: TestOutput,
}

/// The files that events are written to.
#[derive(Debug, Default)]
pub struct Records {
    log: Option<EventLog>,
    explanations: Option<ExplainFile>,
    executions: Option<ExecutionLog>,
    diagnostics: Option<DiagnosticOutput>,
    build_events: Option<BuildEvents>,
    profile: Option<Profile>,
}

impl Records {
    /// None at all.
    pub fn none() -> Records {
        Records::default()
    }

    /// Those that `request` asks for.
    pub fn create(
        request: &BuildRequest,
        invoked: &Invoked,
        environment: &Environment,
    ) -> Result<Records, CommandError> {
        let command = &invoked.note().command;
        let executions = request.execution_log.as_deref().map(ExecutionLog::create).transpose()?;
        let build_events = |path: &PathBuf| {
            let facts = workspace_status(None, &request.embed_label, environment).facts;
            BuildEvents::create(path, Invoked { facts, ..invoked.clone() })
        };
        let build_events = request.build_events.as_ref().map(build_events).transpose()?;
        let explain =
            |path: &PathBuf| ExplainFile::create(path, request.verbose_explanations, command);
        let explanations = request.explain.as_ref().map(explain).transpose()?;
        let log = request.event_log.as_deref().map(EventLog::create).transpose()?;
        let profile = request
            .profile
            .as_deref()
            .map(|path| Profile::create(path, request.jobs, command))
            .transpose()?;
        let diagnostics = DiagnosticOutput::new(request.diagnostics);
        Ok(Records { log, explanations, executions, diagnostics, build_events, profile })
    }
}

enum Message {
    Event(Event),
    /// Execution of this plan begins; outputs are below the directory.
    Plan(Arc<Plan>, PathBuf),
    /// What is wrong with a file that is read before anything runs.
    Diagnostic(Box<Diagnostic>),
    /// Something to be shown among the events.
    Note(Severity, String),
    /// Nothing more happens.
    Finish(Box<End>),
}

/// Shows events until it is finished.
pub struct Reporter {
    sender: Sender<Message>,
    thread: JoinHandle<Console>,
}

/// Takes events to the reporter.
#[derive(Clone, Debug)]
pub struct ReporterSink(Sender<Message>);

impl EventSink for ReporterSink {
    fn event(&self, event: Event) {
        // Once the reporter is finished nobody listens, and nothing more happens.
        let _ = self.0.send(Message::Event(event));
    }
}

impl ReporterSink {
    /// Shows what is wrong with a file among the events.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        let _ = self.0.send(Message::Diagnostic(Box::new(diagnostic.clone())));
    }

    /// Shows a message among the events.
    pub fn note(&self, severity: Severity, text: &str) {
        let _ = self.0.send(Message::Note(severity, text.to_owned()));
    }
}

impl Reporter {
    /// Begins to show events on `console`, and to write them to `records`.
    pub fn start(console: Console, records: Records, options: ReportOptions) -> Reporter {
        let (sender, receiver) = unbounded();
        let thread = std::thread::spawn(move || {
            let mut display = LiveDisplay {
                console,
                records,
                options,
                streamed: None,
                progress: Progress::default(),
                begin: Instant::now(),
                plan: None,
                last_draw: None,
                plain_lines: 0,
                failures: HashMap::new(),
                missed: HashSet::new(),
            };
            let end = display.run(&receiver);
            display.close_records(&end);
            display.console
        });
        Reporter { sender, thread }
    }

    /// Where events go.
    pub fn sink(&self) -> ReporterSink {
        ReporterSink(self.sender.clone())
    }

    /// Says which plan the events that follow are about.
    pub fn plan(&self, plan: &Arc<Plan>, execution_root: PathBuf) {
        let _ = self.sender.send(Message::Plan(plan.clone(), execution_root));
    }

    /// Shows what is still to be shown of a command that ended like this, and gives the console back.
    pub fn finish(self, end: End) -> Console {
        let _ = self.sender.send(Message::Finish(Box::new(end)));
        match self.thread.join() {
            Ok(console) => console,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

struct LiveDisplay {
    console: Console,
    records: Records,
    options: ReportOptions,
    streamed: Option<Streamed>,
    progress: Progress,
    begin: Instant,
    plan: Option<(Arc<Plan>, PathBuf)>,
    last_draw: Option<Instant>,
    plain_lines: u32,
    /// What failed actions wrote, with the message of the first that did.
    failures: HashMap<[Arc<[u8]>; 2], Arc<str>>,
    /// What was said about files that tests missed: each run and shard of one misses the same.
    missed: HashSet<String>,
}

/// A test whose output is shown while it runs.
struct Streamed {
    action: ActionId,
    /// A line that is not yet complete.
    rest: Vec<u8>,
}

impl LiveDisplay {
    fn run(&mut self, messages: &Receiver<Message>) -> End {
        let end = loop {
            match messages.recv_timeout(REDRAW) {
                Ok(Message::Event(event)) => {
                    let event = self.placed(event);
                    self.progress.apply(&event, self.begin.elapsed());
                    self.record(&event);
                    self.show(event);
                }
                Ok(Message::Plan(plan, execution_root)) => {
                    self.record_events(|events, _| events.plan(&plan, &execution_root));
                    self.plan = Some((plan, execution_root));
                }
                Ok(Message::Diagnostic(diagnostic)) => {
                    self.tell(|output| output.diagnostic(&diagnostic));
                    self.console.message(Severity::Error, &diagnostic.to_string());
                }
                Ok(Message::Note(severity, text)) => self.console.message(severity, &text),
                Ok(Message::Finish(end)) => break *end,
                Err(RecvTimeoutError::Disconnected) => break End::default(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.redraw();
        };
        self.console.clear();
        end
    }

    /// The event, with the place in the BUILD file before what the process of a failed action wrote about
    /// its target.
    fn placed(&self, event: Event) -> Event {
        let (Event::ActionFailed(failure), Some((plan, _))) = (&event, &self.plan) else {
            return event;
        };
        let target = plan.requested.iter().find(|target| target.label == failure.owner);
        match target.and_then(|target| with_place(failure, target.place.as_ref()?)) {
            Some(failure) => Event::ActionFailed(Arc::new(failure)),
            None => event,
        }
    }

    /// Tells other programs what is wrong, until that fails.
    fn tell(&mut self, tell: impl FnOnce(&mut DiagnosticOutput) -> Result<(), CommandError>) {
        if let Some(output) = &mut self.records.diagnostics
            && let Err(error) = tell(output)
        {
            self.console.message(Severity::Warning, &error.to_string());
            self.records.diagnostics = None;
        }
    }

    /// Writes to the file of build events, until that fails.
    fn record_events(
        &mut self,
        write: impl FnOnce(&mut BuildEvents, Duration) -> std::io::Result<()>,
    ) {
        if let Some(events) = &mut self.records.build_events
            && let Err(error) = write(events, self.begin.elapsed())
        {
            let text = format!("the build events are no longer written to a file: {error}");
            self.console.message(Severity::Warning, &text);
            self.records.build_events = None;
        }
    }

    fn record(&mut self, event: &Event) {
        self.record_events(|events, now| events.event(event, now));
        let plan = self.plan.as_ref().map(|(plan, _)| plan.clone());
        self.tell(|output| output.event(event, plan.as_deref()));
        let plan = plan.as_deref();
        if let (Event::SpawnLogged(spawn), Some(log)) = (event, &mut self.records.executions)
            && let Err(error) = log.spawn(spawn, plan)
        {
            let text = format!("the execution log is no longer written: {error}");
            self.console.message(Severity::Warning, &text);
            self.records.executions = None;
        }
        if let Some(profile) = &mut self.records.profile {
            profile.apply(event, plan, self.begin.elapsed());
        }
        if let Some(explanations) = &mut self.records.explanations
            && let Err(error) = explanations.event(event, plan)
        {
            let text = format!("the explanations are no longer written to a file: {error}");
            self.console.message(Severity::Warning, &text);
            self.records.explanations = None;
        }
        let Some(log) = &mut self.records.log else { return };
        if let Err(error) = log.event(event, plan) {
            let text = format!("the events are no longer written to a file: {error}");
            self.console.message(Severity::Warning, &text);
            self.records.log = None;
        }
    }

    fn close_records(&mut self, end: &End) {
        self.record_events(|events, now| events.finish(end, now));
        self.tell(|output| output.finish());
        let plan = self.plan.as_ref().map(|(plan, _)| &**plan);
        if let Some(profile) = self.records.profile.take()
            && let Err(error) = profile.finish(plan, self.begin.elapsed())
        {
            self.console.message(Severity::Warning, &error.to_string());
        }
    }

    fn redraw(&mut self) {
        let display = self.console.display();
        if !display.progress {
            return;
        }
        let now = self.begin.elapsed();
        if display.curses {
            if self.last_draw.is_none_or(|last| last.elapsed() >= REDRAW) {
                // The cursor is below the lines, and must not make the terminal scroll.
                let (columns, rows) = self.console.size();
                let (width, height) = (columns.saturating_sub(1), rows.saturating_sub(1));
                let lines = self.progress.lines(now, width, height.min(HEIGHT));
                self.console.draw(&lines);
                self.last_draw = Some(Instant::now());
            }
            return;
        }
        let interval = PLAIN_LINES[usize::from(self.plain_lines >= 10)];
        if self.last_draw.get_or_insert(self.begin).elapsed() >= interval {
            self.console.print(&self.progress.line(now));
            self.last_draw = Some(Instant::now());
            self.plain_lines += 1;
        }
    }

    fn show(&mut self, event: Event) {
        match event {
            Event::Printed { place, text } => {
                self.console.print(&format!("DEBUG: {place}: {text}"));
            }
            Event::Warning(text) => self.console.message(Severity::Warning, &text),
            Event::Info(text) => self.console.message(Severity::Info, &text),
            Event::ActionFinished { action, output, .. } => self.show_output(action, &output),
            Event::ActionFailed(failure) => self.show_failure(&failure),
            Event::ActionStarted { message, command: Some(command), .. } => {
                self.console.print(&format!("SUBCOMMAND: # {message}\n{}", command.join(" ")));
            }
            Event::TestWrote { action, text } => self.show_live(action, &text),
            Event::TestFinished(summary) => {
                self.end_live();
                self.show_test(&summary);
            }
            Event::TestKept { label, sandbox } => {
                self.end_live();
                let text = format!("{label} failed\n{}", render_kept(&sandbox, "TestRunner"));
                self.console.message(Severity::Info, &text);
            }
            Event::TestMissed { label, inputs } => {
                self.end_live();
                for input in &inputs {
                    let text = render_undeclared(&label, "TestRunner", input);
                    if self.missed.insert(text.clone()) {
                        self.console.message(Severity::Error, &text);
                    }
                }
            }
            Event::Loaded { .. }
            | Event::Analyzed { .. }
            | Event::Executing { .. }
            | Event::ActionExplained { .. }
            | Event::SpawnLogged(_)
            | Event::TestRan { .. }
            | Event::ActionStarted { command: None, .. } => {}
        }
    }

    fn show_output(&mut self, action: ActionId, output: &ActionOutput) {
        if output.stdout.is_empty() && output.stderr.is_empty() {
            return;
        }
        let Some((plan, _)) = &self.plan else { return };
        let text = format!("From {}:", plan.action(action).description());
        self.console.message(Severity::Info, &text);
        self.console.print_bytes(&output.stdout);
        self.console.print_bytes(&output.stderr);
    }

    fn show_failure(&mut self, failure: &ActionFailure) {
        if matches!(failure.cause, FailureCause::Interrupted) {
            return;
        }
        let written = [&failure.output.stdout, &failure.output.stderr].map(Arc::clone);
        let silent = written.iter().all(|stream| stream.is_empty());
        let text = match self.failures.get(&written) {
            _ if self.options.verbose_failures => render_failure(failure, Detail::Verbose),
            // A library that cannot be loaded lets every file fail that needs it.
            Some(earlier) if !silent => render_repetition(failure, earlier),
            _ if self.failures.is_empty() => render_failure(failure, Detail::WithAdvice),
            _ => render_failure(failure, Detail::Plain),
        };
        self.failures.entry(written).or_insert_with(|| failure.message.clone());
        self.console.message(Severity::Error, &text);
    }

    /// Shows what a test wrote just now, line by line.
    fn show_live(&mut self, action: ActionId, text: &[u8]) {
        if self.streamed.as_ref().is_none_or(|streamed| streamed.action != action) {
            self.end_live();
            if let Some((plan, _)) = &self.plan {
                let label = plan.action(action).owner.to_string();
                self.console.print(&header(&label));
            }
            self.streamed = Some(Streamed { action, rest: Vec::new() });
        }
        let Some(Streamed { rest, .. }) = &mut self.streamed else { return };
        rest.extend_from_slice(text);
        if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
            let lines: Vec<u8> = rest.drain(..=end).collect();
            self.console.print_bytes(&lines);
        }
    }

    fn end_live(&mut self) {
        if let Some(streamed) = self.streamed.take() {
            self.console.print_bytes(&streamed.rest);
            self.console.print(&footer());
        }
    }

    /// Shows the cases that failed, where the log that says so is not shown, and tells of all.
    fn show_cases(&mut self, summary: &TestSummary) {
        let Some((_, execution_root)) = &self.plan else { return };
        let Some(cases) = test_cases::of_summary(summary, execution_root) else { return };
        let label = summary.label.to_string();
        self.tell(|output| {
            cases.failures.iter().try_for_each(|text| output.text(text, &label, "TestRunner"))
        });
        if self.options.test_output != TestOutput::Summary {
            return;
        }
        for text in cases.failures.iter().take(SHOWN_CASES) {
            self.console.print(text);
        }
        let more = cases.failures.len().saturating_sub(SHOWN_CASES);
        if more > 0 {
            self.console.print(&format!("… and {} more failed", count(more, "case")));
        }
    }

    fn show_test(&mut self, summary: &TestSummary) {
        let Some((_, execution_root)) = &self.plan else { return };
        let passed = summary.status <= TestStatus::Flaky;
        let logs: Vec<PathBuf> = summary.logs.iter().map(|log| execution_root.join(log)).collect();
        let ran = !matches!(summary.status, TestStatus::FailedToBuild | TestStatus::NoStatus);
        if !passed && ran {
            self.console.message(Severity::Fail, &test_report::failure_line(summary, &logs));
            self.show_cases(summary);
        }
        let wanted = match self.options.test_output {
            TestOutput::Summary => false,
            TestOutput::Errors => !passed,
            TestOutput::All => true,
            // The others were shown while they ran.
            TestOutput::Streamed => summary.cached,
        };
        for log in logs.iter().filter(|_| wanted && ran) {
            self.console.print(&header(&summary.label.to_string()));
            match std::fs::read(log) {
                Ok(text) => self.console.print_bytes(&text),
                Err(error) => self.console.message(
                    Severity::Warning,
                    &format!("cannot read `{}`: {error}", log.display()),
                ),
            }
            self.console.print(&footer());
        }
    }
}

/// The line before the output of a test.
fn header(test: &str) -> String {
    format!("==================== Test output for {test}:")
}

/// The line after the output of a test.
fn footer() -> String {
    "=".repeat(80)
}
