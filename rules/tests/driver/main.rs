//! The Lisp driver by itself, without a build around it.

mod conditions;
mod cores;
mod files;
mod loading;
mod room;
