//! Reads the body of a Meta request: JSON, urlencoded form or multipart form with `data` as a JSON string
//! (`developers.facebook.com/documentation/ads-commerce/conversions-api/using-the-api`). Not for judging fields.

use axum::http::header;
use serde_json::{Map, Value};

use crate::sandbox::exchange::Arrived;

/// The body as one object of fields; the error says why it is none.
pub(super) fn read(arrived: &Arrived) -> Result<Value, String> {
    let declared = arrived
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let (kind, parameters) = declared.split_once(';').unwrap_or((declared, ""));
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/json" => match serde_json::from_slice(&arrived.body) {
            Ok(Value::Object(fields)) => Ok(Value::Object(fields)),
            Ok(_) => Err("the JSON body must be an object with data".to_owned()),
            Err(error) => Err(format!(
                "the body is not JSON (line {}, column {})",
                error.line(),
                error.column()
            )),
        },
        "application/x-www-form-urlencoded" => Ok(from_form(
            url::form_urlencoded::parse(&arrived.body).into_owned(),
        )),
        "multipart/form-data" => Ok(from_form(multipart(&arrived.body, parameters)?.into_iter())),
        _ => Err("content-type must be application/json or one of the two form types".to_owned()),
    }
}

/// Form fields as an object; `data` is JSON inside a string, everything else text.
fn from_form(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let field = |(name, text): (String, String)| match name.as_str() {
        "data" => {
            let data = serde_json::from_str(&text).unwrap_or(Value::String(text));
            (name, data)
        }
        _ => (name, Value::String(text)),
    };
    Value::Object(pairs.map(field).collect::<Map<_, _>>())
}

/// Names and texts of the parts of a multipart body (RFC 7578), as far as a form without files needs it.
fn multipart(body: &[u8], parameters: &str) -> Result<Vec<(String, String)>, String> {
    let boundary =
        parameter(parameters, "boundary").ok_or("multipart/form-data needs a boundary")?;
    let text = std::str::from_utf8(body).map_err(|_| "the multipart body is not UTF-8")?;
    // The first delimiter has no line break before it; adding one makes all delimiters alike.
    let text = format!("\r\n{text}");
    let delimiter = format!("\r\n--{boundary}");
    let mut parts = text.split(&delimiter).skip(1);
    let mut fields = Vec::new();
    loop {
        let part = parts
            .next()
            .ok_or("the multipart body has no closing boundary")?;
        if part.starts_with("--") {
            return Ok(fields);
        }
        let part = part
            .strip_prefix("\r\n")
            .ok_or("a multipart boundary must end its line")?;
        let (headers, content) = part
            .split_once("\r\n\r\n")
            .ok_or("a multipart part has no empty line")?;
        let name = headers
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"))
            .and_then(|(_, disposition)| parameter(disposition, "name"))
            .ok_or("a multipart part has no name")?;
        fields.push((name, content.to_owned()));
    }
}

/// A parameter of a header value, without its quotes.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let pairs = parameters
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found
        .next()
        .map(|(_, value)| value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipart_gives_names_and_texts() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n[1]\r\n--b\r\n\
            Content-Disposition: form-data; name=\"access_token\"\r\nContent-Type: text/plain\r\n\r\nt\r\n\r\nx\r\n--b--\r\n";
        let fields = multipart(body.as_bytes(), " boundary=\"b\"").unwrap();
        assert_eq!(
            fields,
            [
                ("data".into(), "[1]".into()),
                ("access_token".into(), "t\r\n\r\nx".into())
            ]
        );
    }

    #[test]
    fn broken_multipart_is_refused() {
        for (body, parameters) in [
            ("", "boundary=b"),
            ("--b--", ""),
            (
                "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n[1]",
                "boundary=b",
            ),
            ("--b\r\n\r\n[1]\r\n--b--", "boundary=b"),
            ("--bx\r\n\r\n--b--", "boundary=b"),
        ] {
            assert!(multipart(body.as_bytes(), parameters).is_err(), "{body}");
        }
    }
}
