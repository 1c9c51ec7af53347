"""A web server with two pages, to be run as `flask run` with FLASK_APP set to this file."""

import socket

from flask import Flask

app = Flask(__name__)


@app.route("/")
def greet() -> str:
    return f"Hello! This page was served by {socket.gethostname()}.\n"


@app.route("/how-are-you")
def answer() -> str:
    return "Very well, thanks for asking. And you?\n"
