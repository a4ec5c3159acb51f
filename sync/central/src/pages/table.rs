//! Pages and forms stand in the same table as the paths for machines, and in its document, marked as HTML.

use axum::handler::Handler;
use axum::routing::{get, post};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, Required, ResponseBuilder, SecurityRequirement, Type,
};
use utoipa_axum::router::OpenApiRouter;

use crate::hq::SharedHq;

/// What a form sends.
const FORM: &str = "application/x-www-form-urlencoded";

/// Who may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Everybody.
    All,
    /// Whoever is signed in.
    People,
}

/// A table that pages are put into.
pub(super) trait Pages: Sized {
    /// A page that is looked at.
    fn page<T: 'static>(self, path: &str, who: For, handler: impl Handler<T, SharedHq>) -> Self;
    /// A form that is posted.
    fn form<T: 'static>(self, path: &str, who: For, handler: impl Handler<T, SharedHq>) -> Self;
}

impl Pages for OpenApiRouter<SharedHq> {
    fn page<T: 'static>(self, path: &str, who: For, handler: impl Handler<T, SharedHq>) -> Self {
        listed(self, path, who, HttpMethod::Get).route(path, get(handler))
    }

    fn form<T: 'static>(self, path: &str, who: For, handler: impl Handler<T, SharedHq>) -> Self {
        listed(self, path, who, HttpMethod::Post).route(path, post(handler))
    }
}

fn listed(
    mut table: OpenApiRouter<SharedHq>,
    path: &str,
    who: For,
    method: HttpMethod,
) -> OpenApiRouter<SharedHq> {
    let (word, about) = match method {
        HttpMethod::Post => ("form", "A form of the pages; it carries the field `csrf`."),
        _ => ("page", "A page for people."),
    };
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    let html = ContentBuilder::new().schema(Some(text())).build();
    let answer = ResponseBuilder::new()
        .description("A page, or where the next one is.")
        .content("text/html", html);
    let mut operation = OperationBuilder::new()
        .tag("pages")
        .operation_id(Some(format!("{word} {path}")))
        .summary(Some(about))
        .response("default", answer);
    let names = path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?;
        name.split_once('}').map(|(name, _)| name)
    });
    for name in names {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(text()));
        operation = operation.parameter(parameter);
    }
    if method == HttpMethod::Post {
        let fields = ContentBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::Object)))
            .build();
        let body = utoipa::openapi::request_body::RequestBodyBuilder::new().content(FORM, fields);
        operation = operation.request_body(Some(body.build()));
    }
    if who == For::All {
        operation = operation.security(SecurityRequirement::default());
    }
    let paths = &mut table.get_openapi_mut().paths;
    paths.add_path_operation(path, vec![method], operation.build());
    table
}
