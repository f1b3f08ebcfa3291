"""The classic builder: stages in order, an image for each step, step containers that `ps -a` shows. `POST /build`."""
