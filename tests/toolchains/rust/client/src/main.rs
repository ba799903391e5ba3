//! A command that asks others over `wasi:http`, with `wstd`.

use std::env;

use wstd::http::{Body, Client, Error, Request};

async fn answer(request: Request<Body>) -> Result<(u16, String, String), Error> {
    let response = Client::new().send(request).await?;
    let status = response.status().as_u16();
    let kind = match response.headers().get("content-type") {
        Some(value) => value.to_str()?.to_owned(),
        None => "nothing".to_owned(),
    };
    let mut body = response.into_body();
    let text = body.str_contents().await?.to_owned();
    Ok((status, kind, text))
}

fn get(url: &str) -> Request<Body> {
    Request::get(url).header("x-question", "why").body(Body::empty()).expect("a request")
}

fn say(name: &str, result: Result<(u16, String, String), Error>) {
    match result {
        Ok((status, kind, text)) => println!("{name}: {status} {kind} {}", text.lines().last().unwrap_or("")),
        Err(error) => println!("{name}: refused ({error:?})"),
    }
}

#[wstd::main]
async fn main() {
    let base = env::args().nth(1).expect("a base URL");
    say("get", answer(get(&format!("{base}/hello?x=1"))).await);
    let posted = Request::post(format!("{base}/echo"))
        .header("content-type", "application/json")
        .body(Body::from("{\"a\":\"ü\"}"))
        .expect("a request");
    say("post", answer(posted).await);
    match answer(get(&format!("{base}/big"))).await {
        Ok((status, _, text)) => println!("big: {status} {}", text.len()),
        Err(error) => println!("big: refused ({error:?})"),
    }
    say("missing", answer(get(&format!("{base}/missing"))).await);
    let (one, other) = (wstd::runtime::spawn(answer(get(&format!("{base}/one")))), answer(get(&format!("{base}/other"))));
    let (other, one) = (other.await, one.await);
    say("one", one);
    say("other", other);
    say("beyond", answer(get(&format!("{base}/beyond"))).await);
    say("elsewhere", answer(get("http://elsewhere.invalid/")).await);
}
