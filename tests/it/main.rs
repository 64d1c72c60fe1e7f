//! Integration tests, one binary: each module is a subject.

mod support;
