//! `tradepost store`: what to do where the database is damaged.

use std::path::Path;

use clap::Subcommand;
use serde::Serialize;
use tradepost_store::{Rebuilt, Store};

use super::failure::{Exit, Failure};
use super::{Global, show};
use crate::home::Home;

/// What to do with the store of a stopped node.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Moves a damaged database aside and rebuilds what money depends on from the journal; the rest comes from peers.
    Rebuild,
}

/// What `store rebuild --json` prints.
#[derive(Debug, Serialize)]
struct RebuiltView {
    /// Where the old database stands now.
    moved_to: Option<String>,
    /// Rows on which money depends that came back.
    rows: u64,
}

impl StoreCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let Self::Rebuild = self;
        let view = rebuild(&global.home()?)?;
        Ok(global.terminal().print(&view, text)?)
    }
}

fn rebuild(home: &Home) -> Result<RebuiltView, Failure> {
    let dir = home.data_dir();
    if !dir.exists() {
        let failure = Failure::new(Exit::NotFound, format!("there is no store in {}", dir.display()));
        return Err(failure.hint("name the node's home with --home"));
    }
    let _held = home.lock()?;
    let Rebuilt { aside, rows } = Store::rebuild(&dir).map_err(|e| Failure::of(Exit::Failed, &e))?;
    Ok(RebuiltView { moved_to: aside.as_deref().map(Path::display).map(|path| path.to_string()), rows })
}

fn text(view: &RebuiltView) -> String {
    let moved = match &view.moved_to {
        Some(to) => format!("to {to}; remove it once all is well"),
        None => "nothing: there was no database".to_owned(),
    };
    show::fields([
        ("moved", moved),
        ("rebuilt", format!("{} rows on which money depends, from the journal", view.rows)),
        ("next", "`tradepost run`: offerings and messages come back from peers".to_owned()),
    ])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs::{self, OpenOptions};

    use tradepost_protocol::network_id::NetworkId;
    use tradepost_protocol::step::{Batch, Space};
    use tradepost_store::Contents;

    use super::*;

    #[test]
    fn a_home_with_a_truncated_database_is_rebuilt_and_told_what_became_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        assert_eq!(rebuild(&home).unwrap_err().exit, Exit::NotFound);
        home.create().unwrap();
        let network = NetworkId::of_passphrase("A network of rebuilds");
        let store = Store::open(home.data_dir(), &network).unwrap();
        let mut batch = Batch::new();
        batch.put(Space::Intent, "i", vec![1; 5_000]);
        store.commit(batch).unwrap();
        drop(store);
        OpenOptions::new().write(true).open(home.data_dir().join("sled/db")).unwrap().set_len(100).unwrap();

        let running = home.lock().unwrap();
        assert!(rebuild(&home).is_err(), "not under a running node");
        drop(running);
        let done = rebuild(&home).unwrap();
        assert!(fs::metadata(done.moved_to.as_deref().unwrap()).unwrap().is_dir());
        assert!(text(&done).contains("1 rows on which money depends"), "{}", text(&done));
        let store = Store::open(home.data_dir(), &network).unwrap();
        assert_eq!(store.get(Space::Intent, b"i").unwrap(), Some(vec![1; 5_000]));
    }
}
