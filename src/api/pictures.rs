//! The QR code of a receipt as a picture.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

use super::access::{Caller, TillChoice};
use super::params::Params;
use super::problem::{Problem, ProblemCode as P};
use super::receipts::{receipt_number, unknown};
use super::{Shared, schema};

/// White modules around the code, as its standard wants.
const QUIET: usize = 4;
/// Pixels of a module in a PNG, when nothing is said and at most.
const SCALE: (u32, u32) = (8, 32);

/// The QR code of a receipt as SVG.
#[utoipa::path(
    get,
    path = "/v1/receipts/{receiptGlobalNo}/qr.svg",
    tag = "receipts",
    operation_id = "qrSvg",
    params(schema::NumberPath, schema::TillParams),
    responses(
        (status = 200, description = "The picture.", body = String, content_type = "image/svg+xml"),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn qr_svg(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(number): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &[])?;
    let code = shared.code(&caller, &params, &number).await?;
    let picture = code
        .render::<svg::Color<'_>>()
        .quiet_zone(true)
        .min_dimensions(200, 200)
        .build();
    Ok(picture_of("image/svg+xml", picture.into_bytes()))
}

/// The QR code of a receipt as PNG, black on white.
#[utoipa::path(
    get,
    path = "/v1/receipts/{receiptGlobalNo}/qr.png",
    tag = "receipts",
    operation_id = "qrPng",
    params(schema::NumberPath, schema::TillParams, schema::ScaleParams),
    responses(
        (status = 200, description = "The picture.", body = inline(schema::Bytes), content_type = "image/png"),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn qr_png(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(number): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &["scale"])?;
    let scale = params.number("scale", |n| (1..=SCALE.1).contains(&n).then_some(n))?;
    let code = shared.code(&caller, &params, &number).await?;
    let png = png(&code, scale.unwrap_or(SCALE.0))
        .map_err(|error| Problem::new(P::Defect, format!("no picture: {error}")))?;
    Ok(picture_of("image/png", png))
}

impl Shared {
    async fn code(
        &self,
        caller: &Caller,
        params: &Params,
        number: &str,
    ) -> Result<QrCode, Problem> {
        let till = self.till(caller, TillChoice::of(params)?).await?;
        let number = receipt_number(number)?;
        let id = till.id;
        let found = self.ask(move |reader| reader.by_number(id, number)).await?;
        let issued = found.ok_or_else(|| unknown(number))?;
        let content = crate::paper::proof(&issued).qr_content;
        QrCode::with_error_correction_level(content, EcLevel::M)
            .map_err(|error| Problem::new(P::Defect, format!("no QR code: {error}")))
    }
}

/// One bit a pixel.
fn png(code: &QrCode, scale: u32) -> Result<Vec<u8>, png::EncodingError> {
    let scale = usize::try_from(scale).unwrap_or(1);
    let modules = code.width();
    let side = (modules + 2 * QUIET) * scale;
    let is_dark = |x: usize, y: usize| {
        let module = |at: usize| (at / scale).checked_sub(QUIET).filter(|m| *m < modules);
        match (module(x), module(y)) {
            (Some(x), Some(y)) => code[(x, y)] == Color::Dark,
            _ => false,
        }
    };
    let mut bits = Vec::with_capacity(side * side.div_ceil(8));
    for y in 0..side {
        for first in (0..side).step_by(8) {
            let byte = (first..first + 8).fold(0_u8, |byte, x| {
                let is_white = x >= side || !is_dark(x, y);
                (byte << 1) | u8::from(is_white)
            });
            bits.push(byte);
        }
    }
    let mut out = Vec::new();
    let width = u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut out, width, width);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&bits)?;
    writer.finish()?;
    Ok(out)
}

fn picture_of(content_type: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
