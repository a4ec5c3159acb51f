//! When a page cannot be shown: what is wrong, what to do, and that stores keep selling.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;

use super::layout;
use crate::db::DbError;
use crate::problem::{Code, Problem};

/// A problem as a page, for whoever asks with a browser.
pub fn page(problem: Problem) -> Response {
    Failed(problem).into_response()
}

/// A problem that is shown as a page.
#[derive(Debug)]
pub(super) struct Failed(pub(super) Problem);

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<DbError> for Failed {
    fn from(error: DbError) -> Self {
        Self(error.into())
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let problem = self.0;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let away = problem.code == Code::Unavailable;
        let body = html! {
            div class="door" {
                main class="card" {
                    (layout::mark())
                    h1 { (problem.title) }
                    p { (problem.detail) "." }
                    @if away {
                        p class="hint" { "This page tries again by itself." }
                    }
                    p class="row" {
                        a class="button" href="/" { "To the overview" }
                        @if problem.code == Code::Unauthenticated {
                            a class="button" href="/sign-in" { "Sign in" }
                        }
                    }
                }
            }
        };
        let mut response = layout::bare(problem.title, &body);
        *response.status_mut() = status;
        if away {
            response
                .headers_mut()
                .insert(header::REFRESH, HeaderValue::from_static("5"));
        }
        response
    }
}
