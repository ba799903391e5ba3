// A service as a web worker has it.

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const url = new URL(request.url);
  const query = url.search.slice(1);
  const headers = { 'x-service': 'javascript', 'content-type': 'text/plain' };
  switch (url.pathname) {
    case '/hello':
      return new Response(`${request.method} ${query} ${request.headers.get('x-who') ?? 'nobody'}`, { headers });
    case '/echo':
      return new Response(request.body, { status: 201, headers });
    case '/size':
      return new Response(String((await request.arrayBuffer()).byteLength), { headers });
    case '/big':
      return new Response('x'.repeat(200_000), { headers });
    case '/ask':
      try {
        const found = await fetch(query);
        return new Response(found.body, { status: found.status, headers });
      } catch (error) {
        return new Response(String(error), { status: 502, headers });
      }
    case '/crash':
      throw new Error('as asked');
    default:
      return new Response(null, { status: 404, headers });
  }
}
