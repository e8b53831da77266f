"""JSON-RPC over HTTP/1.1 and WebSocket for trio.

Layers, each knowing only those above it in this list:

- `errors`, `limits`, `encoding`, `wire`: errors, limits, and the values of requests and answers;
- `backend`: the port through which a chain is asked, implemented elsewhere;
- `decode`, `render`, `params`, `methods`: JSON arguments in, JSON results out, the table of methods;
- `nesting`, `dispatch`: a body in, an answer out, whatever the body is;
- `http`, `gateway`: HTTP without sockets;
- `websocket`, `connection`, `server`: trio.
"""
