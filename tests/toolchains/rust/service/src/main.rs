//! A service of `wasi:http`, with `wstd`.

use wstd::http::{Body, Client, Error, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let (parts, mut body) = request.into_parts();
    let query = parts.uri.query().unwrap_or("").to_owned();
    let answer = Response::builder().header("x-service", "rust").header("content-type", "text/plain");
    match parts.uri.path() {
        "/hello" => {
            let who = parts.headers.get("x-who").and_then(|value| value.to_str().ok()).unwrap_or("nobody");
            Ok(answer.body(format!("{} {query} {who}", parts.method).into())?)
        }
        "/echo" => Ok(answer.status(StatusCode::CREATED).body(body)?),
        "/size" => Ok(answer.body(body.contents().await?.len().to_string().into())?),
        "/big" => Ok(answer.body("x".repeat(200_000).into())?),
        "/ask" => {
            let asked = Client::new().send(Request::get(&query).body(Body::empty())?).await;
            match asked {
                Ok(found) => Ok(answer.status(found.status()).body(found.into_body())?),
                Err(error) => Ok(answer.status(StatusCode::BAD_GATEWAY).body(format!("{error:?}").into())?),
            }
        }
        "/crash" => panic!("as asked"),
        _ => Ok(answer.status(StatusCode::NOT_FOUND).body(Body::empty())?),
    }
}
