"""Notes over HTTP: `POST /notes` keeps one, `GET /notes/{number}` gives it back, `/live` tells of each as it comes."""

from theater_sdk import Actor, Message, Refuse, http_server

LENGTH_MAX = 1000


class Notes(Actor):
    def init(self, params: dict) -> dict:
        # Servers stay open when the actor is started again: one may be there.
        if not http_server.servers():
            server = http_server.open_server("127.0.0.1", params.get("port", 0))
            http_server.add_route(server.id, "/notes", methods=["POST"], tag="add")
            http_server.add_route(server.id, "/notes/{number}", methods=["GET"], tag="get")
            http_server.add_websocket(server.id, "/live")
            http_server.add_middleware(server.id, "/notes")
        return {"notes": []}

    def http_middleware(self, state: dict, request: http_server.Request) -> tuple:
        if len(request.content) > LENGTH_MAX:
            return state, http_server.text("a note is short\n", status=413)
        return state, request

    def http_request(self, state: dict, request: http_server.Request) -> tuple:
        notes = state["notes"]
        if request.tag == "add":
            notes.append(request.text)
            for each in http_server.websockets():
                http_server.send_websocket(each.id, request.text)
            return state, http_server.json({"number": len(notes)}, status=201)
        number = request.parameters["number"]
        if not number.isdecimal() or not 0 < int(number) <= len(notes):
            return state, http_server.text("there is no such note\n", status=404)
        return state, http_server.text(notes[int(number) - 1])

    def websocket_opened(self, state: dict, opening: http_server.WebSocketOpening) -> dict:
        http_server.send_websocket(opening.connection, f"{len(state['notes'])} so far")
        return state

    def handle(self, state: dict, message: Message) -> tuple[dict, dict]:
        if message.body != "where":
            raise Refuse('say "where"')
        return state, {"ports": [server.port for server in http_server.servers()]}
