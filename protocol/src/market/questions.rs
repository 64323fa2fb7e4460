//! Questions to the ledger that are answered once: what each asked for is kept until its answer is here, so that nothing follows
//! from the absence of what wasn't asked for, or stands there and can't be read.

use crate::market::Market;
use crate::market::event::{Ask, Effect};
use crate::stellar::ledger_key::Key;
use crate::step::Step;

/// What a question's asker hears where an entry stands there that this program can't read.
const UNREADABLE: &str =
    "an entry that it depends on can't be read by this version: try again later, or with a newer one";
/// Questions that wait for their answers; each is answered, or could not be.
const MAX_QUESTIONS: usize = 4_096;

/// Keys that were asked for, by what for.
#[derive(Debug, Default)]
pub(super) struct Questions(Vec<(Ask, Vec<Key>)>);

impl Questions {
    fn take(&mut self, ask: &Ask) -> Option<Vec<Key>> {
        let place = self.0.iter().position(|(waiting, _)| waiting == ask)?;
        Some(self.0.remove(place).1)
    }
}

impl Market {
    /// Asks the ledger a question whose answer is judged as a whole.
    pub(super) fn ask_once(&mut self, ask: Ask, keys: Vec<Key>, step: &mut Step<Effect>) {
        let plain = ask.plain().clone();
        self.questions.take(&plain);
        if self.questions.0.len() >= MAX_QUESTIONS {
            self.questions.0.remove(0);
        }
        self.questions.0.push((plain, keys.clone()));
        step.then(Effect::Read { ask, keys });
    }

    /// Whether a question waits for its answer.
    pub(super) fn is_asked(&self, ask: &Ask) -> bool {
        self.questions.0.iter().any(|(waiting, _)| waiting == ask)
    }

    /// Whether an answer is one to the question that was asked, each of whose keys it must have read.
    ///
    /// # Errors
    /// Why it couldn't be read; nothing where nobody asked.
    pub(super) fn is_answered(&mut self, ask: &Ask, asked: &[Key]) -> Result<(), Option<String>> {
        if !ask.is_asked_once() {
            return Ok(());
        }
        let question = self.questions.take(ask).ok_or(None)?;
        if question.iter().all(|key| asked.contains(key)) { Ok(()) } else { Err(Some(UNREADABLE.to_owned())) }
    }

    /// A question has no answer.
    pub(super) fn is_unanswered(&mut self, ask: &Ask) {
        self.questions.take(ask);
    }
}
