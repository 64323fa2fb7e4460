//! What no handler takes: unknown resources, and queries and bodies that can't be read. All as problem details.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::problem_code::ProblemCode;

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => {
                let code = match rejection {
                    JsonRejection::JsonDataError(_) => ProblemCode::InvalidBody,
                    JsonRejection::JsonSyntaxError(_) => ProblemCode::NotJson,
                    JsonRejection::MissingJsonContentType(_) => ProblemCode::NotJson,
                    _ => ProblemCode::UnreadableBody,
                };
                Err(Problem::new(rejection.status(), code, rejection.body_text()))
            }
        }
    }
}

/// A query.
#[derive(Debug)]
pub(super) struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        match query {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::new(rejection.status(), ProblemCode::InvalidQuery, rejection.body_text())),
        }
    }
}

/// The name in a path.
#[derive(Debug)]
pub(super) struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        match path {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(Problem::new(rejection.status(), ProblemCode::InvalidPath, rejection.body_text())),
        }
    }
}

pub(super) async fn no_such_resource(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(120).collect();
    Problem::new(StatusCode::NOT_FOUND, ProblemCode::NoSuchResource, format!("there is nothing at {path}"))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(120).collect();
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, ProblemCode::NoSuchMethod, format!("{path} doesn't take {method}"))
}
