// Small words of HTTP.
const BODY_BYTES_MAX = 64 * 1024 * 1024;

export function send(response, status, type, body, headers = {}) {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}

export const json = (response, status, body, headers) => send(response, status, 'application/json', JSON.stringify(body), headers);

export async function readBody(request) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size > BODY_BYTES_MAX) throw new SyntaxError('the body is too large');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}
