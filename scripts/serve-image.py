#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Serves an image as a registry does, for tests of pulls; usage: serve-image.py ARCHIVE PORT READY [USER:PASSWORD].

ARCHIVE is what `docker save` writes. The image gets a layer of its own, which no engine has already and which takes a
moment, and the variable PULLED. READY is the file that gets the port, once it serves; PORT 0 takes a free one.
"""

import base64
import hashlib
import http.server
import io
import json
import os
import re
import sys
import tarfile
import time

archive, port, ready = sys.argv[1:4]
login = sys.argv[4] if len(sys.argv) > 4 else None
blobs = {}


def add(data, kind):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": f"application/vnd.docker.{kind}", "size": len(data), "digest": digest}


def own_layer():
    content = os.urandom(4 << 20)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as layer:
        entry = tarfile.TarInfo("opt/pulled")
        entry.size = len(content)
        layer.addfile(entry, io.BytesIO(content))
    return file.getvalue()


with tarfile.open(archive) as image:
    described = json.load(image.extractfile("manifest.json"))[0]
    config = json.load(image.extractfile(described["Config"]))
    layers = [image.extractfile(name).read() for name in described["Layers"]] + [own_layer()]
config["config"]["Env"] = (config["config"].get("Env") or []) + ["PULLED=yes"]
config["rootfs"]["diff_ids"] = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
# One line for each layer, or engines refuse the image.
config["history"] = [{"created_by": "tests"} for _ in layers]
manifest = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": add(json.dumps(config).encode(), "container.image.v1+json"),
    "layers": [add(layer, "image.rootfs.diff.tar.gzip") for layer in layers],
}
entry = add(json.dumps(manifest).encode(), "distribution.manifest.v2+json")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def refuse(self, status, code, message):
        self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), "application/json")

    def answer(self, status, data, kind, digest=None):
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
        self.end_headers()
        if self.command == "HEAD":
            return
        # In pieces, so that there is something to be told of.
        piece = max(len(data) // 8, 1 << 16)
        for start in range(0, len(data), piece):
            self.wfile.write(data[start : start + piece])
            if len(data) > 1 << 20:
                time.sleep(0.05)

    def do_GET(self):
        given = self.headers.get("Authorization")
        if login and given != "Basic " + base64.b64encode(login.encode()).decode():
            return self.refuse(401, "UNAUTHORIZED", "authentication required")
        if self.path == "/v2/":
            return self.answer(200, b"{}", "application/json")
        place = re.fullmatch(r"/v2/.+/(manifests|blobs)/([^/]+)", self.path)
        if not place:
            return self.refuse(404, "NAME_UNKNOWN", "no such place")
        if place[1] == "blobs" and place[2] in blobs:
            return self.answer(200, blobs[place[2]], "application/octet-stream", place[2])
        if place[1] == "manifests" and place[2] in ("1", entry["digest"]):
            return self.answer(200, blobs[entry["digest"]], entry["mediaType"], entry["digest"])
        return self.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")

    do_HEAD = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
with open(ready + ".new", "w") as file:
    print(server.server_address[1], file=file)
os.rename(ready + ".new", ready)
server.serve_forever()
