//! Coverage: what of source files tests ran, from what instrumented programs leave to reports.
//!
//! Knows the formats of LCOV and gcov, and of what instrumented Lisp programs leave; nothing of
//! builds.

pub mod gcov;
pub mod lcov;
pub mod lisp_map;
pub mod lisp_marks;
pub mod lisp_report;
pub mod pages;
pub mod report;
pub mod summary;
