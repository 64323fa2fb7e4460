//! `/v1/backup`: the node's state in one file.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::context::Context;
use super::problem::Problem;
use super::reject::Body;
use super::request::NewBackup;
use super::view::BackupView;
use crate::backup::{Backup, BackupError, Header};
use crate::problem_code::ProblemCode;

pub(super) async fn make(
    State(context): State<Context>,
    Body(new): Body<NewBackup>,
) -> Result<Json<BackupView>, Problem> {
    let NewBackup { file } = new;
    if !file.is_absolute() {
        let detail = format!("{} is no absolute path", file.display());
        return Err(Problem::new(StatusCode::BAD_REQUEST, ProblemCode::InvalidBody, detail)
            .remedy("name the file from the root on"));
    }
    let node = context.node().clone();
    let header = Header {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        passphrase: node.facts.passphrase.clone(),
        account: node.facts.keys.account,
        made_at: node.clock.now().timestamp().into(),
    };
    let made = tokio::task::spawn_blocking(move || {
        let made_at = header.made_at.clone();
        let backup = Backup::of(&node.facts.home, header, node.export.rows()?)?;
        backup.write_new(&file)?;
        Ok(BackupView { file: file.display().to_string(), rows: backup.rows() as u64, made_at })
    });
    let fault = |e: tokio::task::JoinError| {
        tracing::error!(error = %e, "making a backup ended in a fault");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ProblemCode::Fault,
            "a fault in this program: see the node's log",
        )
    };
    Ok(Json(made.await.map_err(fault)?.map_err(|e: BackupError| problem(&e))?))
}

fn problem(error: &BackupError) -> Problem {
    let (status, remedy) = match error {
        BackupError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            (StatusCode::CONFLICT, "choose a new file: a backup never replaces another one")
        }
        BackupError::Io { .. } => (StatusCode::CONFLICT, "choose a place where the node may write"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "see the node's log"),
    };
    Problem::new(status, ProblemCode::NoBackup, error.to_string()).remedy(remedy)
}
