//! Questions on the terminal, by way of stderr: stdout is for what a command prints. Keys are read without an echo.

use std::io::ErrorKind;

use anyhow::Context;
use dialoguer::console::Term;
use dialoguer::{Confirm, Input, Password};

use super::super::output::printable_lines;
use super::interrupt::Interrupts;

/// Asks a person.
pub(super) struct Ask<'a> {
    interrupts: &'a Interrupts,
    terminal: Term,
}

impl<'a> Ask<'a> {
    pub(super) fn new(interrupts: &'a Interrupts) -> Self {
        Self {
            interrupts,
            terminal: Term::stderr(),
        }
    }

    /// Says something; what would steer the terminal is escaped.
    pub(super) fn say(&self, text: &str) {
        // There is nobody to tell when this fails; the next question will.
        drop(self.terminal.write_line(&printable_lines(text)));
    }

    /// A line of text, without blanks at its ends. Empty: the default, which may be empty too.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(super) fn text(&self, prompt: &str, default: &str) -> anyhow::Result<String> {
        let mut input = Input::<String>::new().with_prompt(prompt).allow_empty(true);
        if !default.is_empty() {
            input = input.default(default.to_owned());
        }
        let answer = self.answered(input.interact_text_on(&self.terminal))?;
        Ok(answer.trim().to_owned())
    }

    /// A credential, as it was typed; it may be empty.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(super) fn hidden(&self, prompt: &str) -> anyhow::Result<String> {
        let password = Password::new().with_prompt(prompt);
        let password = password.allow_empty_password(true);
        self.answered(password.interact_on(&self.terminal))
    }

    /// Yes or no, and Enter; Enter alone is the default, where there is one.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(super) fn yes(&self, question: &str, default: Option<bool>) -> anyhow::Result<bool> {
        let mut confirm = Confirm::new().with_prompt(format!("{question}?"));
        if let Some(default) = default {
            confirm = confirm.default(default);
        }
        // Who types "yes" must not answer the next question as well.
        let confirm = confirm.wait_for_newline(true);
        self.answered(confirm.interact_on(&self.terminal))
    }

    fn answered<T>(&self, answer: dialoguer::Result<T>) -> anyhow::Result<T> {
        let answer = answer.map_err(std::io::Error::from);
        match answer {
            // Ctrl-C while a key was awaited.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.interrupts.end(),
            answer => answer.context("cannot ask on the terminal"),
        }
    }
}
