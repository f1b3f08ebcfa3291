"""The smallest application that needs a package."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "from an image that scow built"}


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8000)
