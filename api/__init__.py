"""The only package with sockets: WebSocket, HTTP, auth, command line and web pages."""
