//! What the campaigns rest on, what they have found, and how a disk that fails is met, each as a test of its own.

mod failures;
mod found;
mod harness;
mod support;
