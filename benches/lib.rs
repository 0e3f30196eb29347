//! Benches of promblock live in this folder, one file per question.
