//! Limits: what keeps an evaluation from taking for ever, or taking the process down.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use rbz_engine::diagnostic::Diagnostic;
use starlark::eval::Evaluator;
use starlark::values::Value;

use crate::dialect::FileKind;
use crate::evaluation::Evaluation;
use crate::starlark_error;

/// How many calls may be active at once. Recursion is no part of Starlark, so real code stays
/// far below.
const MAX_CALLS: usize = 200;

/// How often an evaluation may be checked. The interpreter asks once in a thousand calls and turns
/// of loops, so this is some seconds.
const MAX_CHECKS: u64 = 20_000;

/// How much memory the values of an evaluation may take.
const MAX_HEAP: usize = 1 << 30;

/// How far an evaluation has come on its way to the limits.
#[derive(Debug, Default)]
pub struct Limits {
    checks: Cell<u64>,
    exceeded: Cell<Option<Limit>>,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Time,
    Memory,
}

impl Limit {
    fn message(self) -> &'static str {
        match self {
            Limit::Time => "the evaluation takes too long: it looks like an endless loop",
            Limit::Memory => {
                "the evaluation takes too much memory: a value seems to grow without end"
            }
        }
    }
}

impl Limits {
    /// Whether the evaluation must stop now, with so many bytes of values. It is said once: the
    /// interpreter asks again when it has left the code, and then knows no place any more.
    fn stop(&self, heap: usize) -> bool {
        if self.exceeded.get().is_some() {
            return false;
        }
        self.checks.set(self.checks.get() + 1);
        self.exceeded.set(match self.checks.get() {
            checks if checks > MAX_CHECKS => Some(Limit::Time),
            _ if heap > MAX_HEAP => Some(Limit::Memory),
            _ => None,
        });
        self.exceeded.get().is_some()
    }
}

/// Runs code in `eval`, within the limits of its evaluation. `kind` is that of the file whose code
/// begins.
pub fn run<'v, 'a, 'e, R>(
    eval: &mut Evaluator<'v, 'a, 'e>,
    kind: FileKind,
    code: impl FnOnce(&mut Evaluator<'v, 'a, 'e>) -> starlark::Result<R>,
) -> Result<R, Box<Diagnostic>> {
    let evaluation = Evaluation::of(eval)
        .map_err(|error| Box::new(Diagnostic::internal(format!("{error:#}"))))?;
    let limits = &evaluation.limits;
    let heap = eval.heap();
    eval.set_check_cancelled(Box::new(move || limits.stop(heap.peak_allocated_bytes())));
    // Fails only when it is set for the second time, or is 0.
    let _ = eval.set_max_callstack_size(MAX_CALLS);
    let outer = RUNNING.replace(true);
    // After a panic nothing is done with the evaluator but to ask it where it was.
    let result = panic::catch_unwind(AssertUnwindSafe(|| code(eval)));
    RUNNING.set(outer);
    let mut diagnostic = match result {
        Ok(Ok(result)) => return Ok(result),
        Ok(Err(error)) => starlark_error::diagnostic(error, kind),
        Err(payload) if is_excess(&*payload) => {
            limits.exceeded.set(Some(Limit::Memory));
            starlark_error::at_calls(Diagnostic::user(""), eval.call_stack())
        }
        Err(payload) => panic::resume_unwind(payload),
    };
    if let Some(limit) = limits.exceeded.get() {
        diagnostic.message = limit.message().to_owned();
        diagnostic.hints = vec!["a BUILD file only declares; work belongs in actions".to_owned()];
    }
    Err(Box::new(diagnostic))
}

/// Calls a function from within code that [`run`] runs.
pub fn call<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: Value<'v>,
    positional: &[Value<'v>],
    named: &[(&str, Value<'v>)],
) -> starlark::Result<Value<'v>> {
    let limits = &Evaluation::of(eval)?.limits;
    let result = eval.eval_function(function, positional, named);
    // The interpreter asks at the end of each such call, however little it did.
    limits.checks.set(limits.checks.get().saturating_sub(1));
    result
}

thread_local! {
    /// Whether this thread evaluates.
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic only says that a value of the code that this thread evaluates grew too large.
/// It becomes an error of that code, and needs no message of its own.
pub fn is_expected(panic: &PanicHookInfo) -> bool {
    RUNNING.get() && is_excess(panic.payload())
}

/// What the interpreter panics with when a value does not fit: it has no errors for that.
fn is_excess(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or_default();
    const EXCESSES: [&str; 4] = [
        "len overflow",
        "capacity overflow",
        "out of memory",
        "AlignedSize must not exceed u32::MAX",
    ];
    EXCESSES.contains(&text)
}
